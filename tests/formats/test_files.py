import io
import os
import stat
import subprocess
import sys
import warnings

import pytest

from nbproxy.errors import FormatError
from nbproxy.formats import files, har, mitm
from nbproxy.formats.files import detect, find, format_of, open_flows, save_flows
from tests.formats import made


def written(kind, *flows):
    file = io.BytesIO()
    kind.write(flows, file)
    return file.getvalue()


def some(count, host="example.org"):
    return [made.answered(made.new_flow(url=f"http://{host}/{n}")) for n in range(count)]


def paths(flows):
    return [flow.request.path for flow in flows]


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"1234:7:version;", "mitm"),
        (b'{"log":', "har"),
        (b'\xef\xbb\xbf{"log":', "har"),
        (b"\r\n  {", "har"),
        (b"\x1f\x8b\x08", "har"),
        (b"\x78\x9c", "har"),
        (b"\x78\x01", "har"),
        (b"PK\x03\x04", "har"),
    ],
)
def test_detection_looks_inside(head, kind):
    assert detect(head) == kind


@pytest.mark.parametrize("head", [b"hello", b"\x89PNG", b"<html>", b"x", b"\0" * 64, b"\x78\x00"])
def test_what_is_no_file_of_flows(head, tmp_path):
    path = tmp_path / "x.mitm"
    path.write_bytes(head)
    with pytest.raises(FormatError, match=r"x\.mitm at byte 0: this is neither"):
        open_flows(path)


def test_a_name_says_nothing(tmp_path):
    path = tmp_path / "x.har"
    path.write_bytes(written(mitm, *some(2)))
    assert paths(open_flows(path)) == ["/0", "/1"]


def test_an_empty_file_has_no_flows(tmp_path):
    path = tmp_path / "x.mitm"
    path.touch()
    assert open_flows(path) == []


def test_every_sample(data):
    for path in sorted((data / "mitm").iterdir()):
        assert open_flows(path, strict=True)


# -- several files


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b.mitm").write_bytes(written(mitm, *some(1, "b.test")))
    (tmp_path / "a.mitm").write_bytes(written(mitm, *some(1, "a.test")))
    (tmp_path / "c.har").write_bytes(written(har, *some(1, "c.test")))
    (tmp_path / "d.mitm").mkdir()
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "e.mitm").write_bytes(written(mitm, *some(1, "e.test")))
    return tmp_path


def hosts(flows):
    return [flow.request.host.removesuffix(".test") for flow in flows]


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["*.mitm"], "ab"),
        (["*.*"], "abc"),
        (["c.har", "*.mitm"], "cab"),
        (["**/*.mitm"], "abe"),
        (["b.mitm", "b.mitm"], "bb"),
        (["[ac].*"], "ac"),
    ],
)
def test_patterns(folder, patterns, found):
    assert "".join(hosts(open_flows([folder / p for p in patterns]))) == found


def test_one_name_and_home(folder, monkeypatch):
    assert hosts(open_flows(str(folder / "a.mitm"))) == ["a"]
    monkeypatch.setenv("HOME", str(folder))
    assert hosts(open_flows("~/*.har")) == ["c"]


def test_a_file_that_is_called_like_a_pattern(folder):
    (folder / "a.mitm").rename(folder / "[x]*.mitm")
    assert hosts(open_flows(folder / "[x]*.mitm")) == ["a"]


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("z.mitm", FileNotFoundError, r"no file '.*z\.mitm'"),
        ("z*.mitm", FileNotFoundError, r"no file matches '.*z\*\.mitm'"),
        ("inner", IsADirectoryError, "is a folder"),
    ],
)
def test_what_is_not_there(folder, name, error, words):
    with pytest.raises(error, match=words):
        find([folder / name])


# -- damage


def test_flows_before_the_damage_and_a_warning(tmp_path):
    path = tmp_path / "x.mitm"
    raw = written(mitm, *some(3))
    path.write_bytes(raw[:-10])
    with pytest.warns(UserWarning, match=r"x\.mitm at byte \d+: .*cut off") as caught:
        flows = open_flows(path)
    assert paths(flows) == ["/0", "/1"]
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.raises(FormatError, match="cut off") as error:
        open_flows(path, strict=True)
    assert error.value.file == str(path)
    assert error.value.offset == len(written(mitm, *some(2)))


def test_nothing_before_the_damage_is_an_error(tmp_path):
    path = tmp_path / "x.mitm"
    path.write_bytes(written(mitm, *some(1))[:-10])
    with pytest.raises(FormatError, match="cut off"):
        open_flows(path)


