"""A session: written soon, read from any thread, the same connections, large bodies, space."""

import gc
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from nbproxy.errors import FormatError
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request
from nbproxy.store import chunks, writer
from nbproxy.store.capture_file import CaptureFile, take_lock
from nbproxy.store.readers import quick_turns
from nbproxy.store.session import Reader, Session
from tests.store.flow_factory import answer, end, new_flow
from tests.store.session_flows import same

ROOT = Path(__file__).parents[2]
LONG_S = 120  # ends a test that hangs


def done(path="/", **answered):
    flow = new_flow(path)
    answer(flow, **answered)
    end(flow)
    return flow


def put(session, *flows):
    for flow in flows:
        session.put(flow)
    assert session.flush(LONG_S)
    return [flow.id for flow in flows]


@pytest.fixture
def session(tmp_path):
    problems = []
    session = Session(
        directory=tmp_path / "captures", inline_limit_bytes=1000, on_problem=problems.append
    )
    yield session
    session.close(keep=False)
    assert problems == []


def until(condition, timeout_s=LONG_S):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def sql(session, query, *values):
    with closing(sqlite3.connect(session.path)) as db:
        return db.execute(query, values).fetchall()


# -- writing and reading


def test_there_is_no_file_before_there_is_something_to_write(session, tmp_path):
    assert session.path is None
    assert session.stored_bytes == 0
    assert session.read([1, 2]) == [None, None]
    assert session.columns(None)[0] == session.ids() == []
    assert session.flush(1)
    session.delete(None)
    assert not (tmp_path / "captures").exists()
    assert not [t for t in threading.enumerate() if t is session._writer._thread]


def test_a_flow_comes_back(session):
    flow = done("/a")
    flow.metadata["note"] = {"a": (1, b"2")}
    number = flow.id
    put(session, flow)
    [again, missing] = session.read([number, number + 1000])
    assert missing is None
    assert again is not flow
    assert same(flow, again)
    assert (again.id, session.ids()) == (number, [number])
    assert again.client_conn is flow.client_conn


def test_a_flow_is_written_soon_without_being_asked(session, tmp_path):
    flow = done()
    session.put(flow)
    until(lambda: session.ids() == [flow.id])


def test_a_change_replaces_what_was_written(session):
    flow = done()
    put(session, flow)
    flow.comment = "seen"
    flow.response = None
    put(session, flow)
    [again] = session.read([flow.id])
    assert (again.comment, again.response) == ("seen", None)
    assert session.ids() == [flow.id]


def test_the_newest_of_several_changes_wins_in_one_batch(session):
    flows = [done(f"/{i}") for i in range(600)]
    for _ in range(3):
        for flow in flows:
            flow.comment += "x"
            session.put(flow)
    assert session.flush(LONG_S)
    assert {flow.comment for flow in session.read([flow.id for flow in flows])} == {"xxx"}


def test_told_what_is_written_and_nobody_else_holds_it(tmp_path):
    told = []
    counts = []
    held, go_on = threading.Event(), threading.Event()

    def stored(written, lossy):
        if not held.is_set():  # the first one is there only to keep the writer waiting
            held.set()
            go_on.wait(LONG_S)
            return
        counts.extend(sys.getrefcount(flow) for flow in written)
        told.extend((flow.id, flow.id not in lossy) for flow in written)

    session = Session(directory=tmp_path, on_stored=stored)
    session.put(done())
    assert held.wait(LONG_S)
    plain, odd = done(), done()
    odd.metadata["x"] = object()
    ids = [plain.id, odd.id]
    session.put(plain)
    session.put(odd)
    del plain, odd
    go_on.set()
    assert session.flush(LONG_S)
    assert told == [(ids[0], True), (ids[1], False)]
    # the list, the loop's variable, and the argument of getrefcount
    assert counts == [3, 3]
    session.close(keep=False)


