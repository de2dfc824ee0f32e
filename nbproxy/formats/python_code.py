"""A flow's request as Python code that sends it again, with requests or with httpx.

All that comes from the flow stands in the code as a literal that Python itself wrote, so that
nothing in it can be anything else than data. Both libraries would add fields of their own
(User-Agent, Accept and more), join fields that repeat, and rewrite the target; the code is made
such that they do not. Two things it cannot keep requests from, both without a meaning: fields of
one name are sent one after the other (RFC 9110, 5.3), and percent-encodings of the target are
written in capitals (RFC 3986, 6.2.2.1).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from nbproxy.formats.resend import fields_to_send, sendable_url

if TYPE_CHECKING:
    from nbproxy.model.flow import HTTPFlow

# Targets that both libraries pass on as they are: nothing to encode, no `.` and `..` to resolve.
_PLAIN_TARGET: Final = re.compile(
    r"(?:/(?!\.)[A-Za-z0-9._~!$&()*+,;=:@-]*)+(?:\?[A-Za-z0-9._~!$&()*+,;=:@/?-]+)?\Z"
).match


def requests_code(flow: HTTPFlow) -> str:
    """Code for requests; it leaves a `response`.

    Raises:
        ValueError: The request cannot be sent again: a CONNECT, a host or a path that is none, a
            body that was not kept; or it asks for `*`, which requests cannot.
    """
    request = flow.request
    address, body = sendable_url(request), _body(flow)
    if not request.path.startswith("/"):
        raise ValueError(f"requests cannot ask for {request.path!r}, httpx can")
    fields = fields_to_send(request)
    names = {name.lower() for name, _ in fields}
    skipped = [n for n in ("Accept-Encoding", "User-Agent") if n.lower().encode() not in names]
    plain = _PLAIN_TARGET(request.path) is not None
    root = address if plain else f"{address.removesuffix(request.path)}/"
    arguments = [ascii(request.method), ascii(root), *([f"data={body!r}"] if body else [])]
    lines = ["import requests", "from urllib3 import HTTPHeaderDict"]
    if skipped:
        lines.append("from urllib3.util import SKIP_HEADER")
    lines += ["", _call("request = requests.Request", arguments) + ".prepare()"]
    if request.method != request.method.upper():
        lines.append(f"request.method = {request.method!a}")
    if not plain:
        lines.append(f"request.url = {address!a}")
    lines.append("request.headers = HTTPHeaderDict()")
    for name, value in fields:  # http.client writes text as Latin-1
        lines.append(f"request.headers.add({_latin(name)}, {_latin(value)})")
    if body or request.headers.get("content-length") == "0":
        lines.append(f'request.headers.add("Content-Length", "{len(body)}")')
    lines += [f'request.headers["{name}"] = SKIP_HEADER' for name in skipped]
    lines += ["", "with requests.Session() as session:"]
    lines += ["    response = session.send(request, allow_redirects=False)"]
    return "\n".join([*lines, ""])


def httpx_code(flow: HTTPFlow) -> str:
    """Code for httpx; it leaves a `response`.

    Raises:
        ValueError: The request cannot be sent again: a CONNECT, a host or a path that is none, a
            body that was not kept.
    """
    request = flow.request
    address, body = sendable_url(request), _body(flow)
    plain = _PLAIN_TARGET(request.path) is not None
    root = address if plain else f"{address.removesuffix(request.path)}/"
    arguments = [ascii(request.method), ascii(root)]
    fields = [f"        ({name!r}, {value!r}),\n" for name, value in fields_to_send(request)]
    if fields:
        arguments.append(f"headers=[\n{''.join(fields)}    ]")
    if body or request.headers.get("content-length") == "0":
        arguments.append(f"content={body!r}")
    if not plain:
        target = request.path.encode("utf-8", "surrogateescape")
        arguments.append(f'extensions={{"target": {target!r}}}')
    lines = ["import httpx", "", _call("request = httpx.Request", arguments)]
    if request.method != request.method.upper():
        lines.append(f"request.method = {request.method!a}")
    lines += ["", "with httpx.Client() as client:", "    response = client.send(request)"]
    return "\n".join([*lines, ""])


def _body(flow: HTTPFlow) -> bytes:
    body = flow.request.raw_content
    if body is None:
        raise ValueError(f"the body of the request of flow {flow.id} was not kept")
    return body


def _latin(raw: bytes) -> str:
    return ascii(raw.decode("latin-1"))


def _call(function: str, arguments: list[str]) -> str:
    short = f"{function}({', '.join(arguments)})"
    if len(short) <= 88 and "\n" not in short:
        return short
    return f"{function}(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"
