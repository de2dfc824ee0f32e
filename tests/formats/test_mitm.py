import io
import json
import uuid

import pytest
from hypothesis import HealthCheck, given, settings

from nbproxy.errors import FormatError
from nbproxy.formats import mitm, tnetstring
from nbproxy.formats.notes import Notes
from nbproxy.model.connection import Client
from nbproxy.model.flow import HTTPFlow
from tests.formats import made, our_view

# Ids that mitmproxy makes at random when it converts, and the words of its note.
MADE_UP = {"dumpfile-011", "dumpfile-012", "dumpfile-013", "dumpfile-018"}


def read(raw, notes=None):
    return list(mitm.read(io.BytesIO(raw), notes))


def written(*flows):
    file = io.BytesIO()
    mitm.write(flows, file)
    return file.getvalue()


def view(flows):
    return json.loads(json.dumps([our_view.flow(flow) for flow in flows]))


def changed(raw, path, value):
    """The first flow of a file with one thing in it changed."""
    state = json.loads("{}") | next(v for _, v in tnetstring.read(io.BytesIO(raw)))
    *way, last = path.split(".")
    place = state
    for name in way:
        place[name] = dict(place[name])
        place = place[name]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return tnetstring.write(state)


@pytest.fixture(scope="session")
def files(data):
    return sorted((data / "mitm").iterdir())


def test_every_sample_is_seen_as_mitmproxy_sees_it(files, mitmproxy_sees):
    for path, theirs in zip(files, mitmproxy_sees(*files), strict=True):
        if path.stem in {"dumpfile-010", "dumpfile-7-websocket"}:
            continue
        ours = view(read(path.read_bytes()))
        if path.name.split(".")[0] in MADE_UP:
            for flow in (*ours, *theirs):
                uuid.UUID(flow["client"].pop("id"))
                uuid.UUID(flow["server"].pop("id"))
        assert ours == theirs, path.name


def test_every_sample_that_we_write_mitmproxy_sees_as_we_do(files, mitmproxy_sees, tmp_path):
    expected, copies = [], []
    for path in files:
        flows = read(path.read_bytes())
        copies.append(tmp_path / path.name)
        copies[-1].write_bytes(written(*flows))
        expected.append(view(flows))
    assert mitmproxy_sees(*copies) == expected


def test_websockets_of_version_7(data, mitmproxy_sees):
    path = data / "mitm" / "dumpfile-7-websocket.mitm"
    flows = read(path.read_bytes())
    (theirs,) = mitmproxy_sees(path)
    assert len(flows) == len(theirs) == 6
    for ours, other in zip(flows, theirs, strict=True):
        seen = view([ours])[0]
        assert (seen["websocket"] is None) == (other["websocket"] is None)
        if seen["websocket"]:
            assert seen["websocket"]["messages"] == other["websocket"]["messages"]
            assert "duplicated" in ours.metadata
        assert seen["request"]["headers"] == other["request"]["headers"]
    assert [flow.request.host for flow in flows].count("unknown") == 1
    assert len({flow.metadata["original_id"] for flow in flows}) == 6


def test_version_0_10(data):
    """What no mitmproxy can read any more: all hung on the request then."""
    raw = (data / "mitm" / "dumpfile-010.mitm").read_bytes()
    (flow,) = read(raw)
    assert flow.request.url == "http://example.com/"
    assert flow.response.status_code == 200
    assert "Example Domain" in flow.response.text
    assert flow.client_conn.peername == ("127.0.0.1", 56104)
    assert flow.server_conn.address == ("example.com", 80)
    assert flow.server_conn.timestamp_tcp_setup == 1468014850.242732
    assert flow.duration == pytest.approx(0.273821)
    assert (flow.is_replay, flow.error) == (None, None)
    uuid.UUID(flow.metadata["original_id"])
    (again,) = read(written(flow))
    assert our_view.flow(again) == our_view.flow(flow)


