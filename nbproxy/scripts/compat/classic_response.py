"""Responses as eras A to C knew them."""

from __future__ import annotations

import html
from typing import Any, ClassVar

from nbproxy.model import message as model
from nbproxy.model.reasons import REASONS
from nbproxy.scripts.bytetext import data
from nbproxy.scripts.compat import classic_state, flows
from nbproxy.scripts.compat.classic_connections import KILL
from nbproxy.scripts.compat.classic_headers import Headers, to_real
from nbproxy.scripts.compat.classic_messages import Message, NewVersion, OldVersion, is_missing
from nbproxy.scripts.compat.classic_odict import ODict, ODictCaseless
from nbproxy.scripts.compat.classic_request import RequestC


class _Response(Message):
    """What all three eras share."""

    _real: model.Response
    shown = "a response"

    def _make_of(
        self,
        era: str,
        version: Any,
        code: Any,
        reason: Any,
        headers: Any,
        content: Any,
        start: float | None = None,
        end: float | None = None,
    ) -> None:
        own = model.Response(
            int(code),
            reason=None if reason is None else _words(reason),
            headers=to_real(headers if headers is not None else ()),
            content=None if is_missing(content) else data(content),
            timestamp_start=start or 0.0,
        )
        own.timestamp_end = end
        self._adopt_in(own, era)
        self._set_version(version)

    def _first_line(self) -> str:
        own = self._real
        return f"{own.http_version} {own.status_code} {own.reason}"

    def __repr__(self) -> str:
        own = self._real
        kind = own.headers.get("content-type", "unknown content type")
        return f"<{type(self).__name__}: {own.status_code} {own.reason} ({kind})>"

    def _get_code(self) -> int:
        return self._real.status_code

    def _set_code(self, value: Any) -> None:
        self._real.status_code = int(value)

    def _get_reason(self) -> str:
        return self._real.reason

    def _set_reason(self, value: Any) -> None:
        self._real.reason = _words(value)

    def replace(self, pattern: Any, repl: Any, *args: Any, **kwargs: Any) -> int:
        """Replace, by regex, in body and headers; gives how often."""
        return self._replace(pattern, repl, args, kwargs)

    def refresh(self, now: float | None = None) -> None:
        """Move Date, Expires and Last-Modified on by the age of the response."""
        flows.Response.refresh(self, now)  # type: ignore[arg-type] # asks for `_real` only

    def _cookies(self) -> list[tuple[str, Any]]:
        return [
            (name, [value, ODictCaseless(attributes.fields)])
            for name, (value, attributes) in self._real.cookies.fields
        ]

    def set_cookies(self, cookies: Any) -> None:
        """Replace the Set-Cookie fields; values are [value, attributes]."""
        lines = []
        for name, (value, attributes) in ODict(cookies).lst:
            pairs = attributes.items() if hasattr(attributes, "items") else attributes
            rest = [key if text is None else f"{key}={text}" for key, text in pairs]
            lines.append("; ".join([f"{name}={value}", *rest]))
        self._real.headers.set_all("set-cookie", lines)

    def get_state(self, short: bool = False) -> dict[str, Any]:  # noqa: ARG002 - the era's signature
        """All of it as plain data."""
        return classic_state.response_state(self._real, self._era)

    _get_state = get_state


class _OldNames(_Response, OldVersion):
    """`code` and `msg`."""

    hints: ClassVar = {
        "status_code": "that name came with mitmproxy 0.14; it is `code` here",
        "reason": "that name came with mitmproxy 0.14; it is `msg` here",
        "http_version": "that name came with mitmproxy 0.14; it is `httpversion`, (1, 1), here",
        "body": "that name came with mitmproxy 0.14; it is `content` here",
        "text": "it came with mitmproxy 0.18; use `content`, which is text here",
        "raw_content": "it came with mitmproxy 0.18; `content` is the body as transferred here",
        "cookies": "it came with mitmproxy 0.14; use `get_cookies()` here",
    }
    code = property(_Response._get_code, _Response._set_code)  # noqa: SLF001 - of this class
    msg = property(_Response._get_reason, _Response._set_reason)  # noqa: SLF001 - of this class


