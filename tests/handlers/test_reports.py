"""Tracebacks cut to the user's lines, and how they are printed."""

from __future__ import annotations

import json
import sys
import traceback

import pytest

from nbproxy import hooks
from nbproxy.handlers import reports
from nbproxy.handlers.handler import Source
from nbproxy.handlers.registry import Registry
from nbproxy.model.headers import Headers


@pytest.fixture
def printing():
    return Registry(hint_slow_s=0)


def set_header(headers):
    headers["x"] = "a\r\nb"


def files(exc):
    return [frame.filename for frame in traceback.extract_tb(exc.__traceback__)]


def test_the_traceback_has_the_users_frames_only(registry, notes):
    def parse(client):
        json.loads("{")

    registry.on("clientconnect")(parse)
    registry.on("clientconnect")(lambda client: set_header(Headers()))
    registry.fire("clientconnect", "client")
    (_, first, *_), (_, second, *_) = notes.errors
    assert files(first)[0] == __file__
    assert files(first)[-1] == json.decoder.__file__
    assert files(second) == [__file__, __file__]
    assert isinstance(second, ValueError)


def test_causes_are_cut_too_and_cycles_end(registry, notes):
    @registry.on("clientconnect")
    def handler(client):
        try:
            set_header(Headers())
        except ValueError as exc:
            other = KeyError("other")
            exc.__cause__ = other
            raise other from exc

    registry.fire("clientconnect", "client")
    exc = notes.errors[0][1]
    assert files(exc) == [__file__]
    assert files(exc.__cause__) == [__file__, __file__]


def test_our_own_addons_keep_their_frames(registry, notes):
    registry.add("clientconnect", hooks.canonical, source=Source("addon", "ours"))
    registry.fire("clientconnect", "no hook")
    assert files(notes.errors[0][1]) == [hooks.__file__]


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError


def test_summaries_are_one_safe_line(registry):
    handler = registry.add("running", lambda: None, source=Source("addon", "ours"))
    assert reports.summary(handler, ValueError("a\nb\x1b[0m")) == r"ValueError: a\nb\x1b[0m"
    assert reports.summary(handler, KeyboardInterrupt()) == "KeyboardInterrupt"
    assert "cannot be shown" in reports.summary(handler, UnprintableError())
    assert len(reports.summary(handler, ValueError("x" * 100_000))) < 300


def test_a_cells_line_is_told_as_such(notebook, registry):
    notebook.run("@on('running')\ndef f():\n    1 / 0")
    registry.fire("running")
    assert registry.rows()[0]["last_error"] == (
        "ZeroDivisionError: division by zero (line 3 of its cell)"
    )


def test_errors_are_printed_with_handler_flow_and_line(printing, flow, capsys):
    @printing.on("request")
    def stamp(flow):
        raise ValueError("\x1b]0;title\x07")

    printing.fire("request", flow)
    printing.fire("request", flow)
    text = capsys.readouterr().err
    first, *rest = text.splitlines()
    assert f"stamp (request, {__name__}) failed on flow {flow.id}; traffic goes on" in first
    assert rest[0] == "Traceback (most recent call last):"
    assert rest[-1] == r"ValueError: \x1b]0;title\x07"
    assert 'raise ValueError("' in text
    assert text.count("Traceback") == 1
    assert "calling.py" not in text


def test_an_interrupt_and_a_hint_are_printed(printing, capsys):
    @printing.on("running")
    def handler():
        raise KeyboardInterrupt

    @printing.on("done")
    def returns():
        return 3

    printing.fire("running")
    printing.fire("done")
    text = capsys.readouterr().err
    assert "was interrupted; traffic goes on" in text
    assert text.splitlines()[-1].startswith("nbproxy: test_an_interrupt_and_a_hint_are_printed")
    assert "returned a value of type int" in text


def test_standard_error_is_looked_up_when_printing(printing, monkeypatch, tmp_path):
    printing.on("running")(lambda: 1 / 0)
    with (tmp_path / "err").open("w+") as file:
        monkeypatch.setattr(sys, "stderr", file)
        printing.fire("running")
        file.seek(0)
        assert "ZeroDivisionError" in file.read()
