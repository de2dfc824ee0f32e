"""One flow in detail, as plain values for the browser: heads, timing, connections, cookies, notes.

Everything here is text, numbers, lists and dictionaries that fit into JSON; the browser lays them
out and shows text as text. Secrets are masked unless somebody asked to see them; bodies are fetched
apart, by windows (`nbproxy.notebook.widgets.bodies`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nbproxy.model.connection import format_address
from nbproxy.model.cookies import parse_cookie_header, parse_set_cookie
from nbproxy.model.escape import visible
from nbproxy.model.masking import default_masker
from nbproxy.notebook.shown import header_text, moment_text, path_text, plain, size_text
from nbproxy.notebook.widgets import bodies

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbproxy.model.connection import Client, Connection, Server
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.headers import Headers
    from nbproxy.model.message import Message, Request, Response

    Pairs = list[list[str]]

_FIELDS: Final = 400
_COOKIES: Final = 200
_MESSAGES: Final = 200
_CHANGES: Final = 200
_LIMIT: Final = 16_000
_CERTIFICATES: Final = 4

# Notes in a flow's metadata that have a place of their own, or mean nothing to people.
_PLACED: Final = frozenset(
    {"changes", "handler_errors", "raw", "original_id", "cell", "line", "function", "capture"}
)


@dataclass(frozen=True, slots=True)
class Eyes:
    """How text from the wire is looked at.

    Attributes:
        reveal: Whether secrets are shown.
    """

    reveal: bool = False

    def text(self, value: object, limit: int = 1000) -> str:
        """One line of text."""
        return visible(str(value), limit) if self.reveal else plain(value, limit)

    def path(self, value: str, limit: int = 8000) -> str:
        """A path with its query, or a URL."""
        return visible(value, limit) if self.reveal else path_text(value, limit)

    def header(self, name: str, value: str, limit: int = 8000) -> str:
        """The value of a field."""
        return visible(value, limit) if self.reveal else header_text(name, value, limit)

    def secret(self, value: str, limit: int = 4000) -> str:
        """What is always a secret: the value of a cookie."""
        return visible(value if self.reveal else default_masker().mask(value), limit)


def describe(flow: HTTPFlow, eyes: Eyes) -> dict[str, Any]:
    """All that the detail pane shows of a flow but its bodies."""
    request, response = flow.request, flow.response
    found: dict[str, Any] = {
        "id": flow.id,
        "url": eyes.path(request.url),
        "method": eyes.text(request.method, 40),
        "status": response.status_code if response is not None else None,
        "reason": eyes.text(response.reason, 200) if response is not None else "",
        "error": eyes.text(flow.error.msg) if flow.error is not None else "",
        "comment": eyes.text(flow.comment),
        "mark": eyes.text(flow.marked, 80),
        "live": flow.live,
        "held": flow.intercepted,
        "replay": flow.is_replay or "",
        "origin": _origin(flow, eyes),
        "revealed": eyes.reveal,
        "request": message(request, eyes, flow),
        "response": message(response, eyes, flow) if response is not None else None,
        "body_views": bodies.revision(),
        "timing": timing(flow),
        "connections": [_client(flow.client_conn, eyes), _server(flow.server_conn, eyes)],
        "cookies": {
            "request": _sent_cookies(request, eyes),
            "response": _set_cookies(response, eyes),
        },
        **_notes(flow, eyes),
    }
    if flow.websocket is not None:
        found["websocket"] = _websocket(flow, eyes)
    return found


# -- messages


def message(of: Message, eyes: Eyes, flow: HTTPFlow | None = None) -> dict[str, Any]:
    """The head of a message, and which views there are of its body."""
    found: dict[str, Any] = {
        "line": _first_line(of, eyes),
        "headers": fields(of.headers, eyes),
        "count": len(of.headers.fields),
        "size": of.body_size,
        "type": eyes.text(of.headers.get("content-type", ""), 200),
        "encoding": eyes.text(of.headers.get("content-encoding", ""), 100),
        "views": bodies.views(of, flow),
        "missing": of.body_size == 0 and not of.holds_bytes,
    }
    if of.trailers:
        found["trailers"] = fields(of.trailers, eyes)
    query = getattr(of, "query", None)
    if query:
        found["query"] = _query(of, eyes)
    return found


def _first_line(of: Any, eyes: Eyes) -> list[str]:
    version = eyes.text(of.http_version, 20)
    if hasattr(of, "method"):
        return [eyes.text(of.method, 40), eyes.path(of.path), version]
    return [version, eyes.text(of.status_code, 10), eyes.text(of.reason, 300)]


def fields(headers: Headers, eyes: Eyes) -> Pairs:
    """Names and values, in order."""
    pairs = headers.items(multi=True)
    shown = [[eyes.text(name, 300), eyes.header(name, value)] for name, value in pairs[:_FIELDS]]
    if len(pairs) > _FIELDS:
        shown.append(["…", f"and {len(pairs) - _FIELDS:,} more"])
    return shown


def _query(of: Any, eyes: Eyes) -> Pairs:
    pairs = list(of.query.items(multi=True))[:_FIELDS]
    shown = []
    for name, value in pairs:
        if eyes.reveal:
            text = visible(value, _LIMIT)
        else:
            # as a field of a URL: its name decides whether the value is a secret
            masked = default_masker().mask_text(
                f"{name}={value}".replace("&", "%26"), "application/x-www-form-urlencoded"
            )
            kept = masked.endswith(value.replace("&", "%26"))
            text = visible(value if kept else masked.partition("=")[2], _LIMIT)
        shown.append([eyes.text(name, 300), text])
    return shown


# -- cookies


def _sent_cookies(request: Request, eyes: Eyes) -> list[list[str]]:
    pairs = [
        pair for line in request.headers.get_all("cookie") for pair in parse_cookie_header(line)
    ]
    return [[eyes.text(name, 300), eyes.secret(value)] for name, value in pairs[:_COOKIES]]


def _set_cookies(response: Response | None, eyes: Eyes) -> list[list[str]]:
    if response is None:
        return []
    found = []
    for line in response.headers.get_all("set-cookie")[:_COOKIES]:
        cookie = parse_set_cookie(line)
        attributes = "; ".join(
            name if value is None else f"{name}={value}" for name, value in cookie.attributes.fields
        )
        found.append(
            [eyes.text(cookie.name, 300), eyes.secret(cookie.value), eyes.text(attributes, 500)]
        )
    return found


# -- timing


def timing(flow: HTTPFlow) -> dict[str, Any]:
    """Moments of a flow, as milliseconds from the request's first byte.

    Returns:
        `start` in words; `total` or None; `spans`, each `[name, kind, begin, end]`; `moments`,
        `[name, at]`, of what happened.
    """
    request, response, server = flow.request, flow.response, flow.server_conn
    zero = request.timestamp_start

    def since(timestamp: float | None) -> float | None:
        known = isinstance(timestamp, int | float) and timestamp >= zero - 1e-3
        return max(0.0, 1000 * (timestamp - zero)) if known and timestamp else None

    fresh = since(server.timestamp_start)  # else the connection was there before
    moments = {
        "request began": 0.0,
        "request complete": since(request.timestamp_end),
        "connecting began": fresh,
        "connected": since(server.timestamp_tcp_setup) if fresh is not None else None,
        "TLS agreed": since(server.timestamp_tls_setup) if fresh is not None else None,
        "response began": since(response.timestamp_start) if response is not None else None,
        "response complete": since(response.timestamp_end) if response is not None else None,
    }
    ends = [at for at in moments.values() if at is not None]
    found = {name: at for name, at in moments.items() if at is not None}
    return {
        "start": moment_text(zero),
        "total": found.get("response complete"),
        "end": max(ends),
        "spans": _spans(found),
        "moments": [[name, at] for name, at in sorted(found.items(), key=lambda item: item[1])],
        "reused": fresh is None and server.timestamp_start is not None,
    }


def _spans(at: dict[str, float]) -> list[list[Any]]:
    """What happened from when to when; spans overlap where things went on at once."""
    spans: list[list[Any]] = []

    def add(name: str, kind: str, begin: str, end: str) -> None:
        if begin in at and end in at and at[end] >= at[begin]:
            spans.append([name, kind, at[begin], at[end]])

    add("request", "send", "request began", "request complete")
    add("connect", "connect", "connecting began", "connected")
    add("TLS", "tls", "connected", "TLS agreed")
    ready = [at[name] for name in ("request complete", "connected", "TLS agreed") if name in at]
    if ready and "response began" in at and at["response began"] >= max(ready):
        spans.append(["waiting", "wait", max(ready), at["response began"]])
    add("response", "receive", "response began", "response complete")
    return spans


# -- connections


def _client(side: Client, eyes: Eyes) -> dict[str, Any]:
    facts = [
        ("address", format_address(side.peername)),
        ("our end", format_address(side.sockname)),
        ("tunnel to", format_address(side.tunnel)),
        *_tls(side),
        ("offered ALPN", ", ".join(map(str, side.alpn_offers))),
        ("requests so far", str(side.requests) if side.requests else ""),
        ("opened", moment_text(side.timestamp_start)),
        ("closed", moment_text(side.timestamp_end)),
        ("error", side.error or ""),
    ]
    return {"title": "Client", "facts": _shown(facts, eyes), "certificates": []}


def _server(side: Server, eyes: Eyes) -> dict[str, Any]:
    via = format_address(side.via[1]) if side.via is not None else ""
    facts = [
        ("asked for", format_address(side.address)),
        ("address", format_address(side.peername)),
        ("our end", format_address(side.sockname)),
        ("through", via),
        *_tls(side),
        ("certificate", ("verified" if side.verified else "NOT verified") if side.tls else ""),
        ("requests so far", str(side.requests) if side.requests else ""),
        ("opened", moment_text(side.timestamp_start)),
        ("closed", moment_text(side.timestamp_end)),
        ("error", side.error or ""),
    ]
    chain = [_certificate(der, eyes) for der in tuple(side.certificate_list)[:_CERTIFICATES]]
    return {"title": "Server", "facts": _shown(facts, eyes), "certificates": chain}


def _tls(side: Connection) -> list[tuple[str, str]]:
    if not side.tls:
        return []
    return [
        ("TLS", side.tls_version or "not agreed"),
        ("cipher", side.cipher or ""),
        ("ALPN", side.alpn or ""),
        ("server name (SNI)", side.sni or ""),
    ]


def _certificate(der: bytes, eyes: Eyes) -> Pairs:
    from nbproxy.certs.certificate import Certificate  # noqa: PLC0415 - slow to import

    read = Certificate(der)
    kind, bits = read.keyinfo
    facts = [
        ("subject", _name(read.subject)),
        ("issuer", _name(read.issuer)),
        ("names", ", ".join(read.altnames[:50])),
        ("valid from", str(read.notbefore or "")),
        ("valid to", f"{read.notafter or ''}{' (expired)' if read.has_expired() else ''}"),
        ("key", f"{kind} {bits}" if bits else ""),
        ("serial", f"{read.serial:x}" if read.serial else ""),
        ("SHA-256", read.fingerprint().hex(":").upper()),
    ]
    return _shown(facts, eyes)


def _name(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name}={value}" for name, value in pairs)


def _shown(facts: Iterable[tuple[str, str]], eyes: Eyes) -> Pairs:
    return [[name, eyes.text(text, 2000)] for name, text in facts if text]


# -- what happened to it here


def _notes(flow: HTTPFlow, eyes: Eyes) -> dict[str, Any]:
    """What handlers changed and what went wrong in them, and other notes of the proxy."""
    metadata = flow.metadata
    changes = metadata.get("changes")
    errors = metadata.get("handler_errors")
    return {
        "changes": [_change(each, eyes) for each in changes[:_CHANGES]]
        if isinstance(changes, list)
        else [],
        "handler_errors": [eyes.text(each, 2000) for each in errors[:_CHANGES]]
        if isinstance(errors, list)
        else [],
        "notes": [
            [eyes.text(name, 100), eyes.text(value, 2000)]
            for name, value in list(metadata.items())[:100]
            if name not in _PLACED
        ],
    }


def _origin(flow: HTTPFlow, eyes: Eyes) -> str:
    """Which code asked, where that is known: "cell 3, line 2, in get()"."""
    found = {name: flow.metadata.get(name) for name in ("cell", "line", "function")}
    words = [
        f"cell {found['cell']}" if found["cell"] is not None else "",
        f"line {found['line']}" if found["line"] is not None else "",
        f"in {found['function']}()" if found["function"] else "",
    ]
    return eyes.text(", ".join(filter(None, words)), 200)


def _change(change: Any, eyes: Eyes) -> list[str]:
    """A change as `[by whom, field, before, after]`; what does not look like one is shown whole."""
    try:
        who, field, before, after = change
    except (TypeError, ValueError):
        return ["", "", "", eyes.text(change)]
    values = []
    for value in (before, after):
        if value is None:
            values.append("")
        elif isinstance(value, bytes):
            values.append(size_text(len(value)))
        else:
            name = str(field).rpartition('headers["')[2].removesuffix('"]')
            values.append(eyes.header(name, str(value), 2000))
    return [eyes.text(who, 200), eyes.text(field, 300), *values]


def _websocket(flow: HTTPFlow, eyes: Eyes) -> dict[str, Any]:
    data = flow.websocket
    if data is None:
        return {}
    found = []
    for each in data.messages[-_MESSAGES:]:
        if each.is_text:
            text = each.content[:_LIMIT].decode("utf-8", "replace")
            if not eyes.reveal:
                text = default_masker().mask_text(text)
            text = visible(text, 2000, multiline=True)
        else:
            text = f"{each.content[:64].hex(' ')}{' …' if len(each.content) > 64 else ''}"
        state = "dropped" if each.dropped else "injected" if each.injected else ""
        when = 1000 * (each.timestamp - flow.request.timestamp_start) if each.timestamp else 0.0
        found.append([each.from_client, each.is_text, len(each.content), text, state, when])
    return {
        "count": len(data.messages),
        "messages": found,
        "closed": "" if data.close_code is None else eyes.text(data.close_code, 10),
        "reason": eyes.text(data.close_reason or "", 300),
    }