class ResponseA(_OldNames):
    """`libmproxy.flow.Response` of 0.8 to 0.10.

    Args:
        request: Its request.
        *args: From 0.9 on httpversion, code, msg, headers, content, cert and times; in 0.8 the
            same without the version.
    """

    def __init__(self, request: Any, *args: Any, **named: Any) -> None:
        names = ["httpversion", "code", "msg", "headers", "content", "cert"]
        names += ["timestamp_start", "timestamp_end"]
        if args and isinstance(args[0], int):  # 0.8
            names = ["code", "msg", "headers", "content", "der_cert", "timestamp_start"]
        given = {**dict(zip(names, args, strict=False)), **named}
        self._make_of(
            "A",
            given.get("httpversion", (1, 1)),
            given["code"],
            given.get("msg", ""),
            given.get("headers"),
            given.get("content", ""),
            given.get("timestamp_start", given.get("timestamp")),
            given.get("timestamp_end"),
        )
        self.request = request

    @property
    def timestamp(self) -> float:
        """When it came."""
        return self._real.timestamp_start

    @property
    def request(self) -> Any:
        """Its request."""
        return self.__dict__.get("_request") or (self._flow and self._flow.request)

    @request.setter
    def request(self, value: Any) -> None:
        self.__dict__["_request"] = value

    @property
    def cert(self) -> Any:
        """The server's certificate."""
        return self._flow.server_conn.cert if self._flow is not None else None

    @property
    def der_cert(self) -> bytes | None:
        """The server's certificate, DER (0.8)."""
        cert = self.cert
        return cert.to_der() if cert is not None else None

    replay = False

    def get_cert(self) -> Any:
        """The server's certificate."""
        return self.cert

    @property
    def reply(self) -> Any:
        """Call it to go on, with KILL to kill."""
        return self._flow.reply

    def _ack(self, *message: Any) -> None:
        """What `reply` was in 0.8: None kills."""
        self._flow.reply(KILL if message == (None,) else (*message, None)[0])

    def is_replay(self) -> bool:
        """Whether it was replayed."""
        return self._flow is not None and self._flow.real_flow.is_replay == "response"

    def get_cookies(self) -> dict[str, Any] | None:
        """Name to (value, attributes by lower-case name); None if there are none."""
        pairs = self._real.cookies.fields
        return {
            name: (value, {key.lower(): text or "" for key, text in attributes.fields})
            for name, (value, attributes) in pairs
        } or None


class ResponseB(_OldNames):
    """`libmproxy.protocol.http.HTTPResponse` of 0.11 to 0.13."""

    def __init__(
        self,
        httpversion: Any,
        code: int,
        msg: str,
        headers: Any = None,
        content: Any = None,
        timestamp_start: float | None = None,
        timestamp_end: float | None = None,
    ) -> None:
        self._make_of("B", httpversion, code, msg, headers, content, timestamp_start, timestamp_end)
        self.is_replay = False

    is_replay = False

    def get_cookies(self) -> ODict:
        """Name to [value, attributes]."""
        return ODict(self._cookies())


class ResponseC(_Response, NewVersion):
    """`models.HTTPResponse` of 0.14 to 0.17."""

    hints: ClassVar = {
        "code": "since mitmproxy 0.14 it is `status_code`",
        "raw_content": "it came with mitmproxy 0.18; `content` is the body as transferred here",
    }

    def __init__(
        self,
        http_version: Any,
        status_code: int,
        reason: Any = None,
        headers: Any = None,
        content: Any = None,
        timestamp_start: float | None = None,
        timestamp_end: float | None = None,
    ) -> None:
        self._make_of(
            *("C", http_version, status_code, reason, headers, content),
            start=timestamp_start,
            end=timestamp_end,
        )
        own = self._real
        if own.raw_content is not None and "transfer-encoding" not in own.headers:
            own.headers["content-length"] = str(len(own.raw_content))

    is_replay = False
    status_code = property(_Response._get_code, _Response._set_code)  # noqa: SLF001 - of this class
    reason = property(_Response._get_reason, _Response._set_reason)  # noqa: SLF001 - of this class
    msg = reason

    @property
    def cookies(self) -> ODict:
        """Name to [value, attributes]; assign to replace them."""
        return ODict(self._cookies())

    @cookies.setter
    def cookies(self, value: Any) -> None:
        self.set_cookies(value)

    def get_cookies(self) -> ODict:
        """As `cookies`; the call of earlier releases."""
        return self.cookies


def _words(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


RESPONSES: dict[str, Any] = {"A": ResponseA, "B": ResponseB, "C": ResponseC}


def make_error_response(status_code: int, message: str = "", headers: Any = None) -> ResponseC:
    """A page that says what went wrong."""
    reason = REASONS.get(status_code, "Unknown")
    head = f"<html><head><title>{status_code} {reason}</title></head>"
    body = f"{head}<body>{html.escape(message)}</body></html>"
    fields = headers if headers is not None else Headers(Content_Type="text/html")
    return ResponseC(b"HTTP/1.1", status_code, reason, fields, body)


def make_connect_request(address: Any) -> RequestC:
    """A CONNECT to an address."""
    host, port = str(address[0]), int(address[1])
    return RequestC("authority", "CONNECT", "", host, port, "", b"HTTP/1.1", Headers(), "")


def make_connect_response(http_version: Any) -> ResponseC:
    """What opens a tunnel."""
    return ResponseC(http_version, 200, b"Connection established", Headers(), b"")
