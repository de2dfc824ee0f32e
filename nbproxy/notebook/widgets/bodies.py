"""Views of a body, a window at a time: what the tabs Request and Response show below the head.

`views` says which there are of a message, the best first; `render` gives a part of one. What comes
out is text or rows of text, masked and visible, or the data of an image of a kind that cannot hold
anything active; the browser makes no markup of any of it.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any, Final

from nbproxy.model.escape import visible
from nbproxy.model.masking import default_masker
from nbproxy.notebook.shown import plain, size_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbproxy.model.message import Message

#: Characters, or bytes, in a window.
WINDOW: Final = 64 * 1024

#: Bodies that are larger are not laid out anew, only shown as they are.
MAX_PRETTY: Final = 4 * 2**20
MAX_IMAGE: Final = 4 * 2**20
_MAX_INDENT: Final = 16 * 2**20

_LEAD: Final = 2000  # characters before a window that are looked at, so that no secret is cut
_ROWS: Final = 500
_HEX_WINDOW: Final = 4096
_SAMPLE: Final = 2000

_IMAGES: Final = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
    "image/avif": (b"\x00\x00\x00",),
    "image/x-icon": (b"\x00\x00\x01\x00",),
    "image/vnd.microsoft.icon": (b"\x00\x00\x01\x00",),
}
_JSON_WORD: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\],:]|[^\s{}\[\],:"]++')


def views(message: Message) -> list[str]:
    """The names of the views of a message's body, the best first; none if there is no body."""
    if not message.body_size:
        return []
    kind = _kind(message)
    found = []
    if kind in _IMAGES and message.body_size <= MAX_IMAGE:
        found.append("Image")
    if "json" in kind and message.body_size <= MAX_PRETTY:
        found.append("JSON")
    if kind == "application/x-www-form-urlencoded":
        found.append("Form")
    text = (
        kind.startswith("text/")
        or not kind
        or any(word in kind for word in ("json", "xml", "script", "form", "yaml", "graphql"))
    )
    return [*found, *(["Text", "Hex"] if text else ["Hex", "Text"])]


def render(
    message: Message, view: str, offset: int = 0, limit: int = WINDOW, *, reveal: bool = False
) -> dict[str, Any]:
    """A part of a view.

    Args:
        message: The message.
        view: One of `views(message)`.
        offset: Where the part begins: in characters, or in bytes for "Hex"; as `next` says.
        limit: How much there should be at most.
        reveal: Whether secrets are shown.

    Returns:
        `kind`, "text", "rows" or "image"; under that name the content: text, pairs of text, a data
        URL; `next`, the offset of what follows or None; `total` and `unit`; `notes`, sentences on
        what is missing.

    Raises:
        ValueError: There is no such view.
        OSError: The body cannot be read any more.
    """
    draw = _VIEWS.get(view)
    if draw is None:
        raise ValueError(f"there is no view {view!r:.40}")
    notes: list[str] = []
    data = _content(message, notes)
    found = draw(message, data, max(0, offset), max(16, min(limit, 4 * WINDOW)), reveal)
    found["notes"] = [*notes, *found.get("notes", [])]
    found["view"] = view
    return found


def _kind(message: Message) -> str:
    return message.headers.get("content-type", "").partition(";")[0].strip().lower()


def _content(message: Message, notes: list[str]) -> bytes:
    data = message.get_content(strict=False)
    if data is None:
        notes.append("The body was not recorded.")
        return b""
    encoding = message.headers.get("content-encoding", "")
    if encoding and data == message.raw_content:
        notes.append(f"Its content coding ({plain(encoding, 40)}) could not be undone.")
    return data


def _as_text(message: Message, data: bytes) -> str:
    text = message.get_text(strict=False)
    return data.decode("utf-8", "replace") if text is None else text