def test_who_is_told_may_fail(tmp_path, caplog):
    def stored(written, lossy):
        raise RuntimeError("no")

    session = Session(directory=tmp_path, on_stored=stored)
    ids = put(session, done(), done())
    assert session.ids() == ids
    assert "could not be reported" in caplog.text
    session.close(keep=False)


def test_waiting_is_known_until_the_row_is_made(tmp_path):
    seen = []
    flow = done()
    held, go_on = threading.Event(), threading.Event()

    def stored(written, lossy):
        seen.append(flow.id in session.waiting)
        held.set()
        go_on.wait(LONG_S)

    session = Session(directory=tmp_path, on_stored=stored)
    session.put(flow)
    assert held.wait(LONG_S)
    assert seen == [False]
    session.put(flow)
    session.put(flow)
    assert flow.id in session.waiting
    go_on.set()
    assert session.flush(LONG_S)
    assert flow.id not in session.waiting
    session.close(keep=False)


def test_many_threads_read_while_one_writes(session):
    flows = [done(f"/{i}", content=b"%d" % i * 50) for i in range(2000)]
    errors = []

    def read():
        try:
            while len(known := session.ids()) < len(flows):
                for number, flow in zip(known[-50:], session.read(known[-50:]), strict=True):
                    assert flow.id == number
                    assert flow.response.raw_content == flow.request.path[1:].encode() * 50
        except Exception as error:  # noqa: BLE001 - a thread's failure is looked at below
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for flow in flows:
        session.put(flow)
    for thread in threads:
        thread.join(LONG_S)
        assert not thread.is_alive()
    assert errors == []


# -- connections


def test_connections_are_shared_also_when_made_anew(session):
    flows = [done(f"/{i}") for i in range(3)]
    for flow in flows[1:]:
        flow.client_conn, flow.server_conn = flows[0].client_conn, flows[0].server_conn
    client, server = flows[0].client_conn, flows[0].server_conn
    server.certificate_list = (b"leaf", b"issuer")
    number = client.id
    ids = put(session, *flows)
    del flows, client, server, flow
    gc.collect()
    again = session.read(ids)
    assert len({flow.client_conn for flow in again}) == len({f.server_conn for f in again}) == 1
    assert again[0].client_conn.id == number
    assert again[0].server_conn.certificate_list == (b"leaf", b"issuer")
    assert session.read(ids[:1])[0].client_conn is again[0].client_conn
    assert sql(session, "SELECT count(*) FROM connections") == [(2,)]
    assert sql(session, "SELECT count(*) FROM certificates") == [(2,)]


def test_a_connection_is_written_again_when_it_closes(session):
    flow = done()
    flow.client_conn.timestamp_start = 1.0
    put(session, flow)
    assert sql(session, "SELECT ended FROM connections WHERE kind = 'client'") == [(None,)]
    flow.client_conn.timestamp_end = 2.0
    flow.client_conn.requests = 7
    closed = ("SELECT ended, requests FROM connections WHERE kind = 'client'",)
    until(lambda: sql(session, *closed) == [(2.0, 7)])


def test_open_connections_that_are_watched_are_bounded(session, monkeypatch):
    monkeypatch.setattr("nbproxy.store.batches._MAX_OPEN", 3)
    flows = [done() for _ in range(5)]
    for flow in flows:
        flow.client_conn.timestamp_start = 1.0
    put(session, *flows)
    assert len(session._writer._recorded.batches._open) == 3


def test_a_flow_without_connections_has_no_rows_of_them(session):
    flow = HTTPFlow(Request("GET", "http", "example.org", 80, "/"))
    put(session, flow)
    assert sql(session, "SELECT count(*) FROM connections") == [(0,)]
    [again] = session.read([flow.id])
    assert same(flow, again)


# -- large bodies


