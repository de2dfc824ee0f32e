"""What passed on a WebSocket as a cell of a dataset, and back.

A cell is a struct: how the WebSocket ended, its messages in their order, and how many of these
were left out while it was recorded. What a script or a file put there and no type of Arrow fits is
written as near to it as can be: numbers beyond 64 bits are missing, text is UTF-8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from nbproxy.model.clean import clean_text
from nbproxy.model.history import METADATA_KEY
from nbproxy.model.websocket import WebSocketData, WebSocketMessage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbproxy.model.flow import HTTPFlow

MESSAGE: Final = pa.struct(
    [
        ("type", pa.int64()),
        ("from_client", pa.bool_()),
        ("content", pa.large_binary()),
        ("timestamp", pa.float64()),
        ("dropped", pa.bool_()),
        ("injected", pa.bool_()),
        ("left_out", pa.int64()),
    ]
)
WEBSOCKET: Final = pa.struct(
    [
        ("closed_by_client", pa.bool_()),
        ("close_code", pa.int64()),
        ("close_reason", pa.string()),
        ("timestamp_end", pa.float64()),
        ("left_out_messages", pa.int64()),
        ("left_out_bytes", pa.int64()),
        ("messages", pa.large_list(MESSAGE)),
    ]
)

_LARGEST: Final = 2**63


def cell_of(flow: HTTPFlow) -> dict[str, Any] | None:
    """What passed on the WebSocket of a flow; None if it has none."""
    websocket = flow.websocket
    if websocket is None:
        return None
    noted = flow.metadata.get(METADATA_KEY)
    left_out = noted if isinstance(noted, dict) else {}
    closed = websocket.closed_by_client
    return {
        "closed_by_client": None if closed is None else bool(closed),
        "close_code": _whole(websocket.close_code),
        "close_reason": clean_text(websocket.close_reason),
        "timestamp_end": _time(websocket.timestamp_end),
        "left_out_messages": _whole(left_out.get("messages")),
        "left_out_bytes": _whole(left_out.get("bytes")),
        "messages": [
            {
                "type": _whole(message.type),
                "from_client": bool(message.from_client),
                "content": _octets(message.content),
                "timestamp": _time(message.timestamp),
                "dropped": bool(message.dropped),
                "injected": bool(message.injected),
                "left_out": _whole(message.left_out),
            }
            for message in websocket.messages
        ],
    }


def put_back(flow: HTTPFlow, cell: Mapping[str, Any] | None) -> None:
    """Give a flow what a cell says, if there is one."""
    if cell is None:
        return
    flow.websocket = WebSocketData(
        [
            WebSocketMessage(
                message["type"] or 0,
                bool(message["from_client"]),
                message["content"] or b"",
                message["timestamp"] or 0.0,
                dropped=bool(message["dropped"]),
                injected=bool(message["injected"]),
                left_out=message["left_out"] or 0,
            )
            for message in cell["messages"] or ()
            if message is not None
        ],
        cell["closed_by_client"],
        cell["close_code"],
        cell["close_reason"],
        cell["timestamp_end"],
    )
    messages, size = cell["left_out_messages"], cell["left_out_bytes"]
    if messages is not None or size is not None:
        flow.metadata[METADATA_KEY] = {"messages": messages or 0, "bytes": size or 0}


def size_bytes(flow: HTTPFlow) -> int:
    """How many bytes the messages of a flow hold."""
    websocket = flow.websocket
    return 0 if websocket is None else sum(len(message.content) for message in websocket.messages)


def _whole(value: Any) -> int | None:
    fits = isinstance(value, int) and -_LARGEST <= value < _LARGEST
    return int(value) if fits else None


def _time(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _octets(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    text = str(value)
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
