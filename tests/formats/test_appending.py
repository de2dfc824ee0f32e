"""Appending to files whose end was cut off."""

import io
import os
import stat

import pytest

from nbproxy.errors import FormatError
from nbproxy.formats import appending, mitm
from nbproxy.formats.appending import open_for_appending, whole_until
from tests.formats import made


def written(*flows):
    file = io.BytesIO()
    mitm.write(flows, file)
    return file.getvalue()


@pytest.fixture
def flows():
    """Three flows as they stand in a file."""
    return [written(made.new_flow(path=f"/{number}")) for number in range(3)]


@pytest.fixture
def put(tmp_path):
    """Writes a file; gives its path."""

    def write(raw):
        path = tmp_path / "out.mitm"
        path.write_bytes(raw)
        return path

    return write


def paths(path):
    with path.open("rb") as file:
        return [flow.request.path for flow in mitm.read(file)]


def append(path, raw):
    file, mended = open_for_appending(path)
    with file:
        file.write(raw)
    return mended


def test_a_whole_file_is_left_as_it_is(put, flows):
    path = put(flows[0] + flows[1])
    assert append(path, flows[2]) is None
    assert path.read_bytes() == b"".join(flows)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_new_file_is_private(tmp_path, flows):
    path = tmp_path / "new.mitm"
    assert append(path, flows[0]) is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert append(path, flows[1]) is None
    assert paths(path) == ["/0", "/1"]


def test_whatever_is_missing_at_the_end(put, flows):
    """Cut off at any place, the file can be read to its end afterwards and nothing is lost."""
    whole = flows[0] + flows[1]
    sizes = range(len(flows[0]), len(whole))
    assert {whole_until(io.BytesIO(whole[:size]), size) for size in sizes} == {len(flows[0])}
    for size in (*sizes[:4], *sizes[4:-4:40], *sizes[-4:]):
        path = put(whole[:size])
        mended = append(path, flows[2])
        assert paths(path) == ["/0", "/2"]
        if size == len(flows[0]):
            assert mended is None
            continue
        assert mended.offset == len(flows[0])
        assert mended.moved_to.read_bytes() == whole[len(flows[0]) : size]
        assert mended.size_bytes == size - len(flows[0])
        assert f"from byte {len(flows[0])} on were moved to" in str(mended)
        mended.moved_to.unlink()


def test_a_file_with_half_a_flow_and_nothing_else(put, flows):
    path = put(flows[0][:-1])
    mended = append(path, flows[1])
    assert paths(path) == ["/1"]
    assert stat.S_IMODE(mended.moved_to.stat().st_mode) == 0o600


def test_a_second_crash_loses_nothing_either(put, flows):
    path = put(flows[0][:-5])
    append(path, flows[1] + flows[2][:-7])
    mended = append(path, b"")
    assert paths(path) == ["/1"]
    assert mended.moved_to.read_bytes() == flows[0][:-5] + flows[2][:-7]


@pytest.mark.parametrize("damage", [b"garbage", b"012:", b"5:hello,", b"99999999999:x"])
def test_what_is_damaged_before_its_end_is_refused(put, flows, damage):
    path = put(flows[0] + damage + flows[1])
    with pytest.raises(FormatError) as caught:
        open_for_appending(path)
    assert (caught.value.offset, caught.value.file) == (len(flows[0]), str(path))
    assert path.read_bytes() == flows[0] + damage + flows[1]


def test_another_process_in_the_middle_of_a_flow(put, flows):
    path = put(flows[0])
    file, _ = open_for_appending(path)
    with file:
        file.write(flows[1][:-3])
        file.flush()
        assert append(path, b"") is None
        file.write(flows[1][-3:])
    assert paths(path) == ["/0", "/1"]


def test_large_files_are_looked_at_from_the_end(put, flows, monkeypatch):
    monkeypatch.setattr(appending, "_FOLLOWED", 0)
    monkeypatch.setattr(appending, "_TAIL", len(flows[2]) + 5)
    whole = b"".join(flows)
    damaged = b"x" + whole  # not seen: it is far from the end
    for raw, end in ((whole, len(whole)), (damaged, len(damaged))):
        with put(raw).open("rb") as file:
            assert whole_until(file, len(raw)) == end
    cut = whole[:-1]
    with put(cut).open("rb") as file:
        assert whole_until(file, len(cut)) == len(flows[0] + flows[1])


def test_pipes_are_written_to(tmp_path, flows):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert append(path, flows[0]) is None
        assert os.read(reader, 2**16) == flows[0]
    finally:
        os.close(reader)
