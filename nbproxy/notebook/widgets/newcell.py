"""A flow's request as code for a new cell: it goes through the proxy, and holds no secret.

Notebooks are committed. So what is a secret in the request does not stand in the code: the code
takes it from the recorded flow, and runs as long as that is there.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from nbproxy.formats import httpx_code, requests_code
from nbproxy.model.headers import Headers
from nbproxy.model.masking import default_masker

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbproxy.model.flow import HTTPFlow

LIBRARIES: Final = ("requests", "httpx")

_CODE: Final[dict[str, Callable[[HTTPFlow], str]]] = {
    "requests": requests_code,
    "httpx": httpx_code,
}
# What code that was written for anywhere says, and what it says to go through the proxy.
_THROUGH: Final = {
    "requests": (
        "session.send(request, allow_redirects=False)",
        """session.send(
        request, allow_redirects=False, proxies=nbproxy.proxies, verify=nbproxy.ca_file
    )""",
    ),
    "httpx": (
        "httpx.Client()",
        """httpx.Client(
    proxy=nbproxy.url, verify=ssl.create_default_context(cafile=nbproxy.ca_file)
)""",
    ),
}
_BODY: Final = "flow.request.raw_content"
_LOOK_AT: Final = 256 * 1024
_STAND_IN: Final = "nbproxySecret{:04d}x"
_LITERAL: Final = r"""b?(?:'[^'\n]*{0}[^'\n]*'|"[^"\n]*{0}[^"\n]*")"""


def code(flow: HTTPFlow, library: str) -> str:
    """Code for a cell.

    Raises:
        ValueError: There is no such library, or the request cannot be sent again.
    """
    write = _CODE.get(library)
    if write is None:
        raise ValueError(f"code is for {' or '.join(LIBRARIES)}, not for {library!r:.40}")
    bare, taken = _without_secrets(flow, "" if library == "requests" else ".encode()")
    source = write(bare)
    for stand_in, expression in taken.items():
        source = re.sub(_LITERAL.format(stand_in), _always(expression), source)
        if expression == _BODY:  # its length stands in the code as well
            length = len(flow.request.raw_content or b"")
            source = source.replace(
                f'"Content-Length", "{len(stand_in)}"', f'"Content-Length", "{length}"'
            )
    imports, _, rest = source.rstrip().replace(*_THROUGH[library]).partition("\n\n")
    more = ["import ssl", ""] if library == "httpx" else []
    lines = [f"# flow {flow.id}, sent again", *more, "import nbproxy", imports, ""]
    if taken:
        lines.append(f"flow = nbproxy.flows.by_id({flow.id})  # has the secrets: they are not here")
    return "\n".join([*lines, rest, "response", ""])


def _always(text: str) -> Callable[[re.Match[str]], str]:
    """What `re.sub` calls: the text as it is, without a meaning of backslashes."""
    return lambda _: text


def _without_secrets(flow: HTTPFlow, ending: str) -> tuple[HTTPFlow, dict[str, str]]:
    """The flow with stand-ins for what is secret, and for each the expression that gives it.

    Args:
        flow: The flow.
        ending: What makes of text what the library wants for the value of a field.
    """
    masker = default_masker()
    bare = flow.copy()
    request = bare.request
    taken: dict[str, str] = {}

    def stand_in(expression: str) -> str:
        name = _STAND_IN.format(len(taken))
        taken[name] = expression
        return name

    fields: list[tuple[bytes, bytes]] = []
    pairs = request.headers.items(multi=True)
    seen: Counter[str] = Counter()
    for field, (name, value) in zip(request.headers.fields, pairs, strict=True):
        place = seen[name.lower()]
        seen[name.lower()] += 1
        if masker.mask_header(name, value) == value:
            fields.append(field)
            continue
        expression = f"flow.request.headers.get_all({name!a})[{place}]{ending}"
        fields.append((field[0], stand_in(expression).encode()))
    request.headers = Headers(fields)
    if masker.mask_url(request.url) != request.url:
        request.path = f"/{stand_in('flow.request.url')}"
    body = request.raw_content
    kind = request.headers.get("content-type", "")
    text = (request.get_text(strict=False) or "")[:_LOOK_AT]
    if body and masker.mask_text(text, kind) != text:
        request.hold_body(stand_in(_BODY).encode())
    return bare, taken
