"""Parquet datasets of flows."""

import itertools
import stat

import fsspec
import pandas as pd
import psutil
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import nbproxy
from nbproxy.datasets import layout, writing
from nbproxy.datasets.reading import flows_of_part
from nbproxy.model.headers import Headers
from nbproxy.model.websocket import WebSocketData, WebSocketMessage
from tests.datasets.conftest import flow_to

HOSTS = [
    *("a.test", "::1", "..", "a/../../b", "a b", "", "%2F", "ü.test", "x" * 400, "A.TEST", "a=b"),
    *("__HIVE_DEFAULT_PARTITION__", "nul\0", "C:\\x", "*?", "~", "."),
]


def same(found, flows):
    """The frame of a scan is that of the flows, whatever their order."""
    expected = flows.df
    found = found.sort_index()
    assert found.index.name == "id"
    assert list(found.columns) == [*expected.columns, "file"]
    assert found["file"].dtype == expected["host"].dtype
    expected = expected.reset_index(drop=True)
    pd.testing.assert_frame_equal(found.drop(columns="file").reset_index(drop=True), expected)


@pytest.mark.parametrize("partition", [("date", "host"), "host", ("date",), (), ("scheme", "host")])
def test_a_dataset_comes_back_as_it_was(tmp_path, captures, partition):
    flows = nbproxy.open(captures / "a.nbproxy")
    assert flows.to_parquet(tmp_path / "set", partition=partition) == 25
    same(nbproxy.scan(tmp_path / "set").compute(), flows)


def test_a_live_proxys_flows_are_written(tmp_path):
    with nbproxy.Proxy(port=0, confdir=tmp_path) as proxy:
        for number in range(3):
            flow = flow_to(number, comment="hers")
            proxy.store.opened(flow)
            proxy.store.closed(flow)
        assert proxy.flows[1:].to_parquet(tmp_path / "set") == 2
    assert list(nbproxy.scan(tmp_path / "set").compute()["comment"]) == ["hers", "hers"]


@pytest.mark.parametrize("partition", [("date", "host"), ()])
def test_hosts_are_escaped(tmp_path, partition):
    proxy = nbproxy.Proxy(port=0, confdir=tmp_path)
    for number, host in enumerate(HOSTS):
        flow = flow_to(number)
        flow.request._host = host
        proxy.store.opened(flow)
        proxy.store.closed(flow)
    root = tmp_path / "deep" / "set"
    assert proxy.flows.to_parquet(root, partition=partition) == len(HOSTS)
    same(nbproxy.scan(root).compute(), proxy.flows)
    for host in HOSTS:
        assert list(nbproxy.scan(root, hosts=host).compute()["host"]) == [host]
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"set"}
    proxy.close()


def test_files_are_private(tmp_path, captures):
    nbproxy.open(captures / "a.nbproxy").to_parquet(tmp_path / "set")
    for path in (tmp_path / "set").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert not list((tmp_path / "set").rglob(".*"))


def test_others_read_it_and_prune_partitions(tmp_path):
    flows = [flow_to(n, f"h{n % 3}.test", day=n % 2) for n in range(12)]
    assert writing.write(flows, tmp_path / "set") == 12
    there = ds.dataset(tmp_path / "set", partitioning="hive")
    assert len(list(there.get_fragments())) == 6
    wanted = ds.field("host") == "h1.test"
    assert len(list(there.get_fragments(filter=wanted))) == 2
    assert sorted(there.to_table(filter=wanted)["id"].to_pylist()) == [f.id for f in flows[1::3]]
    frame = pd.read_parquet(tmp_path / "set")
    assert sorted(frame["host"].astype(str).unique()) == ["h0.test", "h1.test", "h2.test"]