def test_one_damaged_file_among_others(folder):
    (folder / "a.mitm").write_bytes(b"junk")
    with pytest.warns(UserWarning, match=r"a\.mitm at byte 0"):
        assert hosts(open_flows(folder / "*.mitm")) == ["b"]
    (folder / "b.mitm").write_bytes(b"7:junk")
    with pytest.warns(UserWarning, match=r"b\.mitm"), pytest.raises(FormatError, match=r"a\.mitm"):
        open_flows(folder / "*.mitm")


def test_what_was_left_out_is_told(tmp_path):
    path = tmp_path / "x.har"
    raw = written(har, *some(3))
    raw = raw.replace(b'"http://example.org/1"', b'""').replace(
        b'"http://example.org/2"', b'"data:text/plain,x"'
    )
    path.write_bytes(raw)
    words = r"left out 1 `data:` URL, 1 entry that cannot be used \(entry 1: no url\)"
    with pytest.warns(UserWarning, match=words):
        assert paths(open_flows(path)) == ["/0"]
    with pytest.raises(FormatError, match="no url"):
        open_flows(path, strict=True)


# -- writing


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.mitm", "mitm"),
        ("X.MITM", "mitm"),
        ("x.flows", "mitm"),
        ("x.har", "har"),
        ("a.b.har", "har"),
        ("x.curl.sh", "curl"),
    ],
)
def test_names_say_the_format(name, kind):
    assert format_of(name) == kind


@pytest.mark.parametrize("name", ["x", "x.txt", "x.sh", "har", ".harx"])
def test_names_that_say_nothing(name):
    with pytest.raises(ValueError, match=r"should end with one of \.mitm"):
        format_of(name)


@pytest.mark.parametrize("name", ["x.mitm", "x.har"])
def test_round_trip(tmp_path, name):
    assert save_flows(iter(some(3)), tmp_path / name) == 3
    assert paths(open_flows(tmp_path / name, strict=True)) == ["/0", "/1", "/2"]


def test_a_format_by_word(tmp_path):
    save_flows(some(1), tmp_path / "x", "har")
    assert (tmp_path / "x").read_bytes().startswith(b'{"log"')
    with pytest.raises(ValueError, match="'csv' is not a format"):
        save_flows(some(1), tmp_path / "y", "csv")
    with pytest.raises(ValueError, match="HAR only"):
        save_flows(some(1), tmp_path / "y", "mitm", masker=files.os)
    assert not (tmp_path / "y").exists()


def test_entries_of_a_har_are_sorted_by_time(tmp_path):
    flows = some(3)
    flows[0].request.timestamp_start += 100
    save_flows(flows, tmp_path / "x.har")
    assert paths(open_flows(tmp_path / "x.har")) == ["/1", "/2", "/0"]


def test_a_shell_script(tmp_path):
    flows = [*some(2), made.new_flow("CONNECT")]
    path = tmp_path / "x.curl.sh"
    with pytest.warns(UserWarning, match="a CONNECT opens a tunnel"):
        assert save_flows(flows, path) == 2
    lines = path.read_text().splitlines()
    assert lines[0] == "#!/bin/sh"
    assert [line.split()[0] for line in lines[1:]] == ["curl", "curl"]
    assert subprocess.run(["sh", "-n", str(path)], check=False).returncode == 0


def test_a_new_file_is_private_and_an_old_one_keeps_its_mode(tmp_path):
    path = tmp_path / "x.mitm"
    save_flows(some(1), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    save_flows(some(1), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.mitm"
    path.write_bytes(b"old")

    class Gone:
        size_bytes = 5

        def read(self):
            raise OSError("the body is gone")

    flows = some(2)
    flows[1].response.hold_body(Gone())
    with pytest.raises(OSError, match="the body is gone"):
        save_flows(flows, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one(tmp_path):
    target, link = tmp_path / "target.mitm", tmp_path / "link.mitm"
    target.touch()
    link.symlink_to(target)
    save_flows(some(1), link)
    assert link.is_symlink()
    assert paths(open_flows(target)) == ["/0"]


def test_a_pipe_is_written_to(tmp_path):
    path = tmp_path / "pipe.mitm"
    os.mkfifo(path)
    code = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE
    ) as reader:
        save_flows(some(1), path)
        assert b"example.org" in reader.communicate(timeout=600)[0]


def test_no_warning_where_nothing_is_wrong(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_flows(some(2), tmp_path / "x.mitm")
        assert len(open_flows(tmp_path / "x.mitm")) == 2