def test_a_small_body_stays_in_memory(session):
    sink = session.sink()
    sink.write(b"ab")
    sink.write(bytearray(b"cd"))
    assert (sink.size_bytes, sink.read(), sink.close()) == (4, b"abcd", b"abcd")
    assert session.path is None


def test_a_large_body_is_written_while_it_comes(session):
    sink = session.sink()
    parts = [bytes([i]) * 700 for i in range(100)]
    whole = b""
    for part in parts:
        sink.write(part)
        whole += part
        assert sink.read() == whole
        assert sink.size_bytes == len(sink) == len(whole)
    assert session.flush(LONG_S)
    assert sink.written
    body = sink.close()
    assert body.read() == whole
    assert session.flush(LONG_S)
    assert body.in_memory is False
    assert not body._waiting
    assert body.read() == b"".join(body.chunks(333)) == whole
    assert max(map(len, body.chunks(333))) == 333
    assert "truncated" not in repr(body)


def test_pieces_have_a_bounded_size(session, monkeypatch):
    monkeypatch.setattr(chunks, "MAX_PIECE", 5000)
    sink = session.sink()
    data = os.urandom(12_345)
    sink.write(data)
    body = sink.close()
    assert session.flush(LONG_S)
    assert (body.written, body.read()) == (3, data)


def test_a_flow_refers_to_the_body_that_was_written(session):
    sink = session.sink()
    sink.write(b"x" * 5000)
    flow = done()
    flow.response.hold_body(sink.close())
    put(session, flow)
    [again] = session.read([flow.id])
    assert again.response.raw_content == b"x" * 5000
    assert sql(session, "SELECT count(*) FROM chunks") == [(1,)]
    assert sql(session, "SELECT response_bytes, response_body FROM flows") == [(5000, None)]
    other = flow.copy()
    put(session, other)
    assert sql(session, "SELECT count(*) FROM chunks") == [(1,)]


def test_large_bytes_and_bodies_from_elsewhere_are_written_too(session, tmp_path):
    flow, other = done(content=b"a" * 3000), done()
    elsewhere = Session(directory=tmp_path / "elsewhere", inline_limit_bytes=10)
    sink = elsewhere.sink()
    sink.write(b"b" * 4000)
    other.response.hold_body(sink.close())
    assert elsewhere.flush()
    elsewhere.close(keep=False)
    ids = put(session, flow, other)
    one, two = session.read(ids)
    assert one.response.raw_content == b"a" * 3000
    assert two.response.raw_content == b"b" * 4000
    assert not one.response.holds_bytes
    assert sql(session, "SELECT count(*) FROM chunks") == [(2,)]


def test_a_body_that_cannot_be_read_is_marked_truncated(session):
    class Gone:
        size_bytes = 10

        def read(self):
            raise OSError("gone")

    flow = done()
    flow.response.hold_body(Gone())
    put(session, flow)
    [again] = session.read([flow.id])
    assert again.response.raw_content == b""
    assert again.response._content.truncated
    assert "truncated" in repr(again.response._content)


def test_a_flow_is_written_while_its_body_still_comes(session):
    flow = done()
    sink = session.sink()
    flow.response.hold_body(sink)
    sink.write(b"x" * 5000)
    sink.write(b"y" * 500)
    put(session, flow)
    assert session.read([flow.id])[0].response.raw_content == b"x" * 5000 + b"y" * 500
    sink.write(b"z" * 2000)
    flow.response.hold_body(sink.close())
    put(session, flow)
    [again] = session.read([flow.id])
    assert again.response.raw_content == b"x" * 5000 + b"y" * 500 + b"z" * 2000


def test_a_growing_small_body_is_written_as_it_is(session):
    flow = done()
    sink = session.sink()
    flow.response.hold_body(sink)
    sink.write(b"abc")
    put(session, flow)
    assert session.read([flow.id])[0].response.raw_content == b"abc"


# -- deleting


