"""One flow in detail: heads, bodies, timings, connections. HTML without scripts, or plain text.

Bodies are shown as text, JSON indented, binary data as hexadecimal; only images of the common kinds
become images, as data inside the page. Captured HTML is text like any other. How much is read for
it is bounded, whatever the size of the body.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from nbproxy.model.connection import format_address
from nbproxy.model.escape import visible
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.masking import default_masker
from nbproxy.model.message import Message, Request, Response
from nbproxy.notebook.messages import conversation_html, conversation_text, counted
from nbproxy.notebook.shown import (
    CSS,
    as_html,
    bar,
    duration_text,
    header_text,
    moment_text,
    path_text,
    plain,
    remarks,
    size_text,
    state_chip,
    state_text,
    tag,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nbproxy.model.connection import Client, Server

MAX_TEXT = 4096  # characters of a body that are shown
_MAX_HEX = 512  # bytes of a body that are shown as hexadecimal
_MAX_READ = 4 * 2**20  # larger bodies are looked at by their beginning only
_MAX_IMAGE = 2**20
_MAX_FIELDS = 200

_MAX_JSON = 2**20
_JSON_WORD = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\],:]|[^\s{}\[\],:"]++')

_NO_FORM = re.compile(r"[\s<>{}\"]")

_IMAGES = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
}


# -- bodies


@dataclass(frozen=True, slots=True)
class Body:
    """What is shown of a body.

    Attributes:
        text: The text, masked and visible; "" if there is none.
        notes: What must be said about it: left out, cut, not decoded.
        image: An image to show in its place, as a data URL; "" for none.
    """

    text: str = ""
    notes: tuple[str, ...] = ()
    image: str = ""


def show_body(message: Message) -> Body:
    """What is shown of a message's body. Never raises."""
    try:
        return _show_body(message)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        return Body(notes=(f"The body cannot be shown: {plain(error)}.",))


def _show_body(message: Message) -> Body:
    total = message.body_size
    stored: Any = message._content  # noqa: SLF001 - the one way to read a body's beginning only
    if stored is None:
        return Body(notes=("The body was not recorded.",))
    if not total:
        return Body(notes=("No body.",))
    notes = []
    if getattr(stored, "truncated", False):
        notes.append(f"Recorded only as far as {size_text(total)}: there was no room for the rest.")
    encoding = message.headers.get("content-encoding", "")
    if total > _MAX_READ:
        data, whole = _beginning(stored), False
        if encoding:
            notes.append(f"Too large to be decoded here ({plain(encoding, 40)}).")
    else:
        data, whole = message.get_content(strict=False) or b"", True
        if encoding and data == message.raw_content:
            notes.append(f"Its content coding ({plain(encoding, 40)}) could not be undone.")
    media_type = message.headers.get("content-type", "")
    kind = media_type.partition(";")[0].strip().lower()
    if whole and kind in _IMAGES and data.startswith(_IMAGES[kind]) and len(data) <= _MAX_IMAGE:
        encoded = base64.b64encode(data).decode("ascii")
        return Body(
            "", (*notes, f"{kind}, {size_text(len(data))}"), f"data:{kind};base64,{encoded}"
        )
    text = _as_text(message, data, whole=whole, raw=bool(encoding) and not whole)
    if text is None:
        return _hex_body(data, total if not whole else len(data), notes)
    return _text_body(text, media_type, notes, whole=whole, total=total)


def _beginning(stored: Any) -> bytes:
    if isinstance(stored, bytes):
        return stored[:_MAX_READ]
    if hasattr(stored, "chunks"):
        first: bytes = next(iter(stored.chunks(64 * 1024)), b"")
        return first
    whole: bytes = stored.read()
    return whole[:_MAX_READ]