def test_a_scan_opens_only_what_is_wanted(tmp_path):
    writing.write([flow_to(n, f"h{n % 3}.test", day=n % 2) for n in range(12)], tmp_path / "set")
    assert len(nbproxy.scan(tmp_path / "set").files) == 6
    scan = nbproxy.scan(tmp_path / "set", hosts=["h1.test", "h2.test"], dates="2023-11-15")
    assert len(scan.files) == 2
    frame = scan.compute()
    assert set(frame["host"]) == {"h1.test", "h2.test"}
    assert {day.isoformat() for day in frame["time"].dt.date} == {"2023-11-15"}
    assert len(nbproxy.scan(tmp_path / "set", dates=("2023-11-15", None)).files) == 3
    assert len(nbproxy.scan(tmp_path / "set", hosts="nobody.test").compute()) == 0


def test_headers_and_bodies(tmp_path):
    flows = [flow_to(0), flow_to(1)]
    flows[1].response = None
    flows[1].request.content = b"\0\xff"
    writing.write(flows, tmp_path / "set", bodies=True, partition=())
    (file,) = (tmp_path / "set").iterdir()
    table = pq.read_table(file)
    assert table["request_headers"][0].as_py()[:2] == [
        {"name": "Host", "value": "x"},
        {"name": "X-Odd", "value": "caf\xe9"},
    ]
    assert table["response_headers"][1].as_py() is None
    assert table["response_body"].to_pylist() == [b"x" * 2000, None]
    (part,) = nbproxy.scan(tmp_path / "set").parts
    again = [flow for _, flow in flows_of_part(part)]
    assert [flow.request.headers.fields for flow in again] == [
        flow.request.headers.fields for flow in flows
    ]
    assert again[1].request.content == b"\0\xff"
    assert again[1].response is None
    assert again[0].response.timestamp_end == pytest.approx(flows[0].response.timestamp_end)
    assert again[0].client_conn.peername == flows[0].client_conn.peername


def test_without_bodies_flows_have_none(tmp_path):
    writing.write([flow_to(0)], tmp_path / "set")
    assert "response_body" not in pq.read_table(tmp_path / "set").column_names
    (part,) = nbproxy.scan(tmp_path / "set").parts
    ((_, flow),) = flows_of_part(part)
    assert flow.response.raw_content is None
    assert flow.response.status_code == 200


@pytest.mark.parametrize("bodies", [True, False])
def test_trailers_and_websocket_messages(tmp_path, bodies):
    flows = [flow_to(0), flow_to(1), flow_to(2)]
    flows[0].request.trailers = Headers([("Digest", b"caf\xe9"), ("digest", "2")])
    flows[0].response.trailers = Headers()
    flows[1].response = None
    flows[2].websocket = websocket = WebSocketData(
        [WebSocketMessage(1, True, b"hello", 17.5), WebSocketMessage(2, False, b"\0", 18.0)],
        *(False, 1001, "away", 19.0),
    )
    writing.write(flows, tmp_path / "set", bodies=bodies)
    seen = {}

    def request(flow):
        seen[flow.request.path] = flow

    nbproxy.scan(tmp_path / "set").run(request, out=tmp_path / "out")
    again = [seen[flow.request.path] for flow in flows]
    assert again[0].request.trailers.fields == ((b"Digest", b"caf\xe9"), (b"digest", b"2"))
    assert again[0].response.trailers.fields == ()
    assert [each.request.trailers for each in again[1:]] == [None, None]
    assert again[2].response.trailers is None
    assert [each.websocket for each in again] == [None, None, websocket if bodies else None]
    saved = nbproxy.open(*(tmp_path / "out").iterdir())
    (kept,) = [flow for flow in saved if flow.request.path == flows[2].request.path]
    assert kept.websocket == again[2].websocket


def test_a_dataset_of_old_is_read(tmp_path):
    """One without the columns that came later; also beside files that have them."""
    writing.write([flow_to(0)], tmp_path / "set", bodies=True, partition=())
    (file,) = (tmp_path / "set").iterdir()
    table = pq.read_table(file)
    pq.write_table(table.drop_columns(["websocket", *layout.TRAILERS]), file)
    writing.write([flow_to(1)], tmp_path / "set", bodies=True, partition=(), append=True)
    (part,) = nbproxy.scan(tmp_path / "set").parts
    found = [flow for _, flow in flows_of_part(part)]
    assert [flow.response.content for flow in found] == [b"x" * 2000] * 2
    assert [flow.websocket for flow in found] == [None, None]
    assert [flow.response.trailers for flow in found] == [None, None]