def test_deleting_is_in_order_with_writing(session):
    flows = [done() for _ in range(5)]
    put(session, *flows[:3])
    session.delete([flows[0].id, flows[3].id])
    session.put(flows[3])
    session.delete({flows[1].id})
    session.put(flows[4])
    assert session.flush(LONG_S)
    assert session.ids() == [flows[i].id for i in (2, 3, 4)]
    session.delete(None)
    assert session.flush(LONG_S)
    assert session.ids() == []


def test_space_is_given_back(session):
    ids = put(session, *(done(content=os.urandom(900)) for _ in range(2000)))
    session._writer.order(
        lambda: session._writer._recorded.batches.file.db.execute(
            "PRAGMA wal_checkpoint(TRUNCATE)"
        ).fetchall()
    )
    large = session.stored_bytes
    session.delete(ids[:1900])
    assert session.flush(LONG_S)
    until(lambda: not session._writer._recorded.batches._pages_to_free)
    session._writer.order(
        lambda: session._writer._recorded.batches.file.db.execute(
            "PRAGMA wal_checkpoint(TRUNCATE)"
        ).fetchall()
    )
    assert session.stored_bytes < large / 5


def test_a_large_body_goes_with_the_last_flow_and_object_that_has_it(session):
    count = "SELECT count(*) FROM chunks"
    flow = done(content=b"x" * 3000)
    put(session, flow)
    [again] = session.read([flow.id])
    body = again.response._content
    copy = again.copy()
    put(session, copy)
    session.delete([flow.id])
    assert session.flush(LONG_S)
    assert sql(session, count) == [(1,)]
    session.delete([copy.id])
    assert session.flush(LONG_S)
    assert body.read() == b"x" * 3000
    del body, again, copy
    until(lambda: sql(session, count) == [(0,)])


def test_the_old_body_goes_when_a_flow_gets_another(session):
    flow = done(content=b"x" * 3000)
    put(session, flow)
    flow.response.content = b"y" * 2000
    put(session, flow)
    assert session.read([flow.id])[0].response.raw_content == b"y" * 2000
    until(lambda: sql(session, "SELECT sum(length(data)) FROM chunks") == [(2000,)])


# -- the file


@pytest.mark.parametrize(("temporary", "waits"), [(True, 0), (False, 1)])
def test_only_a_file_that_stays_waits_for_the_disk(tmp_path, temporary, waits):
    file = CaptureFile(tmp_path / "a.nbproxy", temporary=temporary)
    assert file.db.execute("PRAGMA synchronous").fetchall() == [(waits,)]
    file.end()


def test_the_file_is_private(session, tmp_path):
    put(session, done())
    folder = tmp_path / "captures"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.iterdir())
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert session.path in files


def test_reading_goes_on_after_the_end_and_the_file_goes_with_the_last_reader(tmp_path):
    session = Session(directory=tmp_path, inline_limit_bytes=100)
    flow = done(content=b"x" * 1000)
    put(session, flow)
    session.close(keep=False)
    assert session.flush(1)
    session.put(done())
    [again] = session.read([flow.id])
    assert session.columns(None)[0] == [flow.id]
    assert list(tmp_path.glob("*.nbproxy"))
    del session
    gc.collect()
    assert again.response.raw_content == b"x" * 1000
    del again
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_session_that_nobody_closed_ends_by_itself(tmp_path):
    session = Session(directory=tmp_path)
    put(session, done())
    del session

    def gone():
        gc.collect()  # the file goes with the last who refers to it, the writer's thread too
        return list(tmp_path.iterdir()) == []

    until(gone)


def test_a_capture_that_is_kept_is_one_plain_file(tmp_path):
    path = tmp_path / "mine.nbproxy"
    session = Session(path)
    assert session.path == path
    flows = [done(f"/{i}") for i in range(3)]
    put(session, *flows)
    session.close(keep=True)
    session.close(keep=True)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.nbproxy"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes()[18:20] == b"\1\1"  # no log beside it: anybody can read it
    assert [f.request.path for f in session.read([f.id for f in flows])] == ["/0", "/1", "/2"]