def _as_text(message: Message, data: bytes, *, whole: bool, raw: bool) -> str | None:
    """The body as text; None if it is none."""
    if raw or (b"\x00" in data[:1024] and not data.startswith((b"\xff\xfe", b"\xfe\xff"))):
        return None
    beginning = data[: 16 * MAX_TEXT]
    text = message.get_text() if whole else beginning.decode("utf-8", "replace")
    if text is None:
        return None
    sample = text[:1000]
    odd = sum((c < " " and c not in "\t\r\n\f\x1b") or "\udc80" <= c <= "\udcff" for c in sample)
    return None if odd > len(sample) // 20 else text


def _text_body(text: str, media_type: str, notes: list[str], *, whole: bool, total: int) -> Body:
    pretty = _pretty_json(text, media_type) if whole else None
    shown = text if pretty is None else pretty
    # looked at beyond what is shown, so that a secret at the edge is known as one
    if "=" in text and not _NO_FORM.search(text, 0, 8 * MAX_TEXT):
        media_type = "application/x-www-form-urlencoded"  # whether or not it says so
    shown = default_masker().mask_text(shown[: 8 * MAX_TEXT], media_type)
    if len(shown) > MAX_TEXT or not whole:
        what = f"{len(text):,} characters" if whole else size_text(total)
        notes.append(f"Cut here: there are {what}.")
        shown = shown[:MAX_TEXT]
    return Body(visible(shown, MAX_TEXT, multiline=True), tuple(notes))


def _pretty_json(text: str, media_type: str) -> str | None:
    """JSON with indentation, not a character of it changed; None if it is none.

    It is not written anew from the parsed value: that would drop names that occur twice, and write
    numbers and escapes in another way than they were sent.
    """
    if "json" not in media_type.lower() and text.lstrip()[:1] not in ("{", "["):
        return None
    if len(text) > _MAX_JSON:
        return None
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _indented(_JSON_WORD.finditer(text))


def _indented(words: Iterable[re.Match[str]]) -> str:
    pieces: list[str] = []
    depth = length = 0
    opening = False  # the last one opened an object or a list
    for match in words:
        word = match[0]
        if word in ("}", "]"):
            depth -= 1
            piece = word if opening else _new_line(depth) + word
        else:
            piece = (_new_line(depth) if opening else "") + word
        opening = word in ("{", "[")
        if opening:
            depth += 1
        elif word == ",":
            piece += _new_line(depth)
        elif word == ":":
            piece += " "
        pieces.append(piece)
        length += len(piece)
        if length > 8 * MAX_TEXT:  # more than is shown
            break
    return "".join(pieces)


def _new_line(depth: int) -> str:
    return "\n" + "  " * min(depth, 40)


def _hex_body(data: bytes, total: int, notes: list[str]) -> Body:
    lines = []
    for start in range(0, min(len(data), _MAX_HEX), 16):
        row = data[start : start + 16]
        letters = "".join(chr(c) if 32 <= c < 127 else "." for c in row)
        lines.append(f"{start:08x}  {row.hex(' '):<47}  {letters}")
    if total > _MAX_HEX:
        notes.append(f"The first {_MAX_HEX} bytes of {size_text(total)}.")
    return Body("\n".join(lines), tuple(notes))


# -- heads and facts, as pairs of texts


def _fields(headers: Headers) -> list[tuple[str, str]]:
    pairs = headers.items(multi=True)
    shown = [(plain(name, 200), header_text(name, value)) for name, value in pairs[:_MAX_FIELDS]]
    if len(pairs) > _MAX_FIELDS:
        shown.append(("…", f"and {len(pairs) - _MAX_FIELDS:,} more"))
    return shown


def _first_line(message: Message) -> str:
    version = plain(message.http_version, 20)
    if isinstance(message, Request):
        return f"{plain(message.method, 40)} {path_text(message.path, 1000)} {version}"
    if isinstance(message, Response):
        return f"{version} {message.status_code} {plain(message.reason, 200)}".rstrip()
    return version


def _url(flow: HTTPFlow) -> str:
    request = flow.request
    return path_text(request.url, 1000)


