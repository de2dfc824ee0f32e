"""Forms, queries and event streams as rows."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final

from nbproxy.contentviews import hexdump
from nbproxy.contentviews.body import looks_like_text
from nbproxy.contentviews.shown import MAX_KEY, size_text
from nbproxy.contentviews.view import View
from nbproxy.model import forms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nbproxy.contentviews.body import Body
    from nbproxy.contentviews.shown import Eyes

#: Rows in a window, whatever the limit.
MAX_ROWS: Final = 500
#: Events of a stream that are read.
MAX_EVENTS: Final = 50_000
_ROW_COST: Final = 32
_LINE_END: Final = re.compile(r"\r\n|\r|\n")

Pairs = tuple[tuple[str, str], ...]


def urlencoded(body: Body, eyes: Eyes, offset: int, limit: int) -> View:
    """An application/x-www-form-urlencoded body.

    Raises:
        ValueError: It has too many fields.
    """
    return _pairs(forms.parse_urlencoded(body.text), eyes, offset, limit)


def query(body: Body, eyes: Eyes, offset: int, limit: int) -> View:
    """The query of a request."""
    return _pairs(body.query, eyes, offset, limit)


def _pairs(pairs: Sequence[tuple[str, str]], eyes: Eyes, offset: int, limit: int) -> View:
    def row(index: int) -> tuple[str, ...]:
        name, value = pairs[index]
        return eyes.text(name, MAX_KEY), eyes.value(name, value, query=True, lines=True)

    return _table(("name", "value"), row, len(pairs), offset, limit)


def multipart(body: Body, eyes: Eyes, offset: int, limit: int) -> View:
    """A multipart/form-data body: text as text, and of files their beginning.

    Raises:
        ValueError: It is damaged or incomplete.
    """
    parts = forms.parse_parts(body.content_type, body.data)

    def row(index: int) -> tuple[str, ...]:
        part = parts[index]
        headers = {name.lower(): value for name, value in part.headers}
        if looks_like_text(part.content):
            text = part.content.decode("utf-8", "surrogateescape")
            shown = eyes.value(part.name, text, query=True, lines=True)
        else:
            shown = hexdump.short(part.content)
            if eyes.holds_secrets(part.content[:65_536]):
                shown = "(holds secrets)"
        about = [f"file {part.filename!r}"] if part.filename is not None else []
        about += [headers["content-type"]] if "content-type" in headers else []
        about.append(size_text(len(part.content)))
        return eyes.text(part.name, MAX_KEY), shown, eyes.text(", ".join(about), 500)

    return _table(("name", "value", "about"), row, len(parts), offset, limit)


def events(body: Body, eyes: Eyes, offset: int, limit: int) -> View:
    """A text/event-stream, an event for each row (HTML, 9.2.6)."""
    found = list(islice(_events(body.text), MAX_EVENTS + 1))
    notes = [f"Only the first {MAX_EVENTS:,} events were read."] if len(found) > MAX_EVENTS else []
    found = found[:MAX_EVENTS]

    def row(index: int) -> tuple[str, ...]:
        event, data, id_, retry = found[index]
        shown = eyes.text(data, multiline=True)
        return eyes.text(event, MAX_KEY), shown, eyes.text(id_, MAX_KEY), eyes.text(retry, 20)

    view = _table(("event", "data", "id", "retry"), row, len(found), offset, limit)
    return View(
        "events",
        columns=view.columns,
        rows=view.rows,
        offset=view.offset,
        next_offset=view.next_offset,
        total=view.total,
        unit="events",
        notes=tuple(notes),
    )


def _events(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Type, data, id and retry of each event; comments are left out, an unfinished one is not."""
    fields: dict[str, list[str]] = {}
    for line in _lines(text.removeprefix("\ufeff")):
        if not line:
            if fields:
                yield _event(fields)
            fields = {}
            continue
        name, _, value = line.partition(":")
        if name in ("event", "data", "id", "retry"):
            fields.setdefault(name, []).append(value.removeprefix(" "))
    if fields:
        yield _event(fields)


def _event(fields: dict[str, list[str]]) -> tuple[str, str, str, str]:
    def last(name: str) -> str:
        return fields.get(name, [""])[-1]

    return last("event"), "\n".join(fields.get("data", ())), last("id"), last("retry")


def _lines(text: str) -> Iterable[str]:
    start = 0
    for match in _LINE_END.finditer(text):
        yield text[start : match.start()]
        start = match.end()
    yield text[start:]


def _table(
    columns: tuple[str, ...],
    row: Callable[[int], tuple[str, ...]],
    total: int,
    offset: int,
    limit: int,
) -> View:
    rows: list[tuple[str, ...]] = []
    index = offset
    while index < total and len(rows) < MAX_ROWS and limit > 0:
        rows.append(row(index))
        limit -= _ROW_COST + sum(map(len, rows[-1]))
        index += 1
    return View(
        "table",
        columns=columns,
        rows=tuple(rows),
        offset=offset,
        next_offset=index if index < total else None,
        total=total,
        unit="rows",
    )