def test_closing_writes_what_waits(tmp_path):
    path = tmp_path / "mine.nbproxy"
    session = Session(path)
    for i in range(500):
        session.put(done(f"/{i}"))
    session.close(keep=True)
    assert len(Reader(path).ids()) == 500


def test_a_capture_without_flows_is_kept_as_well(tmp_path):
    path = tmp_path / "mine.nbproxy"
    Session(path).close(keep=True)
    assert Reader(path).ids() == []


def test_a_capture_is_appended_to(tmp_path):
    path = tmp_path / "mine.nbproxy"
    for round_ in range(3):
        session = Session(path, inline_limit_bytes=100)
        flows = [done(f"/{round_}/{i}", content=b"%d" % i * 200) for i in range(2)]
        ids = put(session, *flows)
        assert session.ids() == ids
        for flow, again in zip(flows, session.read(ids), strict=True):
            assert same(flow, again)
        session.close(keep=True)
    reader = Reader(path)
    flows = reader.read(reader.ids())
    assert [flow.request.path for flow in flows] == [f"/{a}/{b}" for a in range(3) for b in (0, 1)]
    assert [f.response.raw_content for f in flows] == [b"0" * 200, b"1" * 200] * 3
    assert [flow.client_conn.peername for flow in flows] == [("127.0.0.1", 5312)] * 6


def test_deleting_all_leaves_what_others_recorded(tmp_path):
    path = tmp_path / "mine.nbproxy"
    for _ in range(2):
        session = Session(path)
        put(session, done(), done())
        session.delete(None)
        put(session, done())
        session.close(keep=True)
    assert len(Reader(path).ids()) == 2


def test_two_do_not_record_to_one_file(tmp_path):
    path = tmp_path / "mine.nbproxy"
    session = Session(path)
    with pytest.raises(FormatError, match=r"mine\.nbproxy: .* recorded by somebody else"):
        Session(path)
    session.close(keep=True)
    Session(path).close(keep=True)