def test_large_conversations_are_written_a_few_at_a_time():
    flows = [flow_to(number) for number in range(6)]
    for flow in flows:
        flow.websocket = WebSocketData([WebSocketMessage(2, True, b"x" * 2**20)] * 9)
    assert [len(some) for some in writing._batches(flows, bodies=True)] == [2, 2, 2]
    assert [len(some) for some in writing._batches(flows, bodies=False)] == [6]


def test_through_fsspec(captures):
    url = "memory://bucket/set"
    flows = nbproxy.open(captures / "a.nbproxy")
    try:
        assert flows.to_parquet(url, bodies=True) == 25
        scan = nbproxy.scan(url)
        same(scan.compute(scheduler="threads"), flows)
        assert all(name.startswith("memory://bucket/set/date=") for name in scan.files)
        assert len(nbproxy.scan(scan.files[0]).compute()) == 1
        with pytest.raises(FileExistsError, match="append=True"):
            flows.to_parquet(url)
        with pytest.raises(FileNotFoundError, match="no Parquet dataset in 'memory://nothing'"):
            nbproxy.scan("memory://nothing")
    finally:
        fsspec.filesystem("memory").store.clear()


def test_a_dataset_is_not_overwritten(tmp_path):
    assert writing.write([flow_to(0)], tmp_path / "set") == 1
    with pytest.raises(FileExistsError, match="append=True adds to it"):
        writing.write([flow_to(1)], tmp_path / "set")
    assert writing.write([flow_to(1)], tmp_path / "set", append=True) == 1
    assert len(nbproxy.scan(tmp_path / "set")) == 2


def test_a_file_is_no_place_for_a_dataset(captures):
    path = captures / "c.har"
    before = path.read_bytes()
    for append in (False, True):
        with pytest.raises(NotADirectoryError, match=r"c\.har' is a file, and .* writes a folder"):
            nbproxy.open(path).to_parquet(path, append=append)
    assert path.read_bytes() == before


def test_no_flows_make_a_dataset_too(tmp_path):
    assert writing.write([], tmp_path / "set") == 0
    frame = nbproxy.scan(tmp_path / "set").compute()
    assert len(frame) == 0
    assert "host" in frame


def test_what_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_HELD_BYTES", 1)

    def broken():
        yield from (flow_to(n) for n in range(2000))
        raise OSError("the disk has gone")

    with pytest.raises(OSError, match="the disk has gone"):
        writing.write(broken(), tmp_path / "set")
    assert not [path for path in (tmp_path / "set").rglob("*") if path.is_file()]


def test_arguments_that_are_refused(tmp_path):
    with pytest.raises(ValueError, match="compression='zip'"):
        writing.write([], tmp_path / "set", compression="zip")
    with pytest.raises(ValueError, match="cannot name folders"):
        writing.write([], tmp_path / "set", partition=["port"])


def test_memory_does_not_grow(tmp_path):
    def rss_bytes():
        return psutil.Process().memory_info().rss

    some = [flow_to(n, f"h{n % 7}.test", day=n % 3) for n in range(1000)]
    for flow in some:
        flow.response.content = b"x" * 10_000

    def made(count):
        return itertools.islice(itertools.cycle(some), count)

    writing.write(made(5000), tmp_path / "warm", bodies=True)
    before = rss_bytes()
    peak = 0

    def watched():
        nonlocal peak
        for number, flow in enumerate(made(30_000)):
            if not number % 1000:
                peak = max(peak, rss_bytes() - before)
            yield flow

    assert writing.write(watched(), tmp_path / "set", bodies=True) == 30_000  # 300 MB of bodies
    assert peak < 200 * 2**20
