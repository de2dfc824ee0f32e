import gzip
import hashlib
import io
import json
import tracemalloc
import zipfile
import zlib

import pytest
from hypothesis import HealthCheck, given, settings

from nbproxy.errors import FormatError
from nbproxy.formats import har, mitm
from nbproxy.formats.notes import Notes
from tests.formats import har_rules, made, our_view

BROKEN = {
    "brokenfile.har": (8, "its log is no object"),
    "broken_headers.har.json": (0, "no log with entries"),
    "har_extractor.har": (0, "no log with entries"),
    "har_extractor.from-v0.17.har": (0, "no log with entries"),
}
COUNTS = {
    "chrome": 3,
    "safari": 19,
    "postdata": 1,
    "with-bom": 1,
    "head-content-length": 1,
    "diff_data": 5,
    "incomplete_log": 4,
    "websocket": 3,
    "corrupted_gzip_body": 1,
}


def read(raw, notes=None):
    return list(har.read(io.BytesIO(raw), notes))


def written(*flows, **options):
    file = io.BytesIO()
    har.write(flows, file, **options)
    return file.getvalue()


def fields(flow):
    """Everything of a flow; a body that was coded is compared as it is decoded."""
    seen = our_view.flow(flow)
    for name in ("request", "response"):
        message = getattr(flow, name)
        if message is not None and "content-encoding" in message.headers:
            seen[name]["content"] = message.get_content(strict=False)
    return seen


def test_every_sample(data):
    for path in sorted((data / "har").iterdir()):
        if path.name in BROKEN:
            offset, words = BROKEN[path.name]
            with pytest.raises(FormatError, match=words) as caught:
                read(path.read_bytes())
            assert caught.value.offset == offset
            continue
        notes = Notes()
        flows = read(path.read_bytes(), notes)
        assert len(flows) == COUNTS.get(path.name.split(".")[0], 2), path.name
        assert not str(notes)
        assert not notes.mended


@pytest.mark.parametrize(
    "name", ["chrome", "safari", "postdata", "with-bom", "head-content-length"]
)
def test_the_samples_say_what_mitmproxy_reads_in_them(data, name):
    flows = read((data / "har" / f"{name}.har").read_bytes())
    expected = json.loads((data / "har_expected" / f"{name}.json").read_text())
    for flow, wanted in zip(flows, expected, strict=True):
        request = flow.request
        for key in ("method", "scheme", "host", "port", "path", "timestamp_start"):
            assert getattr(request, key) == wanted["request"][key]
        check_message(request, wanted["request"])
        response = flow.response
        if wanted["response"]["status_code"] == 0:
            assert response is None
            assert flow.error.msg == "net::ERR_INTERNET_DISCONNECTED"
            continue
        assert response.status_code == wanted["response"]["status_code"]
        check_message(response, wanted["response"])


def check_message(message, wanted):
    # mitmproxy adds a Content-Length where there is none, and keeps pseudo-header fields
    added = {"content-length"} - {name.lower() for name in message.headers}
    theirs = [
        [name, value]
        for name, value in wanted["headers"]
        if not name.startswith(":") and name not in added
    ]
    assert [list(pair) for pair in message.headers.items(multi=True)] == theirs
    assert message.body_size == wanted["contentLength"]
    assert hashlib.sha256(message.content).hexdigest() == wanted["contentHash"]


PAIRS = ["successful_log", "error_log", "incomplete_log", "websocket", "event_stream"]


@pytest.mark.parametrize("name", [*PAIRS, "corrupted_gzip_body"])
def test_mitmproxys_own_export_of_a_file_of_flows(data, name):
    with (data / "mitm" / f"{name}.mitm").open("rb") as file:
        flows = list(mitm.read(file))
    exported = read((data / "har" / f"{name}.har").read_bytes())
    for flow, other in zip(flows, exported, strict=True):
        assert other.request.url == flow.request.pretty_url
        assert other.request.headers == flow.request.headers
        assert other.request.timestamp_start == pytest.approx(flow.request.timestamp_start)
        assert (other.response is None) == (flow.response is None)
        if flow.response is not None:
            assert other.response.status_code == flow.response.status_code
            assert (other.response.content or b"") == (
                flow.response.get_content(strict=False) or b""
            )
        if flow.error is not None and flow.response is None:
            assert other.error.msg == flow.error.msg
        if flow.websocket is not None:
            assert other.websocket.messages == flow.websocket.messages


def test_files_of_flows_come_back_through_har(data):
    for path in sorted((data / "mitm").iterdir()):
        with path.open("rb") as file:
            flows = sorted(mitm.read(file), key=lambda flow: flow.request.timestamp_start)
        if path.stem == "dumpfile-019":  # pseudo-header fields, in which HAR sees the authority
            (flow,) = flows
            flow.request.authority = flow.request.headers.pop(":authority")
        raw = written(*flows)
        har_rules.check(json.loads(raw))
        again = read(raw)
        assert [fields(flow) for flow in again] == [fields(flow) for flow in flows], path.name


@given(made.flows())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
def test_what_is_written_is_read(flow):
    raw = written(flow)
    har_rules.check(json.loads(raw, parse_constant=pytest.fail))
    (again,) = read(raw)
    flow.intercepted = False
    assert fields(again) == fields(flow)


