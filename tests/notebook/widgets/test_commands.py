"""Commands: each once, however often it comes, and an answer for each."""

from concurrent.futures import Future

import pytest

from nbproxy.errors import FilterError
from nbproxy.notebook.widgets.commands import Commands


class Desk:
    """A table of commands, and what it answered."""

    def __init__(self):
        self.answers = []
        self.commands = Commands(self.answers.append)
        self.calls = []
        self.commands.add("echo", self.echo)
        self.commands.add("fail", self.fail)

    def echo(self, **arguments):
        self.calls.append(arguments)
        return arguments.get("value")

    def fail(self, kind):
        raise {
            "key": KeyError("flow 7 is not there any more"),
            "value": ValueError("no"),
            "filter": FilterError("no operator", "~zz", 0),
            "empty": RuntimeError(),
        }[kind]

    def do(self, name, number="1", **arguments):
        self.commands.handle({"kind": "do", "id": number, "name": name, "args": arguments})
        return self.answers[-1] if self.answers else None


@pytest.fixture
def desk():
    return Desk()


def test_an_answer(desk):
    assert desk.do("echo", value=[1]) == {"kind": "result", "id": "1", "value": [1]}
    assert "echo" in desk.commands
    assert sorted(desk.commands) == ["echo", "fail"]


def test_done_once_and_answered_each_time(desk):
    desk.do("echo", value=1)
    desk.do("echo", value=2)
    assert desk.calls == [{"value": 1}]
    assert [answer["value"] for answer in desk.answers] == [1, 1]


def test_large_answers_are_not_kept_to_be_sent_again(desk):
    desk.do("echo", value="x" * 10_000)
    desk.do("echo", value="y")
    assert len(desk.answers) == 1


def test_what_takes_its_time_is_said_to_be_worked_on(desk):
    later = Future()
    desk.commands.add("later", lambda: later)
    working = {"kind": "working", "id": "1"}
    assert desk.do("later") == working
    desk.do("later")
    assert desk.answers == [working, working]
    later.set_result(3)
    assert desk.do("later") == {"kind": "result", "id": "1", "value": 3}


def test_old_ids_are_forgotten(desk):
    for number in range(1500):
        desk.do("echo", str(number))
    desk.do("echo", "1499")
    desk.do("echo", "0")
    assert len(desk.calls) == 1501


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("key", "flow 7 is not there any more"),
        ("value", "no"),
        ("filter", "no operator"),
        ("empty", "RuntimeError"),
    ],
)
def test_what_fails_is_said(desk, kind, text):
    assert desk.do("fail", kind=kind) == {"kind": "result", "id": "1", "error": text}


def test_nonsense(desk):
    assert "there is no command 'nothing'" in desk.do("nothing")["error"]
    assert "argument" in desk.do("fail", "2", surprise=1)["error"]
    count = len(desk.answers)
    for message in ({}, {"id": 1, "name": "echo"}, {"id": "x" * 101, "name": "echo"}, {"id": "3"}):
        desk.commands.handle(message)
    assert len(desk.answers) == count
    desk.commands.handle({"id": "4", "name": "echo", "args": "text"})
    assert desk.calls == [{}]


def test_what_takes_time_is_answered_when_it_is_done(desk):
    futures = [Future() for _ in range(3)]
    desk.commands.add("later", lambda which: futures[which])
    for number in range(3):
        desk.do("later", str(number), which=number)
    assert desk.answers == [{"kind": "working", "id": str(number)} for number in range(3)]
    desk.answers.clear()
    futures[0].set_result(7)
    futures[1].set_exception(ValueError("broken"))
    futures[2].cancel()
    futures[2].set_running_or_notify_cancel()
    assert [answer.get("value", answer.get("error")) for answer in desk.answers] == [
        7,
        "broken",
        "the proxy was stopped",
    ]
