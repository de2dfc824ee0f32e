"""What each handler changes in a flow: noted in the flow while somebody wants to know.

The notes are in `flow.metadata["changes"]`, a list of `[handler, field, before, after]`, texts or
None. A field is named as one would reach it from a flow (`response.headers["x-seen"]`); of a body
only its size is noted. What came first stays when there are too many.

Looking at a flow before and after a call costs a few microseconds, so it is not done by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nbproxy.model.message import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbproxy.model.headers import Headers
    from nbproxy.model.message import Message

    State = tuple[Any, ...]
    Difference = tuple[str, str | None, str | None]

METADATA_KEY: Final = "changes"

MAX_CHANGES: Final = 100
"""In one flow."""

_MAX_TEXT: Final = 500
_REQUEST: Final = ("method", "scheme", "host", "port", "path", "http_version")
_RESPONSE: Final = ("status_code", "reason", "http_version")


def look(flow: Any) -> State | None:
    """How a flow is now, by references to its parts; None if it has none that we know."""
    try:
        request, response = flow.request, flow.response
        return (
            _state(request),
            None if response is None else _state(response),
            None if flow.error is None else flow.error.msg,
        )
    except Exception:  # noqa: BLE001 - a handler may have put anything there
        return None


def note(flow: Any, before: State | None, handler: str) -> None:
    """Note what is different in a flow since a look at it."""
    after = look(flow)
    if before is None or after is None or _same(before, after):
        return
    notes = flow.metadata.setdefault(METADATA_KEY, [])
    if not isinstance(notes, list):  # somebody else's
        return
    for field, was, now in _differences(before, after):
        if len(notes) >= MAX_CHANGES:
            return
        notes.append([handler, field, was, now])


def _state(message: Message) -> State:
    """What it holds, as it is: what that says is asked only if it is something else later."""
    headers = message.headers
    body = message.raw_content if message.holds_bytes else None
    values = _values(message)
    return (type(message), values, headers, headers.fields, message.body_size, body)


def _values(message: Message) -> tuple[Any, ...]:
    names = _REQUEST if isinstance(message, Request) else _RESPONSE
    return tuple([getattr(message, name) for name in names])


def _same(before: State, after: State) -> bool:
    """Whether nothing has changed; quick where the parts are the same objects."""
    return all(_same_message(b, a) for b, a in zip(before[:2], after[:2], strict=True)) and (
        before[2] == after[2]
    )


def _same_message(before: State | None, after: State | None) -> bool:
    if before is None or after is None:
        return before is after
    return (
        before[3] is after[3]
        and before[4] == after[4]
        and before[5] is after[5]
        and before[1] == after[1]
    )


def _differences(before: State, after: State) -> Iterator[Difference]:
    yield from _message("request.", _REQUEST, before[0], after[0])
    old, new = before[1], after[1]
    if old is None or new is None:
        if old is not new:
            yield "response", _outline(old), _outline(new)
    else:
        yield from _message("response.", _RESPONSE, old, new)
    if before[2] != after[2]:
        yield "error", _text(before[2]), _text(after[2])


def _message(place: str, names: tuple[str, ...], old: State, new: State) -> Iterator[Difference]:
    if _same_message(old, new):
        return
    if old[1] != new[1]:
        for name, was, now in zip(names, old[1], new[1], strict=True):
            if was != now:
                yield place + name, _text(was), _text(now)
    if old[3] != new[3]:
        yield from _headers(f"{place}headers", new[2], old[3], new[3])
    if old[4] != new[4] or old[5] != new[5]:
        yield f"{place}content", f"{old[4]:,} bytes", f"{new[4]:,} bytes"


def _headers(place: str, kind: Headers, old: Any, new: Any) -> Iterator[Difference]:
    concerned = {name.lower() for name, _ in set(old) ^ set(new)}
    if concerned:  # mostly one of many; without any, fields moved or came twice
        old = tuple(field for field in old if field[0].lower() in concerned)
        new = tuple(field for field in new if field[0].lower() in concerned)
    before, after = type(kind).from_wire(old), type(kind).from_wire(new)
    names = {
        name.lower(): name for name, _ in (*before.items(multi=True), *after.items(multi=True))
    }
    for name in names.values():
        was, now = before.get_all(name), after.get_all(name)
        if was != now:
            yield f'{place}["{name}"]', _joined(was), _joined(now)


def _joined(values: list[str]) -> str | None:
    return _text(", ".join(values)) if values else None


def _outline(response: State | None) -> str | None:
    if response is None:
        return None
    status = response[1][0]
    return f"{status}, {response[4]:,} bytes"


def _text(value: object) -> str | None:
    return None if value is None else str(value)[:_MAX_TEXT]