def test_flows_that_we_read_elsewhere_do_not_depend_on_our_own_fields(data):
    flows = read((data / "har" / "safari.har").read_bytes())
    document = json.loads(written(*flows))
    for entry in document["log"]["entries"]:
        del entry["_nbproxy"]
    again = read(json.dumps(document).encode())
    for flow, other in zip(flows, again, strict=True):
        assert other.request.url == flow.request.url
        assert other.request.headers == flow.request.headers
        assert other.response.content == flow.response.content
        assert other.duration == pytest.approx(flow.duration, abs=1e-5)
        assert other.server_conn.peername == flow.server_conn.peername


# -- the container

SMALL = written(
    made.answered(made.new_flow("POST", "http://example.org/?a=b", b"c=d"), content=b"\xff\0"),
    made.answered(made.new_flow()),
)


@pytest.mark.parametrize(
    "pack",
    [
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: b"\n\t " + raw,
        zlib.compress,
        lambda raw: zlib.compress(raw, 1),
        gzip.compress,
    ],
)
def test_ways_to_pack_a_har(pack):
    assert [flow.request.method for flow in read(pack(SMALL))] == ["POST", "GET"]


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return file.getvalue()


def test_a_zip_with_bodies_of_their_own():
    document = json.loads(SMALL)
    first, second = document["log"]["entries"]
    first["response"]["content"] = {"size": 3, "mimeType": "x/y", "_file": "abc.bin"}
    second["response"]["content"] = {"size": 3, "mimeType": "x/y", "_file": "../../etc/passwd"}
    raw = zipped(har_har=json.dumps(document), abc_bin=b"\0\1\2")
    flows = read(raw)
    assert [flow.response.content for flow in flows] == [b"\0\1\2", None]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (zipped(a_txt=b"x"), "0 HAR files"),
        (zipped(a_har=b"{}", b_har=b"{}"), "2 HAR files"),
        (zipped(a_har=SMALL)[:-30], "zip"),
        (b"PK\x03\x04", "zip"),
        (zlib.compress(b" " * 2**27), "larger than"),
        (zlib.compress(SMALL)[:-30], "middle|cut off"),
        (b"", "JSON object"),
        (b"[]", "JSON object"),
        (b"{}", "no log"),
        (b'{"log": {}}', "no log with entries"),
        (b'{"log": {"entries": {}}}', "a list"),
        (b'{"log": {"entries": []}}x', "more follows"),
        (b'{"log": {"entries": [' + b"[" * 100_000, "nested too deeply|middle of this value"),
        (b'{"log": {"entries": [' + b"9" * 100_000 + b"]}}", "too long"),
        (b'{"log": {"entries": [{"a": \xff}]}}', "not UTF-8"),
        (b'{"x": ' + b'{"a":' * 100_000, "nested too deeply|middle of this value"),
    ],
)
def test_what_is_no_har(raw, words):
    with pytest.raises(FormatError, match=words):
        read(raw)


def test_an_empty_har():
    assert read(b'{"log": {"entries": [], "version": "1.1"}, "more": [1, {}]}') == []


def check_readable(raw):
    flows, place = [], None
    try:
        flows.extend(har.read(io.BytesIO(raw)))
    except FormatError as error:
        place = error.offset
    assert place is None or 0 <= place <= len(raw)
    for flow in flows:
        repr(flow)
        json.loads(written(flow))


def test_a_har_cut_off_at_any_place():
    begins = [SMALL.index(b'{"startedDateTime"'), SMALL.rindex(b'{"startedDateTime"')]
    ends = [SMALL.rindex(b",\n"), SMALL.rindex(b"\n]}}")]
    for size in range(len(SMALL) - 1):
        found, offset = [], None
        try:
            found.extend(har.read(io.BytesIO(SMALL[:size])))
        except FormatError as error:
            offset = error.offset
        assert offset is not None
        assert len(found) == sum(1 for end in ends if end <= size)
        inside = [b for b, e in zip(begins, ends, strict=True) if b < size < e]
        assert not inside or offset == inside[0]


def test_any_flipped_bit():
    for place in range(len(SMALL)):
        raw = bytearray(SMALL)
        raw[place] ^= 1 << (place % 8)
        check_readable(bytes(raw))


def test_offsets_count_bytes():
    raw = '{"é": 1, "log": {"entries": [}}'.encode()
    with pytest.raises(FormatError) as caught:
        read(raw)
    assert caught.value.offset == raw.index(b"}")


def test_a_damaged_entry_comes_after_the_good_ones():
    raw = SMALL.replace(b'"time"', b"'time'", 2).replace(b"'time'", b'"time"', 1)
    reading = har.read(io.BytesIO(raw))
    assert next(reading).request.method == "POST"
    with pytest.raises(FormatError, match="no JSON") as caught:
        next(reading)
    assert caught.value.offset == raw.index(b"'time'")


def test_writing_holds_one_entry_at_a_time():
    flow = made.answered(made.new_flow(), content=b"x" * 10_000)

    class Void:
        size = 0

        def write(self, data):
            self.size += len(data)

    void = Void()
    tracemalloc.start()
    try:
        har.write((flow for _ in range(1000)), void)
        assert void.size > 10_000_000
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