OLD = {
    "version": (0, 9),
    "request": {
        "client_conn": None,
        "httpversion": (1, 1),
        "host": b"a.test",
        "port": 443,
        "scheme": b"https",
        "method": b"GET",
        "path": b"/",
        "headers": ((b"A", b"b"),),
        "content": 0,
        "timestamp_start": 1.5,
        "timestamp_end": 2.5,
        "tcp_setup_timestamp": None,
        "ssl_setup_timestamp": 1.75,
    },
    "response": None,
    "error": {"msg": b"refused", "timestamp": 3.0},
}


def test_version_0_9():
    """A replay that failed: no client, no response, a body that was not kept."""
    (flow,) = read(tnetstring.write(OLD))
    assert (flow.is_replay, flow.response, str(flow.error)) == ("request", None, "refused")
    assert flow.request.raw_content is None
    assert flow.server_conn.tls


def test_version_0_8(data):
    """One time for each message, the certificate as DER."""
    der = b"\x30\x03\x02\x01\x05"
    request = {
        key: value
        for key, value in OLD["request"].items()
        if "timestamp" not in key and key != "httpversion"
    }
    response = {"code": 200, "msg": b"OK", "headers": (), "content": b"x", "timestamp": 7.0}
    state = {
        "version": (0, 8),
        "request": {**request, "timestamp": 5.0},
        "response": {**response, "der_cert": der},
        "error": None,
    }
    (flow,) = read(tnetstring.write(state))
    assert flow.request.timestamp_start == flow.request.timestamp_end == 5.0
    assert (flow.response.timestamp_end, flow.response.http_version) == (7.0, "HTTP/1.1")
    assert list(flow.server_conn.certificate_list) == [der]


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (22, "version 22, which is newer"),
        (3, "version 3, which cannot be read"),
        (-1, "version -1"),
        ((0, 7), r"mitmproxy 0\.7, which cannot be read.*0\.8"),
        ((4, 0), r"mitmproxy 4\.0, which is newer"),
        ("21", "a version should stand here"),
        ((0,), "a version should stand here"),
        (None, "names no version"),
        (True, "a version should stand here"),
    ],
)
def test_unknown_versions(version, words):
    raw = written(made.new_flow())
    with pytest.raises(FormatError, match=words) as caught:
        read(raw + changed(raw, "version", version))
    assert caught.value.offset == len(raw)


@given(made.flows())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
def test_what_is_written_is_read(flow):
    (again,) = read(written(flow))
    assert our_view.flow(again) == our_view.flow(flow)
    assert written(again) == written(flow)


def test_mitmproxy_sees_random_flows_as_we_do(mitmproxy_sees, tmp_path):
    flows = []

    @given(made.flows())
    @settings(
        suppress_health_check=[HealthCheck.too_slow],
        deadline=None,
        max_examples=60,
        derandomize=True,
        database=None,
    )
    def collect(flow):
        for connection in (flow.client_conn, flow.server_conn):
            connection.certificate_list = ()  # mitmproxy looks into them
        flow.metadata["original_id"] = made.new_id()
        flows.append(flow)

    collect()
    path = tmp_path / "random.mitm"
    path.write_bytes(written(*flows))
    assert mitmproxy_sees(path) == [view(flows)]


SMALL = written(
    made.answered(made.new_flow(fields=[("A", "b")])), made.answered(made.new_flow("POST"))
)


def check_readable(raw):
    """Reads it, to the end or to a FormatError, and uses what came of it."""
    flows, place = [], 0
    try:
        flows.extend(mitm.read(io.BytesIO(raw)))
    except FormatError as error:
        place = error.offset
        str(error)
    assert 0 <= place <= len(raw)
    for flow in flows:
        repr(flow)
        written(flow)


