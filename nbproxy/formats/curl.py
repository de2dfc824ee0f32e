"""A flow's request as a curl command that sends it again.

What passed by was written by strangers, and the command is meant to be pasted into a shell: every
word stands in single quotes, in which a shell (sh, bash, zsh) sees nothing special, and bytes that
are no plain text are spelled in octal for `printf`. curl is told to add no field of its own, and
to take no data for the name of a file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from nbproxy.formats.resend import fields_to_send, sendable_url

if TYPE_CHECKING:
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.headers import Fields

_MAX_ARGUMENT: Final = 100_000
"""Linux passes at most 128 KiB in one argument; the printf of a shell has no limit."""

_BARE: Final = re.compile(r"[A-Za-z0-9_./:=@%+,-]+\Z").match
# Text that does not stand in quotes as it is: control characters, on which terminals act, but for
# line feeds; and what turns the direction of writing, so that people read something else.
_UNFIT: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
).search
_PLAIN_TARGET: Final = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*\Z").match
_VERSIONS: Final = {
    "HTTP/1.0": "--http1.0",
    "HTTP/1.1": "--http1.1",
    "HTTP/2.0": "--http2",
    "HTTP/3": "--http3",
}
_LITERAL: Final = frozenset(
    b'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,:;/=&?_-+{}[]"'
)
_SPELLED: Final = [chr(b) if b in _LITERAL else f"\\{b:03o}" for b in range(256)]


def curl_command(flow: HTTPFlow) -> str:
    """A command line, for sh and its relatives, that sends the flow's request again.

    Target, fields and body are the same to the byte; only what belongs to one connection is made
    anew, and curl puts Host first.

    Raises:
        ValueError: The request cannot be sent again: a CONNECT, a host or a path that is none, a
            body that was not kept.
    """
    request = flow.request
    address, target, body = sendable_url(request), request.path, request.raw_content
    if body is None:
        raise ValueError(f"the body of the request of flow {flow.id} was not kept")
    if not _PLAIN_TARGET(target):
        address = f"{address.removesuffix(target)}/"
    fields = fields_to_send(request)
    head = request.method == "HEAD" and not body
    sends = not head and (bool(body) or request.headers.get("content-length") == "0")
    words = ["curl", "--globoff", "--path-as-is"]
    if version := _VERSIONS.get(request.http_version):
        words.append(version)
    if head:
        words.append("--head")
    elif request.method != ("POST" if sends else "GET"):
        words += ["--request", _quote(request.method.encode())]
    words += _header_words(fields, sends=sends)
    if not _PLAIN_TARGET(target):
        words += ["--request-target", _quote(_raw(target))]
    feed = ""
    if sends:
        text = _as_text(body) if len(body) <= _MAX_ARGUMENT else None
        feed = f"{_printf(body)} | " if text is None else ""
        words += ["--data-binary", "@-"] if text is None else ["--data-raw", _in_quotes(text)]
    return f"{feed}{' '.join(words)} {_quote(_raw(address))}"


def _header_words(fields: Fields, *, sends: bool) -> list[str]:
    """The fields; and an empty one for each that curl would add by itself."""
    words = []
    names = {name.lower() for name, _ in fields}
    for name, value in fields:
        words += ["--header", _quote(name + (b": " + value if value else b";"))]
    unwanted = [b"User-Agent", b"Accept", *([b"Content-Type", b"Expect"] if sends else [])]
    for name in unwanted:
        if name.lower() not in names:
            words += ["--header", _quote(name + b":")]
    if b"accept-encoding" in names:
        words.append("--compressed")
    return words


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _as_text(raw: bytes) -> str | None:
    """The bytes as text that can stand between single quotes, None if they cannot."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if _UNFIT(text) else text


def _in_quotes(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _quote(raw: bytes) -> str:
    """One word of the command line."""
    text = _as_text(raw)
    if text is None:
        # a shell drops line feeds at the end of this: there are none in a head
        return f'"$({_printf(raw)})"'
    return text if _BARE(text) else _in_quotes(text)


def _printf(raw: bytes) -> str:
    """A command that prints these bytes: letters and digits as they are, most else in octal."""
    return f"printf -- '{''.join(map(_SPELLED.__getitem__, raw))}'"