def _timings(flow: HTTPFlow) -> list[tuple[str, str]]:
    request, response, server = flow.request, flow.response, flow.server_conn
    start = request.timestamp_start

    def since(timestamp: float | None) -> str:
        return f"+{1000 * (timestamp - start):,.1f} ms" if timestamp and timestamp >= start else ""

    facts = [
        ("request began", moment_text(start)),
        ("request complete", since(request.timestamp_end)),
    ]
    if server.timestamp_start and server.timestamp_start >= start:  # else it was reused
        facts += [
            ("connecting began", since(server.timestamp_start)),
            ("connected", since(server.timestamp_tcp_setup)),
            ("TLS with the server agreed", since(server.timestamp_tls_setup)),
        ]
    if response is not None:
        facts += [
            ("response began", since(response.timestamp_start)),
            ("response complete", since(response.timestamp_end)),
        ]
    return [(name, text) for name, text in facts if text]


def _connection(side: Client | Server) -> list[tuple[str, str]]:
    facts = [("address", format_address(side.peername)), ("our end", format_address(side.sockname))]
    if side.tls:
        facts += [
            ("TLS", " ".join(filter(None, (side.tls_version, side.cipher))) or "not agreed"),
            ("ALPN", side.alpn or ""),
            ("server name (SNI)", side.sni or ""),
        ]
    facts.append(("error", side.error or ""))
    return [(name, plain(text, 300)) for name, text in facts if text]


def _server(flow: HTTPFlow) -> list[tuple[str, str]]:
    server = flow.server_conn
    facts = [("asked for", plain(format_address(server.address), 300)), *_connection(server)]
    if server.via is not None:
        facts.append(("through", plain(format_address(server.via[1]), 300)))
    if server.tls_established:
        facts.append(("certificate", "verified" if server.verified else "not verified"))
    if server.requests > 1:
        facts.append(("requests on it so far", str(server.requests)))
    return [(name, text) for name, text in facts if text]


# -- HTML


def _guarded(draw: Callable[[Any], str]) -> Callable[[Any], str]:
    """A picture that says so when it cannot be drawn: IPython would show nothing at all."""

    @wraps(draw)
    def guarded(thing: Any) -> str:
        try:
            return draw(thing)
        except Exception as error:
            logging.getLogger("nbproxy").debug("cannot be shown", exc_info=True)
            text = f"This {type(thing).__name__} cannot be shown: {type(error).__name__}: "
            return tag("div", as_html(text + plain(error)), "nbp")

    return guarded


def _part(title: str, dim: str, content: str, *, is_open: bool) -> str:
    summary = tag("summary", as_html(title) + tag("span", as_html(dim), "nbp-dim"))
    start = "<details open>" if is_open else "<details>"
    return f"{start}{summary}{content}</details>"


def _facts_html(facts: Sequence[tuple[str, str]]) -> str:
    rows = (
        tag("tr", tag("th", as_html(name), scope="row") + tag("td", as_html(value)))
        for name, value in facts
    )
    return tag("table", tag("tbody", "".join(rows)), "nbp-table nbp-facts")


def _head_html(message: Message) -> str:
    lines = [tag("b", as_html(_first_line(message)))]
    lines += [
        f"{tag('b', as_html(name))}: {as_html(text)}" for name, text in _fields(message.headers)
    ]
    return tag("pre", "\n".join(lines))


def _body_html(message: Message) -> str:
    body = show_body(message)
    parts = []
    if body.image:
        parts.append(f'<img alt="{as_html(body.notes[-1])}" src="{as_html(body.image)}">')
    elif body.text:
        parts.append(tag("pre", as_html(body.text)))
    parts += [tag("div", as_html(note), "nbp-note nbp-dim") for note in body.notes]
    return tag("div", "".join(parts), "nbp-body")


def _trailers_html(message: Message) -> str:
    if not message.trailers:
        return ""
    lines = [f"{tag('b', as_html(n))}: {as_html(v)}" for n, v in _fields(message.trailers)]
    return tag("div", "Trailers", "nbp-note nbp-dim") + tag("pre", "\n".join(lines))


