"""`%nbproxy save` and `%nbproxy open`: in a shell of this process."""

import json

import pytest
from IPython.core.error import UsageError

from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request, Response
from nbproxy.notebook import magics
from nbproxy.notebook.completion import filter_choices


@pytest.fixture
def nb(shell, tmp_path, monkeypatch):
    """With three flows of the notebook's proxy, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    shell.run("%load_ext nbproxy")
    store = shell.user_ns["nbproxy"].flows.store
    for host, status in (("a.example", 200), ("b.example", 404), ("b.example", 200)):
        flow = HTTPFlow(Request.make("GET", f"http://{host}/x"))
        flow.response = Response.make(status, b"body", {"x-id": "7 8"})
        store.opened(flow)
        store.closed(flow)
    return shell


def say(shell, capsys, line):
    capsys.readouterr()
    shell.run(line)
    return capsys.readouterr().out


def hosts(path):
    entries = json.loads(path.read_text(encoding="utf-8"))["log"]["entries"]
    return [entry["request"]["url"].split("/")[2] for entry in entries]


def test_saving_and_opening(nb, tmp_path, capsys):
    assert say(nb, capsys, "%nbproxy save all.mitm") == "3 flows saved to all.mitm\n"
    nb.run("saved = %nbproxy open all.mitm")
    saved = nb.user_ns["saved"]
    assert list(saved.df.host) == ["a.example", "b.example", "b.example"]
    assert saved[1].response.status_code == 404
    assert len(nb.user_ns["nbproxy"].flows) == 3


def test_what_is_opened_is_the_value_of_the_cell(nb, capsys):
    nb.run("%nbproxy save all.mitm")
    assert "3 flows" in say(nb, capsys, "%nbproxy open all.mitm")
    assert len(nb.user_ns["_"]) == 3


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x.har ~d b.example", ["b.example", "b.example"]),
        ("x.har ~d b.example & ~c 404", ["b.example"]),
        ("'x.har'   '~d a.example'", ["a.example"]),
        ('x.har ~hs "x-id: 7 8" & ~d ^a', ["a.example"]),
        (r"x.har ~d a\.example", ["a.example"]),
    ],
)
def test_only_flows_that_match_are_saved(nb, tmp_path, capsys, line, expected):
    count = f"{len(expected)} flow{'s' if len(expected) > 1 else ''}"
    assert say(nb, capsys, f"%nbproxy save {line}") == f"{count} saved to x.har\n"
    assert hosts(tmp_path / "x.har") == expected


def test_several_files_and_quoted_names(nb, tmp_path, capsys):
    assert "to my flows.mitm\n" in say(nb, capsys, "%nbproxy save 'my flows.mitm' ~d a.example")
    nb.run("%nbproxy save b.har ~d b.example")
    nb.run("both = %nbproxy open 'my flows.mitm' *.har")
    assert list(nb.user_ns["both"].df.host) == ["a.example", "b.example", "b.example"]


def test_saving_as_a_shell_script(nb, tmp_path):
    nb.run("%nbproxy save again.curl.sh ~c 404")
    assert "curl" in (tmp_path / "again.curl.sh").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("save", "required: path; see %nbproxy save --help"),
        ("save flows.txt", "it should end with one of .nbproxy, .mitm"),
        ("save no/folder/x.mitm", "no/folder"),
        ("save 'x.mitm", "No closing quotation"),
        ("open", "required: path"),
        ("open nothing.mitm", "there is no file 'nothing.mitm'"),
        ("open *.zhar", "no file matches"),
        ("open .", "is a folder"),
        ("open odd.mitm", "neither a capture nor a mitmproxy file nor a HAR"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(nb, tmp_path, line, message):
    (tmp_path / "odd.mitm").write_text("odd")
    with pytest.raises(UsageError) as caught:
        nb.run(f"%nbproxy {line}")
    text = str(caught.value)
    assert text.startswith(f"%nbproxy {line.split()[0]}: ")
    assert message in text
    assert "\n" not in text
    assert not list(tmp_path.glob("x.*"))


def test_a_wrong_filter_points_at_the_position_and_writes_nothing(nb, tmp_path):
    with pytest.raises(UsageError, match="~c"):
        nb.run("%nbproxy save x.mitm ~c many")
    assert not (tmp_path / "x.mitm").exists()


def test_of_a_damaged_file_the_flows_before_are_given(nb, tmp_path):
    nb.run("%nbproxy save all.mitm")
    whole = (tmp_path / "all.mitm").read_bytes()
    (tmp_path / "cut.mitm").write_bytes(whole[:-10])
    with pytest.warns(UserWarning, match=r"cut\.mitm.*2 flows before"):
        nb.run("cut = %nbproxy open cut.mitm")
    assert len(nb.user_ns["cut"]) == 2


def test_help_behind_a_path_saves_nothing(nb, tmp_path, capsys):
    assert "usage: %nbproxy save" in say(nb, capsys, "%nbproxy save x.har --help")
    assert not (tmp_path / "x.har").exists()


@pytest.mark.parametrize("verb", ["save", "open"])
def test_help(nb, capsys, verb):
    assert f"  {verb} " in say(nb, capsys, "%nbproxy --help")
    said = say(nb, capsys, f"%nbproxy {verb} --help")
    assert f"usage: %nbproxy {verb}" in said
    assert ".mitm" in said
    assert f"  {verb} " in magics.NbproxyMagics.nbproxy.__doc__


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("save o", ["one.har", "other/"]),
        ("open one.har o", ["one.har", "other/"]),
        ("open other/", ["other/two.mitm"]),
        ("open no/where/x", ["--help"]),
        ("open ~nobody-of-that-name/x", ["--help"]),
    ],
)
def test_paths_are_completed(nb, tmp_path, line, expected):
    (tmp_path / "other").mkdir()
    for name in ("one.har", "other/two.mitm", "other/notes.txt", "odd.txt"):
        (tmp_path / name).touch()
    assert magics.complete(None, line)[1] == expected


def test_behind_the_path_the_filter_is_completed(nb):
    assert magics.complete(None, "save x.har ~") == filter_choices("~")
