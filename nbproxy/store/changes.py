"""What is different between two flows, and flows that know what was changed in them.

A field is named as one would reach it from a flow: `request.headers["Accept"]`,
`response.status_code`, `websocket.messages[2].content`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nbproxy.model.message import Response
from nbproxy.store.view import Flows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pandas as pd

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.headers import Headers
    from nbproxy.model.message import Message
    from nbproxy.model.websocket import WebSocketData
    from nbproxy.store.store import Store

    Difference = tuple[str, Any, Any]

_FLOW = ("comment", "marked", "is_replay")
_REQUEST = ("method", "scheme", "host", "port", "path", "http_version")
_RESPONSE = ("status_code", "reason", "http_version")
_OF_A_MESSAGE = ("type", "from_client", "dropped", "injected")  # of a WebSocket


class Change(NamedTuple):
    """One field of one flow that was changed.

    Attributes:
        flow: The flow's id: of the old one.
        field: Which field.
        before: What it was; None if it was not there.
        after: What it is now; None if it is not there any more.
    """

    flow: int
    field: str
    before: Any
    after: Any


class Changed(Flows):
    """New flows that something was done to, the old ones beside them.

    Args:
        store: Where the new flows are.
        originals: The old ones, in the same order.
        changes: What is different.

    Attributes:
        originals: The flows as they were.
    """

    def __init__(
        self, store: Store, originals: Iterable[HTTPFlow], changes: Iterable[Change]
    ) -> None:
        super().__init__(store)
        self.originals = list(originals)
        self._changes = list(changes)

    def changes(self) -> pd.DataFrame:
        """What was changed: a row for each field, with the columns `flow field before after`.

        `flow` is the id of the old flow. Values that were or are not there are None.
        """
        return frame_of(self._changes)


def frame_of(changes: Iterable[Change]) -> pd.DataFrame:
    """A DataFrame of changes: `flow field before after`."""
    from nbproxy.store.frame import frame_of_changes  # noqa: PLC0415 - pandas is slow to import

    return frame_of_changes(list(changes))


def compare(before: HTTPFlow, after: HTTPFlow, number: int | None = None) -> list[Change]:
    """What is different between two flows.

    Args:
        before: The old one.
        after: The new one.
        number: The id to give; that of the old one by default.
    """
    flow = before.id if number is None else number
    return [Change(flow, *difference) for difference in _flow(before, after)]


def _flow(before: HTTPFlow, after: HTTPFlow) -> Iterator[Difference]:
    yield from _attributes("request.", before.request, after.request, _REQUEST)
    yield from _message("request.", before.request, after.request)
    old, new = before.response, after.response
    if not isinstance(old, Response) or not isinstance(new, Response):  # or whatever was put there
        if old is not new:
            yield "response", _shown(old), _shown(new)
    else:
        yield from _attributes("response.", old, new, _RESPONSE)
        yield from _message("response.", old, new)
    if before.websocket is not None or after.websocket is not None:
        yield from _websocket(before.websocket, after.websocket)
    words = [None if e is None else e.msg for e in (before.error, after.error)]
    if words[0] != words[1]:
        yield "error", words[0], words[1]
    yield from _attributes("", before, after, _FLOW)
    yield from _mapping("metadata", before.metadata, after.metadata)


def _shown(response: object) -> str | None:
    """A response in a few words; None for none."""
    return None if response is None else repr(response)


def _attributes(place: str, old: object, new: object, names: Iterable[str]) -> Iterator[Difference]:
    for name in names:
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            yield place + name, was, now


def _mapping(name: str, old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[Difference]:
    for key in (*old, *(key for key in new if key not in old)):
        was, now = old.get(key), new.get(key)
        if not _same(was, now) or (key in old) != (key in new):
            yield f"{name}[{key!r}]", was, now


def _same(was: Any, now: Any) -> bool:
    try:
        return bool(was is now or was == now)
    except Exception:  # noqa: BLE001 - metadata is the user's: an array's == is no truth value
        return False


def _message(place: str, old: Message, new: Message) -> Iterator[Difference]:
    yield from _headers(f"{place}headers", old.headers, new.headers)
    if old.trailers is not None and new.trailers is not None:
        yield from _headers(f"{place}trailers", old.trailers, new.trailers)
    elif old.trailers is not new.trailers:
        was, now = (
            None if t is None else str(bytes(t), "latin-1") for t in (old.trailers, new.trailers)
        )
        yield f"{place}trailers", was, now
    was_raw, now_raw = old.raw_content, new.raw_content
    if was_raw == now_raw:
        return
    body, new_body = _body(old), _body(new)
    if body == new_body:  # coded otherwise
        yield f"{place}raw_content", was_raw, now_raw
    else:
        yield f"{place}content", body, new_body


def _headers(name: str, old: Headers, new: Headers) -> Iterator[Difference]:
    if bytes(old) == bytes(new):
        return
    names = {field.lower(): field for field, _ in (*old.items(multi=True), *new.items(multi=True))}
    found = False
    for field in names.values():
        was, now = (", ".join(h.get_all(field)) if field in h else None for h in (old, new))
        if old.get_all(field) != new.get_all(field):
            found = True
            yield f'{name}["{field}"]', was, now
    if not found:  # their order, or capital letters
        yield name, str(bytes(old), "latin-1"), str(bytes(new), "latin-1")


def _body(message: Message) -> str | bytes | None:
    """The body decoded, as text if it is some."""
    content = message.get_content(strict=False)
    if content is None or b"\0" in content:
        return content
    try:
        return message.get_text(strict=True)
    except ValueError:
        return content


def _websocket(before: WebSocketData | None, after: WebSocketData | None) -> Iterator[Difference]:
    old = before.messages if before is not None else []
    new = after.messages if after is not None else []
    for index in range(max(len(old), len(new))):
        place = f"websocket.messages[{index}]"
        if index >= len(old):
            yield place, None, new[index].content
        elif index >= len(new):
            yield place, old[index].content, None
        else:
            yield from _attributes(f"{place}.", old[index], new[index], _OF_A_MESSAGE)
            yield from _attributes(f"{place}.", old[index], new[index], ("content",))
