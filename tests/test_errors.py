"""The exception tree: whose fault it is shows in the class, what to do in the text."""

import copy
import inspect
import pickle

import pytest

import nbproxy
from nbproxy import errors
from nbproxy.errors import (
    ConfigError,
    ConnectionFailed,
    FilterError,
    FormatError,
    LocalProtocolError,
    NbproxyError,
    ProtocolError,
    RemoteProtocolError,
    ScriptError,
    TLSError,
)

ALL = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, Exception)
]


def test_all_come_from_one():
    assert nbproxy.NbproxyError is NbproxyError
    assert len(ALL) == 10
    for error in ALL:
        assert issubclass(error, NbproxyError)
        assert inspect.getdoc(error)
        assert error.__name__ in errors.__doc__  # the tree is drawn whole
    assert issubclass(LocalProtocolError, ProtocolError)
    assert issubclass(RemoteProtocolError, ProtocolError)
    assert issubclass(FilterError, ValueError)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (ProtocolError, 400),
        (LocalProtocolError, 400),
        (RemoteProtocolError, 400),
        (ConnectionFailed, 502),
        (TLSError, 502),
    ],
)
def test_what_happened_on_the_wire(kind, status):
    error = kind("it broke")
    assert (str(error), error.message, error.status) == ("it broke", "it broke", status)
    assert kind("it broke", 418).status == 418


def test_connections_know_whether_anything_came():
    assert not ConnectionFailed("gone").fresh
    assert ConnectionFailed("gone", 504, fresh=True).fresh


def test_a_filter_error_points_at_the_place():
    error = FilterError("unknown operator ~zz", "~d a &\t~zz", 7)
    assert str(error).splitlines() == ["unknown operator ~zz", "  ~d a & ~zz", "         ^"]
    assert (error.problem, error.source, error.position) == (error.args[0], "~d a &\t~zz", 7)
    hinted = FilterError("unknown operator ~zz", "~zz", 0, "did you mean ~z?")
    assert str(hinted).splitlines()[-2:] == ["  ^", "did you mean ~z?"]
    assert len(str(FilterError("no", "a\r\nb\nc", 3)).splitlines()) == 3


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FormatError("no such version"), "data: no such version"),
        (FormatError("cut off", "a.flows", 0), "a.flows at byte 0: cut off"),
        (FormatError("cut off", "a.flows"), "a.flows: cut off"),
        (ScriptError("no such file"), "script: no such file"),
        (ScriptError("bad", "a.py", 3), "a.py, line 3: bad"),
        (ScriptError("bad", "a.py"), "a.py: bad"),
        (ConfigError("port = -1"), "port = -1"),
    ],
)
def test_files_are_named(error, text):
    assert str(error) == text


@pytest.mark.parametrize(
    "error",
    [
        RemoteProtocolError("m", 414),
        ConnectionFailed("m", 504, fresh=True),
        TLSError("m", 525),
        FilterError("m", "~d", 1, "h"),
        FormatError("m", "f", 5),
        ScriptError("m", "p", 6),
        ConfigError("m"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_they_survive_other_processes(error):
    """Concurrent programs send exceptions through pickles; fields go with them."""
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert (str(again), vars(again)) == (str(error), vars(error))