@pytest.mark.parametrize("content", [b"hello, world" * 100, b"SQLite format 3\0" * 100])
def test_something_else_is_refused(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="not a capture"):
        Session(path)
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_another_database_is_refused(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (x)")
    before = path.read_bytes()
    with pytest.raises(FormatError, match="a SQLite database, but not a capture"):
        Session(path)
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_said_at_once(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        Session(tmp_path / "nowhere" / "mine.nbproxy")


# -- moving


def test_recording_goes_on_at_another_path(session, tmp_path):
    flows = [done(f"/{i}", content=b"%d" % i * 2000) for i in range(3)]
    ids = put(session, *flows[:2])
    old = session.path
    before = session.read(ids)
    sink = session.sink()
    sink.write(b"a" * 2000)
    assert session.flush(LONG_S)
    target = tmp_path / "mine.nbproxy"
    session.move(target)
    assert session.path == target
    assert not old.exists()
    sink.write(b"b" * 2000)
    flows[2].response.hold_body(sink.close())
    ids += put(session, flows[2])
    assert session.read(ids)[2].response.raw_content == b"a" * 2000 + b"b" * 2000
    assert before[1].response.raw_content == b"1" * 2000
    assert [flow.request.path for flow in session.read(ids)] == ["/0", "/1", "/2"]
    session.move(target)
    session.close(keep=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["captures", "mine.nbproxy"]
    assert list((tmp_path / "captures").iterdir()) == []
    reader = Reader(target)
    contents = [flow.response.raw_content for flow in reader.read(reader.ids())]
    assert contents == [b"0" * 2000, b"1" * 2000, b"a" * 2000 + b"b" * 2000]


def test_moving_before_there_is_a_file(session, tmp_path):
    target = tmp_path / "mine.nbproxy"
    session.move(target)
    put(session, done())
    assert session.path == target


def test_moving_to_a_capture_appends_to_it(session, tmp_path):
    target = tmp_path / "mine.nbproxy"
    other = Session(target, inline_limit_bytes=1000)
    put(other, *(done(f"/old/{i}", content=b"old" * 500) for i in range(3)))
    other.close(keep=True)
    flow = done("/new/0", content=b"new" * 500)
    [number] = put(session, flow)
    [again] = session.read([number])
    session.move(target)
    assert again.response.raw_content == b"new" * 500
    assert session.read([number])[0].response.raw_content == b"new" * 500
    flow.comment = "changed"
    put(session, flow, done("/new/1", content=b"two" * 500))
    session.delete([])
    session.close(keep=True)
    reader = Reader(target)
    flows = reader.read(reader.ids())
    paths = [f"/old/{i}" for i in range(3)] + ["/new/0", "/new/1"]
    assert [flow.request.path for flow in flows] == paths
    assert flows[3].comment == "changed"
    words = [b"old"] * 3 + [b"new", b"two"]
    assert [flow.response.raw_content for flow in flows] == [word * 500 for word in words]


def test_a_kept_capture_stays_where_it_was(tmp_path):
    one, two = tmp_path / "one.nbproxy", tmp_path / "two.nbproxy"
    session = Session(one)
    put(session, done())
    session.move(two)
    put(session, done())
    session.close(keep=True)
    assert (len(Reader(one).ids()), len(Reader(two).ids())) == (1, 2)


@pytest.mark.parametrize("kind", ["else", "nowhere", "in use"])
def test_where_it_cannot_move_it_stays(session, tmp_path, kind):
    target = tmp_path / ("nowhere/x" if kind == "nowhere" else "x")
    if kind == "else":
        target.write_bytes(b"something else" * 100)
    lock = take_lock(target) if kind == "in use" else None
    ids = put(session, done())
    old = session.path
    with pytest.raises((FormatError, OSError)):
        session.move(target)
    ids += put(session, done())
    assert session.path == old
    assert session.ids() == ids
    if lock is not None:
        os.close(lock)


def test_a_closed_session_does_not_move(tmp_path):
    session = Session(directory=tmp_path)
    put(session, done())
    session.close(keep=False)
    with pytest.raises(RuntimeError, match="has ended"):
        session.move(tmp_path / "x.nbproxy")


# -- congestion


def test_congested_while_too_much_waits(tmp_path):
    held, go_on = threading.Event(), threading.Event()

    def stored(written, lossy):
        held.set()
        go_on.wait(LONG_S)

    session = Session(directory=tmp_path, on_stored=stored)
    called = threading.Event()
    session.when_room(called.set)
    assert called.is_set()
    session.put(done())
    assert held.wait(LONG_S)
    for _ in range(writer.MAX_WAITING + 1):
        assert not session.congested
        session.put(done())
    assert session.congested
    room, late = threading.Event(), threading.Event()
    session.when_room(room.set)
    session.when_room(late.set)
    session.when_room(lambda: 1 / 0)
    assert not room.is_set()
    go_on.set()
    assert room.wait(LONG_S)
    assert late.wait(LONG_S)
    until(lambda: not session.congested)
    session.close(keep=False)


def test_bytes_congest_too(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "CONGESTED_BYTES", 10_000)
    held, go_on = threading.Event(), threading.Event()

    def stored(written, lossy):
        held.set()
        go_on.wait(LONG_S)

    session = Session(directory=tmp_path, on_stored=stored)
    session.put(done())
    assert held.wait(LONG_S)
    session.put(done(content=b"x" * 6000))
    assert not session.congested
    sink = session.sink()
    sink._limit = 100
    sink.write(b"x" * 6000)
    assert session.congested
    go_on.set()
    assert session.flush(LONG_S)
    assert not session.congested
    session.close(keep=False)


# -- other processes


def test_others_read_it_while_it_is_recorded(session, tmp_path):
    put(session, *(done(f"/{i}") for i in range(3)))
    program = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute(sys.argv[2]))"
    seen = subprocess.run(
        [sys.executable, "-c", program, session.path, "SELECT path, duration, ttfb FROM flows"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert seen.split("\n")[0] == "('/0', 0.5, 0.25) ('/1', 0.5, 0.25) ('/2', 0.5, 0.25)"
    put(session, done("/3"))
    assert sql(session, "SELECT count(*) FROM flows") == [(4,)]


def test_a_forked_child_leaves_the_capture_alone(session):
    [number] = put(session, done("/a"))
    until(lambda: session._writer._asleep)  # and is nowhere in SQLite, whose locks a child inherits
    child = os.fork()
    if child == 0:
        code = 1
        try:
            session.put(done())
            read = session.read([number])[0].request.path == "/a"
            code = 0 if read and session.flush(1) is not None else 2
            session.close(keep=False)
            gc.collect()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert session.path.exists()
    put(session, done())
    assert len(session.ids()) == 2


@pytest.mark.parametrize("keep", [True, False])
def test_at_the_end_of_the_process(tmp_path, keep):
    program = f"""
import sys
from pathlib import Path
from tests.store.flow_factory import answer, end, new_flow
from nbproxy.store.session import Session
folder = Path(sys.argv[1])
session = Session({"folder / 'mine.nbproxy'" if keep else "directory=folder"})
for i in range(300):
    flow = new_flow(); answer(flow); end(flow); session.put(flow)
    if i == 100:
        session.flush()
held = session.read([flow.id - 250])[0]
"""
    subprocess.run([sys.executable, "-c", program, tmp_path], cwd=ROOT, check=True)
    if keep:
        assert [file.name for file in tmp_path.iterdir()] == ["mine.nbproxy"]
        assert len(Reader(tmp_path / "mine.nbproxy").ids()) == 300
    else:
        assert list(tmp_path.iterdir()) == []


def test_the_switch_interval_is_as_before(session):
    with quick_turns._lock:  # sessions of earlier tests change it too, on their threads
        usual = quick_turns._usual if quick_turns._count else sys.getswitchinterval()
    ids = put(session, done())
    session.read(ids)
    until(lambda: sys.getswitchinterval() == usual)


def test_the_writer_rests_when_nothing_comes_and_wakes_again(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "_IDLE_S", 0.01)
    session = Session(tmp_path / "mine.nbproxy")
    ids = put(session, done())
    until(lambda: session._writer._thread is None)
    ids += put(session, done())
    until(lambda: session._writer._thread is None)
    session.move(tmp_path / "other.nbproxy")
    assert session.ids() == ids
    until(lambda: session._writer._thread is None)
    last = done()
    session.put(last)
    session.close(keep=True)
    assert len(Reader(tmp_path / "other.nbproxy").ids()) == 3


def test_resting_and_putting_at_the_same_time_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "_IDLE_S", 0.0)
    monkeypatch.setattr(writer, "_TICK_S", 0.001)
    monkeypatch.setattr(writer, "_GATHER_S", 0.0)
    session = Session(tmp_path / "mine.nbproxy")
    flows = [done() for _ in range(300)]
    for number, flow in enumerate(flows):
        session.put(flow)
        if number % 3 == 0:
            session.rest(LONG_S)
        elif number % 7 == 0:
            session._writer.order(lambda: None, LONG_S)
    session.close(keep=True)
    assert session.ids() == [flow.id for flow in flows]


def test_if_no_thread_can_be_started(tmp_path, monkeypatch, caplog):
    session = Session(tmp_path / "mine.nbproxy")

    def fail(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    session.put(done())
    assert "cannot be started" in caplog.text
    session.move(tmp_path / "other.nbproxy")
    session.close(keep=True)
    assert len(session.ids()) == 1
