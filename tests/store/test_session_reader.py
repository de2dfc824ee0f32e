"""Captures that are only read: recorded by others just now, on a read-only disk, old, damaged."""

import contextlib
import os
import re
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from nbproxy.errors import FormatError
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request
from nbproxy.store import connections, decoding, encoding, session_schema
from nbproxy.store.capture_file import take_lock
from nbproxy.store.captures import recover
from nbproxy.store.rows import read_rows
from nbproxy.store.saved_file import is_capture
from nbproxy.store.schema import COLUMNS, HIDDEN
from nbproxy.store.session import Reader, Session, write_capture
from tests.store.flow_factory import answer, end, new_flow
from tests.store.session_flows import same


def done(path="/", **answered):
    flow = new_flow(path)
    answer(flow, **answered)
    end(flow)
    return flow


@pytest.fixture
def flows():
    flows = [done(f"/{i}", content=b"%d" % i * 200_000) for i in range(3)]
    flows[1].client_conn, flows[1].server_conn = flows[0].client_conn, flows[0].server_conn
    return flows


@pytest.fixture
def path(tmp_path, flows):
    path = tmp_path / "mine.nbproxy"
    assert write_capture(iter(flows), path) == 3
    return path


def tables(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()


# -- reading


def test_flows_get_ids_of_this_process(path, flows):
    reader = Reader(path)
    ids = reader.ids()
    later = new_flow()
    assert ids == sorted(set(ids))
    assert flows[-1].id < ids[0] <= ids[-1] < later.id
    read = reader.read(ids)
    assert all(map(same, flows, read))
    assert [flow.id for flow in read] == ids
    assert read[0].client_conn is read[1].client_conn is not read[2].client_conn
    assert read[0].client_conn.id > flows[2].client_conn.id
    assert reader.read([ids[0], ids[0] - 1])[1] is None
    assert reader.ids() == ids
    assert reader.path == path


def test_ids_can_be_given(path):
    assert Reader(path, first_id=1000).ids() == [1000, 1001, 1002]


def test_columns(path, flows):
    reader = Reader(path)
    ids, values = reader.columns(None)
    assert ids == reader.ids()
    assert values == read_rows(flows)
    assert values.keys() == {column.name for column in (*COLUMNS, *HIDDEN)}
    some, values = reader.columns([ids[2], ids[0], 10**9])
    assert some == [ids[0], ids[2]]
    assert values["path"] == ["/0", "/2"]


@pytest.mark.parametrize("authority", ["", "named.test", "named.test:8080", "[::1]:1", "a b"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["origin.test", "::1"])
def test_columns_of_requests_without_host_need_no_flows(
    tmp_path, monkeypatch, authority, scheme, host
):
    flow = done("*")
    flow.request.headers.pop("host", None)
    flow.request.scheme, flow.request.host = scheme, host
    flow.request.headers.pop("host", None)
    flow.request.authority = authority
    write_capture(iter([flow]), tmp_path / "a.nbproxy")
    reader = Reader(tmp_path / "a.nbproxy")
    monkeypatch.setattr(decoding, "from_row", None)
    _, values = reader.columns(None)
    assert values == read_rows([flow])


def test_a_column_that_is_new_is_read_off_the_flows(path, monkeypatch):
    monkeypatch.setattr("nbproxy.store.rowcolumns._PLAIN", ("time", "scheme", "host", "port"))
    monkeypatch.setattr("nbproxy.store.rowcolumns._FLAGS", ())
    _, values = Reader(path).columns(None)
    assert values["path"] == ["/0", "/1", "/2"]


def test_it_grows_while_somebody_records(tmp_path):
    path = tmp_path / "mine.nbproxy"
    session = Session(path)
    session.put(done("/0"))
    assert session.flush(120)
    readers = [Reader(path), Reader(path)]
    first = [reader.ids() for reader in readers]
    assert [len(ids) for ids in first] == [1, 1]
    new_flow()
    session.put(done("/1"))
    assert session.flush(120)
    for reader, before in zip(readers, first, strict=True):
        ids = reader.ids()
        assert ids[:1] == before
        assert [flow.request.path for flow in reader.read(ids)] == ["/0", "/1"]
    assert not set(readers[0].ids()) & set(readers[1].ids())
    session.delete(session.ids()[:1])
    assert session.flush(120)
    gone, there = readers[0].read(readers[0].ids())
    assert gone is None
    assert there.request.path == "/1"
    session.close(keep=False)


def test_two_read_while_one_writes(tmp_path):
    path = tmp_path / "mine.nbproxy"
    session = Session(path)
    errors = []
    ended = threading.Event()

    def read():
        try:
            reader = Reader(path)
            while not ended.is_set():
                ids = reader.ids()
                for i, flow in enumerate(reader.read(ids)):
                    assert flow.request.path == f"/{i}"
                assert len(reader.columns(ids)[0]) == len(ids)
        except Exception as error:  # noqa: BLE001 - a thread's failure is looked at below
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(1500):
        session.put(done(f"/{i}"))
    assert session.flush(120)
    ended.set()
    for thread in threads:
        thread.join(60)
    assert errors == []
    session.close(keep=True)


def test_is_capture(path, tmp_path):
    assert is_capture(path)
    session = Session(tmp_path / "live.nbproxy")
    session.put(done())
    assert session.flush(120)
    assert is_capture(tmp_path / "live.nbproxy")
    session.close(keep=True)
    other = tmp_path / "other"
    for content in (b"", b"SQLite format 3\0" + bytes(100), b"HAR"):
        other.write_bytes(content)
        assert not is_capture(other)


@pytest.mark.parametrize("content", [b"", b"hello" * 100, b"SQLite format 3\0" * 50])
def test_what_is_no_capture(tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"x: this is (an empty file, )?not a capture"):
        Reader(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        Reader(tmp_path / "nothing")


def test_a_damaged_file(path):
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises((FormatError, OSError), match=r"cannot be read|not a capture"):
        Reader(path).ids()


def test_damage_that_sqlite_cannot_say_in_utf_8(path):
    """Its message quotes the damaged schema; Python fails to decode that."""
    content = path.read_bytes()
    content = content.replace(b"indexflows_time", b"index\xff\xfe\xfd\xfc\xfb_time")
    path.write_bytes(content.replace(b"CREATE INDEX flows_time", b"CRXXTE INDEX flows_time"))
    with pytest.raises(FormatError, match=r"mine\.nbproxy: .*malformed database schema"):
        Reader(path)
    (left,) = recover(path.parent)
    assert left.problem.startswith("damaged: ")


def test_damaged_inside(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP TABLE connections")
    reader = Reader(path)
    with pytest.raises(OSError, match="cannot be read"):
        reader.read(reader.ids())


def test_others_may_have_written_anything(path, flows):
    """Nothing of it is trusted: no exception but the documented one, no unbounded work."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE flows SET extra = '[1', metadata = '{}}', websocket = '7'")
        db.execute("UPDATE flows SET request_headers = 'no colon\nx: y'")
        db.execute("UPDATE flows SET response_headers = 5 WHERE path = '/1'")
        db.execute(
            "UPDATE connections SET peer = 'nobody', certificates = '{', extra = '{\"set\"}'"
        )
    reader = Reader(path)
    first, second, _ = reader.read(reader.ids())
    assert first.request.path == "/0"
    assert first.metadata == {}
    assert "damaged" in second.error.msg
    assert second.request.path == "/1"
    assert first.request.headers.fields == ((b"no colon", b""), (b"x", b"y"))
    reader.columns(None)


# -- read-only disks; there is no such thing as a read-only folder for root


@pytest.fixture
def read_only(monkeypatch):
    """Nothing can be made in a folder, as far as SQLite is told."""
    real = sqlite3.connect

    def connect(name, *args, **options):
        text = str(name)
        if "mode=ro" in text and "immutable" not in text:
            folder = str(Path(text.removeprefix("file:").partition("?")[0]).parent)
            if folder.endswith("read-only"):
                raise sqlite3.OperationalError("unable to open database file")
        return real(name, *args, **options)

    monkeypatch.setattr(sqlite3, "connect", connect)


def test_on_a_read_only_disk(tmp_path, path, flows, read_only):
    folder = tmp_path / "read-only"
    folder.mkdir()
    shutil.copy(path, folder)
    reader = Reader(folder / path.name)
    assert all(map(same, flows, reader.read(reader.ids())))


def test_on_a_read_only_disk_with_a_log(tmp_path, flows, read_only):
    source = tmp_path / "mine.nbproxy"
    session = Session(source)
    for flow in flows:
        session.put(flow)
    assert session.flush(120)
    folder = tmp_path / "read-only"
    folder.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{source}{suffix}", folder)
    reader = Reader(folder / source.name)
    assert len(reader.ids()) == 3
    assert sorted(each.name for each in Path(folder).iterdir()) == [
        "mine.nbproxy",
        "mine.nbproxy-wal",
    ]
    session.close(keep=False)


# -- writing


def test_a_capture_is_replaced_at_once(path, flows):
    assert write_capture(flows[1:], path) == 2
    assert len(Reader(path).ids()) == 2
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o077 == 0


def test_if_writing_fails_the_old_one_stays(path, flows):
    before = path.read_bytes()

    def failing():
        yield flows[0]
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_capture(failing(), path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_log_of_an_old_capture_is_not_taken_for_that_of_the_new(tmp_path, flows):
    live = tmp_path / "live"
    session = Session(live)
    session.put(done("/old"))
    assert session.flush(120)
    path = tmp_path / "mine.nbproxy"
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(f"{live}{suffix}", f"{path}{suffix}")  # as after a crash
    session.close(keep=False)
    write_capture(flows, path)
    reader = Reader(path)
    assert [flow.request.path for flow in reader.read(reader.ids())] == ["/0", "/1", "/2"]


def test_one_that_is_recorded_is_not_replaced(path, flows):
    lock = take_lock(path)
    with pytest.raises(FormatError, match="is being recorded"):
        write_capture(flows, path)
    os.close(lock)


def test_a_folder_that_is_not_there(tmp_path, flows):
    with pytest.raises(OSError, match="nowhere"):
        write_capture(flows, tmp_path / "nowhere" / "x.nbproxy")


def test_flows_are_written_in_the_order_they_come(tmp_path, flows):
    path = tmp_path / "x.nbproxy"
    backwards = [flows[2], flows[0], flows[2]]
    assert write_capture(backwards, path) == 3
    reader = Reader(path)
    assert all(map(same, backwards, reader.read(reader.ids())))


def test_more_flows_than_are_held(tmp_path):
    path = tmp_path / "x.nbproxy"
    count = write_capture(
        (HTTPFlow(Request("GET", "http", "h", 80, f"/{i}")) for i in range(1000)), path
    )
    reader = Reader(path)
    assert count == 1000
    paths = [flow.request.path for flow in reader.read(reader.ids())]
    assert paths == [f"/{i}" for i in range(1000)]


# -- versions


def make_old(path):
    """Turn a capture into one of version 1, as that was."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("ALTER TABLE flows DROP COLUMN created")
        db.execute("PRAGMA user_version = 1")


@pytest.mark.parametrize("how", ["reader", "session", "read only", "recorded by an older one"])
def test_an_older_version_is_migrated(path, flows, how, tmp_path, read_only):
    make_old(path)
    lock = None
    if how == "session":
        Session(path).close(keep=True)
    elif how == "read only":
        folder = tmp_path / "read-only"
        folder.mkdir()
        path = path.rename(folder / path.name)
    elif how == "recorded by an older one":
        lock = take_lock(path)
    reader = Reader(path)
    assert all(map(same, flows, reader.read(reader.ids())))
    with contextlib.closing(sqlite3.connect(path)) as db:
        [(version,)] = db.execute("PRAGMA user_version").fetchall()
    untouched = how in {"read only", "recorded by an older one"}
    assert version == (1 if untouched else session_schema.VERSION)
    if lock is not None:
        os.close(lock)


def test_a_newer_version_is_refused(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    for open_it in (Reader, Session):
        with pytest.raises(FormatError, match=r"mine\.nbproxy: .* version 99.* upgrade nbproxy"):
            open_it(path)
    assert path.read_bytes() == before


def test_a_migration_that_fails_changes_nothing(path, monkeypatch):
    make_old(path)
    before = tables(path)
    monkeypatch.setitem(
        session_schema.MIGRATIONS, 1, ("ALTER TABLE flows ADD COLUMN created REAL", "no SQL")
    )
    with pytest.raises(sqlite3.OperationalError):
        Session(path)
    assert tables(path) == before
    with pytest.raises(FormatError):
        Reader(path)


def test_every_version_has_a_way_to_the_next():
    assert set(session_schema.MIGRATIONS) == set(range(1, session_schema.VERSION))


def test_the_tables_have_the_columns_that_are_written(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        for table, columns in (
            ("flows", encoding.COLUMNS),
            ("connections", connections.COLUMNS),
            ("messages", encoding.MESSAGES),
        ):
            there = [row[1] for row in db.execute(f"PRAGMA table_xinfo({table})")]
            assert set(columns) <= set(there)
        first = [row[1] for row in db.execute("PRAGMA table_xinfo(flows)")]
    assert first[1 : len(COLUMNS) + 1] == [column.name for column in COLUMNS]


def test_the_documentation_names_every_table_and_is_true(path):
    doc = session_schema.__doc__
    named = set(re.findall(r"^\| `(\w+)` ", doc, re.MULTILINE))
    with contextlib.closing(sqlite3.connect(path)) as db:
        there = {
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")
        }
        assert db.execute("PRAGMA application_id").fetchone() == (session_schema.APPLICATION_ID,)
    assert named == there