def test_a_file_cut_off_at_any_place():
    ends = [offset for offset, _ in tnetstring.read(io.BytesIO(SMALL))] + [len(SMALL)]
    for size in range(len(SMALL)):
        reading = mitm.read(io.BytesIO(SMALL[:size]))
        whole = sum(1 for end in ends[1:] if end <= size)
        for _ in range(whole):
            assert isinstance(next(reading), HTTPFlow)
        if size in ends:
            assert next(reading, None) is None
        else:
            with pytest.raises(FormatError, match="cut off") as caught:
                next(reading)
            assert caught.value.offset == ends[whole]


def test_any_flipped_bit():
    (second, _) = list(tnetstring.read(io.BytesIO(SMALL)))[1]
    for place in range(len(SMALL)):
        # of the second flow, of the same parts, other bits; what is before it is as it was
        start, bit = (0, place % 8) if place < second else (second, (place - second + 3) % 8)
        raw = bytearray(SMALL)
        raw[place] ^= 1 << bit
        check_readable(bytes(raw[start:]))


@pytest.mark.parametrize("name", ["dumpfile-011.mitm", "dumpfile-10.mitm", "dumpfile-019.mitm"])
def test_any_flipped_bit_of_an_old_file(data, name):
    raw = (data / "mitm" / name).read_bytes()
    for place in range(0, len(raw), 3):
        damaged = bytearray(raw)
        damaged[place] ^= 1 << (place % 8)
        check_readable(bytes(damaged))


WRONG = [None, True, 7, -1, 10**30, 1e300, float("nan"), b"\r\n", "\r\n", (), ((),), {}, {"a": 1}]
FIELDS = [
    "type",
    "id",
    "error",
    "intercepted",
    "is_replay",
    "marked",
    "metadata",
    "comment",
    "timestamp_created",
    "request",
    "response",
    "client_conn",
    "server_conn",
    "websocket",
    "request.headers",
    "request.content",
    "request.port",
    "request.host",
    "request.path",
    "request.method",
    "request.timestamp_start",
    "request.trailers",
    "response.status_code",
    "response.reason",
    "response.headers",
    "client_conn.id",
    "client_conn.peername",
    "client_conn.timestamp_start",
    "client_conn.tls",
    "server_conn.via",
    "server_conn.address",
    "server_conn.certificate_list",
    "server_conn.alpn_offers",
    "error.msg",
    "websocket.messages",
]


@pytest.mark.parametrize("field", FIELDS)
def test_wrong_types_and_missing_keys(field):
    flow = made.answered(made.new_flow())
    flow.error = made.Error("x", 1.0)
    flow.websocket = made.WebSocketData([made.WebSocketMessage(1, True, b"x")])
    flow.client_conn.tls = flow.server_conn.tls = True
    raw = written(flow)
    for value in [*WRONG, KeyError]:
        check_readable(changed(raw, field, value))
    deep = ((((1,),) * 3,) * 3, {"x": (b"y",)})
    check_readable(changed(raw, field, deep))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("request.port", "443", "port is '443', not a number from 0 to 65535"),
        (
            "request.method",
            b"GET / HTTP/1.1\r\nX: y",
            "method is .* not free of control characters",
        ),
        ("request.headers", ((b"a",),), "headers is .*, not a list of pairs"),
        ("request.timestamp_start", float("nan"), "timestamp_start is nan, not a time"),
        ("response.content", 5, "content is 5, not bytes"),
        ("response.status_code", 10**20, "status_code is 1000.*, not a number from 0 to 999"),
        ("type", "quic", "unknown type: quic"),
        ("id", KeyError, "has no 'id'"),
        ("request.headers", KeyError, "has no 'headers'"),
    ],
)
def test_errors_say_what_is_wrong(field, value, words):
    raw = written(made.answered(made.new_flow()))
    with pytest.raises(FormatError, match=words) as caught:
        read(raw + changed(raw, field, value))
    assert caught.value.offset == len(raw)


def test_line_breaks_in_fields_become_blanks():
    raw = written(made.new_flow())
    fields = ((b"A", b"b\r\n c"), (b"D\r\nE", b"f\r\nX: y\0z"), (b"G", b"h"))
    (flow,) = read(changed(raw, "request.headers", fields))
    assert flow.request.headers.fields == ((b"A", b"b c"), (b"DE", b"f X: y z"), (b"G", b"h"))