def window(
    text: str, offset: int, limit: int, mask: Callable[[str], str] | None
) -> tuple[str, int | None]:
    """A part of a text, masked as in the whole, and where the next one begins.

    What stands before the part is masked with it and taken off again, so that a secret which the
    cut goes through is known as one.
    """
    end = min(len(text), offset + limit)
    if end < len(text):  # better between lines
        line = text.rfind("\n", offset + limit // 2, end)
        end = line + 1 if line > 0 else end
    following = end if end < len(text) else None
    if mask is None:
        return text[offset:end], following
    lead = text[max(0, offset - _LEAD) : offset]
    tail = text[end : end + _LEAD]
    whole, before, after = mask(lead + text[offset:end] + tail), mask(lead), mask(tail)
    begin = _common(whole, before)
    stop = len(whole) - _common(whole[::-1], after[::-1])
    return whole[begin : max(begin, stop)], following


def _common(a: str, b: str) -> int:
    """How many characters two texts have in common at their beginning."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _text(message: Message, data: bytes, offset: int, limit: int, reveal: bool) -> dict[str, Any]:
    return _text_window(_as_text(message, data), _kind(message), offset, limit, reveal)


def _text_window(text: str, kind: str, offset: int, limit: int, reveal: bool) -> dict[str, Any]:
    mask = None if reveal else lambda part: default_masker().mask_text(part, kind, len(part) + 1)
    part, following = window(text, offset, limit, mask)
    return {
        "kind": "text",
        "text": visible(part, len(part) + 1, multiline=True),
        "next": following,
        "total": len(text),
        "unit": "characters",
    }


def _json(message: Message, data: bytes, offset: int, limit: int, reveal: bool) -> dict[str, Any]:
    text = _as_text(message, data)
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        found = _text_window(text, _kind(message), offset, limit, reveal)
        found["notes"] = ["It is not valid JSON, and shown as it is."]
        return found
    found = _text_window(_indented(text), _kind(message), offset, limit, reveal)
    found["language"] = "json"
    return found


def _indented(text: str) -> str:
    """JSON with indentation, not a character of its values changed; as it is if it grows a lot."""
    pieces: list[str] = []
    depth = length = 0
    opening = False
    for match in _JSON_WORD.finditer(text):
        word = match[0]
        if word in ("}", "]"):
            depth -= 1
            pieces.append(word if opening else f"\n{'  ' * min(depth, 40)}{word}")
        else:
            if opening:
                pieces.append(f"\n{'  ' * min(depth, 40)}")
            pieces.append(word)
        opening = word in ("{", "[")
        if opening:
            depth += 1
        elif word == ",":
            pieces.append(f"\n{'  ' * min(depth, 40)}")
        elif word == ":":
            pieces.append(" ")
        length += 2 * min(depth, 40)
        if length > _MAX_INDENT:
            return text
    return "".join(pieces)


def _form(message: Message, data: bytes, offset: int, limit: int, reveal: bool) -> dict[str, Any]:
    del limit
    text = _as_text(message, data)
    fields = text.split("&")
    shown = []
    for field in fields[offset : offset + _ROWS]:
        masked = (
            field
            if reveal
            else default_masker().mask_text(field, "application/x-www-form-urlencoded")
        )
        name, _, value = masked.partition("=")
        shown.append([visible(_decoded(name), 500), visible(_decoded(value), 8000)])
    following = offset + _ROWS if offset + _ROWS < len(fields) else None
    return {
        "kind": "rows",
        "rows": shown,
        "next": following,
        "total": len(fields),
        "unit": "fields",
    }


def _decoded(text: str) -> str:
    from nbproxy.model import url  # noqa: PLC0415

    return url.decode_field(text)


def _hex(message: Message, data: bytes, offset: int, limit: int, reveal: bool) -> dict[str, Any]:
    offset -= offset % 16
    part = data[offset : offset + min(limit, _HEX_WINDOW)]
    if not reveal and _holds_secrets(message, data):
        return {
            "kind": "text",
            "text": "",
            "next": None,
            "total": len(data),
            "unit": "bytes",
            "notes": ["There are secrets in it; reveal them to see the bytes."],
        }
    lines = []
    for start in range(0, len(part), 16):
        row = part[start : start + 16]
        letters = "".join(chr(c) if 32 <= c < 127 else "·" for c in row)
        cells = f"{row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}"
        lines.append(f"{offset + start:08x}  {cells}  {letters}")
    end = offset + len(part)
    return {
        "kind": "text",
        "text": "\n".join(lines),
        "next": end if end < len(data) else None,
        "total": len(data),
        "unit": "bytes",
    }


def _holds_secrets(message: Message, data: bytes) -> bool:
    """Whether masking would change the text of a body; of the beginning of a large one."""
    sample = data[: 256 * 1024].decode("utf-8", "replace")
    return default_masker().mask_text(sample, _kind(message)) != sample


def _image(message: Message, data: bytes, offset: int, limit: int, reveal: bool) -> dict[str, Any]:
    del offset, limit, reveal
    kind = _kind(message)
    fits = any(data.startswith(mark) for mark in _IMAGES.get(kind, ())) and len(data) <= MAX_IMAGE
    if not fits:
        return {
            "kind": "text",
            "text": "",
            "next": None,
            "total": len(data),
            "unit": "bytes",
            "notes": [f"It says that it is {plain(kind, 60)}, but it is not."],
        }
    encoded = base64.b64encode(data).decode("ascii")
    return {
        "kind": "image",
        "image": f"data:{kind};base64,{encoded}",
        "next": None,
        "total": len(data),
        "unit": "bytes",
        "notes": [f"{kind}, {size_text(len(data))}"],
    }


_VIEWS: Final = {"Image": _image, "JSON": _json, "Form": _form, "Text": _text, "Hex": _hex}