def _message_html(message: Message, *, is_open: bool = True) -> str:
    title = "Request" if isinstance(message, Request) else "Response"
    dim = f"{len(message.headers.fields)} fields, {size_text(message.body_size)}"
    content = _head_html(message) + _body_html(message) + _trailers_html(message)
    return _part(title, dim, content, is_open=is_open)


@_guarded
def flow_html(flow: HTTPFlow) -> str:
    """One flow in detail."""
    head = [
        tag("span", f"Flow {flow.id}", "nbp-title"),
        tag("span", state_chip(flow)),
        tag("span", as_html(f"{plain(flow.request.method, 40)} {_url(flow)}"), "nbp-code"),
    ]
    if flow.duration is not None:
        head.append(tag("span", duration_text(flow.duration) + bar(flow, flow.duration), "nbp-dim"))
    parts = [CSS, tag("div", "".join(head), "nbp-head")]
    if flow.error is not None:
        parts.append(tag("div", as_html(f"✕ {plain(flow.error.msg, 1000)}"), "nbp-bad"))
    parts += [tag("div", as_html(text), "nbp-dim") for text in remarks(flow, 1000)]
    parts.append(_message_html(flow.request))
    if flow.response is not None:
        parts.append(_message_html(flow.response))
    if flow.websocket is not None:
        parts.append(_part("WebSocket", counted(flow), conversation_html(flow), is_open=True))
    parts.append(_part("Timing", "", _facts_html(_timings(flow)), is_open=False))
    client = _connection(flow.client_conn)
    both = tag("div", "client", "nbp-note nbp-dim") + _facts_html(client)
    both += tag("div", "server", "nbp-note nbp-dim") + _facts_html(_server(flow))
    parts.append(
        _part("Connections", plain(format_address(flow.server_conn.peername)), both, is_open=False)
    )
    return tag("div", "".join(parts), "nbp")


@_guarded
def message_html(message: Message) -> str:
    """A request or a response."""
    return tag("div", CSS + _message_html(message), "nbp")


@_guarded
def headers_html(headers: Headers) -> str:
    """The fields of a head, as a table."""
    table = tag("div", _facts_html(_fields(headers)), "nbp-scroll")
    return tag("div", CSS + table, "nbp")


DRAWN: dict[type[Any], Callable[[Any], str]] = {
    HTTPFlow: flow_html,
    Request: message_html,
    Response: message_html,
    Headers: headers_html,
}
"""What draws objects of a type."""


# -- text


def _message_text(message: Message) -> list[str]:
    lines = [_first_line(message)]
    lines += [f"{name}: {text}" for name, text in _fields(message.headers)]
    body = show_body(message)
    lines.append("")
    if body.text:
        lines.append(body.text)
    lines += [f"[{note}]" for note in body.notes]
    if message.trailers:
        lines += ["", *(f"{name}: {text}" for name, text in _fields(message.trailers))]
    return lines


def flow_text(flow: HTTPFlow) -> str:
    """One flow in detail, as plain text."""
    request, response = flow.request, flow.response
    lines = [f"Flow {flow.id}: {plain(request.method, 40)} {_url(flow)} → {state_text(flow)}"]
    if flow.error is not None:
        lines.append(f"error: {plain(flow.error.msg, 1000)}")
    lines += remarks(flow, 1000)
    sections = [("Request", _message_text(request))]
    if response is not None:
        sections.append(("Response", _message_text(response)))
    if flow.websocket is not None:
        sections.append((f"WebSocket, {counted(flow)}", conversation_text(flow)))
    for title, facts in (
        ("Timing", _timings(flow)),
        ("Client", _connection(flow.client_conn)),
        ("Server", _server(flow)),
    ):
        if facts:
            sections.append((title, [f"{name}: {text}" for name, text in facts]))
    for title, section in sections:
        lines += ["", f"── {title} ──", *section]
    return "\n".join(lines)
