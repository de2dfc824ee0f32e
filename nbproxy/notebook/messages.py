"""The messages of a WebSocket, as a flow's details show them: the last ones, cut and masked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nbproxy.model.escape import visible
from nbproxy.model.history import METADATA_KEY
from nbproxy.model.masking import default_masker
from nbproxy.notebook.shown import as_html, clock_text, plain, size_text, tag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.websocket import WebSocketData, WebSocketMessage

_SHOWN: Final = 100  # messages
_MAX_TEXT: Final = 300  # characters of one
_MAX_HEX: Final = 32  # bytes of one
_COLUMNS: Final = ("", "time", "size", "message")


def conversation_html(flow: HTTPFlow) -> str:
    """The messages as a table, and what must be said about them; "" if it is no WebSocket."""
    websocket = flow.websocket
    if websocket is None:
        return ""
    head = "".join(tag("th", name, scope="col") for name in _COLUMNS)
    rows = "".join(
        tag("tr", "".join(tag("td", as_html(cell)) for cell in row)) for row in _rows(websocket)
    )
    table = tag("thead", tag("tr", head)) + tag("tbody", rows)
    parts = [tag("div", tag("table", table, "nbp-table"), "nbp-scroll")] if rows else []
    parts += [tag("div", as_html(note), "nbp-note nbp-dim") for note in _notes(flow, websocket)]
    return "".join(parts)


def conversation_text(flow: HTTPFlow) -> list[str]:
    """The same as lines of plain text."""
    websocket = flow.websocket
    if websocket is None:
        return []
    lines = [
        f"{way} {time}  {size:>8}  {text}".rstrip() for way, time, size, text in _rows(websocket)
    ]
    return lines + [f"[{note}]" for note in _notes(flow, websocket)]


def counted(flow: HTTPFlow) -> str:
    """How many messages there are: "3 messages, open"."""
    websocket = flow.websocket
    if websocket is None:
        return ""
    count = len(websocket.messages)
    text = f"{count:,} message{'' if count == 1 else 's'}"
    return f"{text}, open" if flow.live else text


def _rows(websocket: WebSocketData) -> Iterator[tuple[str, str, str, str]]:
    for message in websocket.messages[-_SHOWN:]:
        yield (
            "→" if message.from_client else "←",
            clock_text(message.timestamp),
            size_text(len(message.content) + message.left_out),
            _text(message),
        )


def _text(message: WebSocketMessage) -> str:
    marks = [word for word in ("dropped", "injected") if getattr(message, word)]
    if message.is_text:
        # looked at beyond what is shown, so that a secret at the edge is known as one
        beginning = message.content[: 8 * _MAX_TEXT].decode("utf-8", "replace")
        text = visible(default_masker().mask_text(beginning), _MAX_TEXT)
    else:
        text = message.content[:_MAX_HEX].hex(" ")
        text += " …" if len(message.content) > _MAX_HEX else ""
    return f"({', '.join(marks)}) {text}" if marks else text


def _notes(flow: HTTPFlow, websocket: WebSocketData) -> Iterator[str]:
    hidden = len(websocket.messages) - _SHOWN
    if hidden > 0:
        yield f"The last {_SHOWN} messages; {hidden:,} came before them."
    left_out: Any = flow.metadata.get(METADATA_KEY)
    if isinstance(left_out, dict):
        count, size = left_out.get("messages", 0), left_out.get("bytes", 0)
        yield f"Not kept: {plain(count)} older messages, {plain(size)} bytes in all."
    if websocket.timestamp_end is None:
        return
    by_client = websocket.closed_by_client
    who = "neither side" if by_client is None else "the client" if by_client else "the server"
    code = websocket.close_code
    reason = f", {plain(websocket.close_reason)}" if websocket.close_reason else ""
    yield f"Closed by {who}: {'no code' if code is None else code}{reason}."
