"""Frames of analysis in a notebook: with their picture above the table.

They draw themselves, secrets masked; but IPython asks whoever registered a class before the class
itself, and `frames` has registered DataFrame, which they are, too. So they are named here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_NAME = ("nbproxy.analysis.frames", "Pictured")


def html(frame: Any) -> str | None:
    """Picture and table for a browser; None if the user turned HTML off."""
    drawn: str | None = frame._repr_html_()
    return drawn


def _pretty(frame: Any, printer: Any, cycle: bool) -> None:  # noqa: ARG001 - IPython's call
    for i, line in enumerate(repr(frame).splitlines()):
        if i:
            printer.break_()
        printer.text(line)


def register(shell: InteractiveShell) -> None:
    """Have the shell show frames of analysis so."""
    display = shell.display_formatter
    if display is not None:
        display.formatters["text/html"].for_type_by_name(*_NAME, html)
        display.formatters["text/plain"].for_type_by_name(*_NAME, _pretty)


def unregister(shell: InteractiveShell) -> None:
    """Undo `register`; harmless if it was not called."""
    display = shell.display_formatter
    if display is not None:
        for media_type in ("text/html", "text/plain"):
            display.formatters[media_type].pop(".".join(_NAME), None)