def test_other_kinds_of_flows_are_counted():
    raw = written(made.new_flow())
    notes = Notes()
    others = [changed(raw, "type", kind) for kind in ("tcp", "udp", "tcp", "dns")]
    assert len(read(b"".join([raw, *others, raw]), notes)) == 2
    assert str(notes) == "left out 2 TCP flows, 1 UDP flow, 1 DNS flow"


def test_flows_on_one_connection_share_it():
    client = Client()
    client.peername = ("127.0.0.1", 5)
    flows = [made.new_flow() for _ in range(3)]
    for flow in flows:
        flow.client_conn = client
    again = read(written(*flows))
    assert again[0].client_conn is again[1].client_conn is again[2].client_conn
    assert again[0].server_conn is not again[1].server_conn


def test_ids_are_one_for_each_flow_and_stay():
    flow = made.answered(made.new_flow())
    copy = flow.copy()
    first, second = (f.metadata["original_id"] for f in read(written(flow, copy)))
    assert first != second
    (again,) = read(written(flow))
    assert again.metadata["original_id"] == first
    twins = read(written(again, again.copy()))
    assert len({twin.metadata["original_id"] for twin in twins}) == 2


def test_ids_that_are_no_uuids():
    raw = written(made.new_flow())
    raw = changed(changed(raw, "id", "my flow"), "client_conn.id", "my client")
    (flow,) = read(raw)
    assert flow.metadata["original_id"] == "my flow"
    (again,) = read(written(flow))
    assert again.client_conn.id == flow.client_conn.id
    assert again.metadata["original_id"] == "my flow"


def test_metadata_that_has_no_place_in_the_file():
    flow = made.new_flow()
    flow.metadata |= {"good": [1, {"a": b"b"}], "bad": object(), "deep": [object()]}
    notes, file = Notes(), io.BytesIO()
    mitm.Writer(file, notes).write(flow)
    (again,) = read(file.getvalue())
    assert again.metadata["good"] == [1, {"a": b"b"}]
    assert not {"bad", "deep"} & set(again.metadata)
    assert str(notes) == "left out 2 metadata values"


def test_what_mitmproxy_would_refuse_is_left_out(mitmproxy_sees, tmp_path):
    flow = made.answered(made.new_flow())
    server = flow.server_conn
    server.tls, server.tls_version = True, "TLSv1.4"
    server.certificate_list = (b"junk", b"")
    server.via = ("socks5", ("127.0.0.1", 1080))
    path = tmp_path / "x.mitm"
    path.write_bytes(written(flow))
    ((seen,),) = mitmproxy_sees(path)
    assert seen["server"]["tls_version"] is None
    assert seen["server"]["via"] is None
    assert seen["server"]["certificates"] == []


def test_flows_can_be_appended(tmp_path):
    path = tmp_path / "x.mitm"
    for number in range(3):
        with path.open("ab") as file:
            mitm.Writer(file).write(made.new_flow(url=f"http://example.org/{number}"))
    assert [flow.request.path for flow in read(path.read_bytes())] == ["/0", "/1", "/2"]


def test_states_of_flows():
    flow = made.answered(made.new_flow("POST", content=b"x"))
    again = mitm.from_state(mitm.to_state(flow))
    assert {**our_view.flow(again), "id": None} == our_view.flow(flow)
    for wrong in ({}, {"version": 21}, {"version": 21, "type": "dns"}, [], {"a": object()}):
        with pytest.raises(FormatError):
            mitm.from_state(wrong)


def test_a_writer_does_not_remember_for_ever(monkeypatch):
    monkeypatch.setattr(mitm, "_REMEMBERED", 3)
    writer = mitm.Writer(io.BytesIO())
    for _ in range(5):
        writer.write(made.new_flow())
    assert len(writer._ids) == 3
