"""The pages by which the proxy itself answers: short, readable, inert."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Final

from nbproxy.engine import sending
from nbproxy.model.message import Response
from nbproxy.model.reasons import REASONS
from nbproxy.protocol import upgrades

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.protocol.http1 import RequestHead

_SECRET: Final = frozenset((b"authorization", b"cookie", b"proxy-authorization"))
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{status} {reason}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:44em;margin:4em auto;padding:0 1em;
color:#222;background:#fff}}h1{{font-size:1.4em}}code{{background:#eee;padding:.1em .3em}}
footer{{color:#666;font-size:.85em;border-top:1px solid #ddd;margin-top:2em;padding-top:.5em}}
@media(prefers-color-scheme:dark){{body{{color:#ddd;background:#1b1b1b}}code{{background:#333}}}}
</style><h1>{status} {reason}</h1><p>{message}</p>{advice}<footer>nbproxy</footer></html>
"""


ADVICE: Final = {
    502: "The proxy could not get an answer from the server. The flow in the notebook has the same "
    "message as its error.",
    504: "The server took too long.",
    508: "The request would come back to the proxy itself.",
}
"""What to do about an exchange that failed, by status."""


def error_response(status: int, message: str, advice: str = "") -> Response:
    """An error page as a response; both texts are escaped here."""
    page = _PAGE.format(
        status=status,
        reason=html.escape(REASONS.get(status, "Error")),
        message=html.escape(message),
        advice=f"<p>{html.escape(advice)}</p>" if advice else "",
    )
    return Response.make(
        status,
        page.encode("utf-8", "replace"),
        {"content-type": "text/html; charset=utf-8", "cache-control": "no-store"},
    )


def own_answer(
    flow: HTTPFlow, head: RequestHead, sites: Mapping[str, Callable[[HTTPFlow], Response]]
) -> Response | None:
    """The answer to a request that ends here; None if it goes on.

    Requests for our own pages end here, requests for a WebSocket that break its rules, and TRACE
    and OPTIONS whose Max-Forwards is used up; on others of these it counts down (RFC 9110, 7.6.2).
    """
    site = sites.get(flow.request.host)
    if site is not None:
        return site(flow)
    if b"upgrade" in head.special and (fault := _handshake_fault(flow, head)) is not None:
        return fault
    if head.method not in {b"TRACE", b"OPTIONS"}:
        return None
    hops = head.special.get(b"max-forwards")
    if not hops or not hops[0].isdigit():
        return None
    left = int(hops[0][:9])
    if left > 0:
        flow.request.headers["max-forwards"] = str(left - 1)
        return None
    if head.method == b"OPTIONS":
        return Response.make(200)
    return Response.make(200, _trace(flow, head), {"content-type": "message/http"})


def _handshake_fault(flow: HTTPFlow, head: RequestHead) -> Response | None:
    """The answer to a request for a WebSocket that cannot lead to one (RFC 6455, 4.2.2)."""
    request = flow.request
    if not sending.wants_upgrade(head) or not upgrades.is_websocket(request.headers):
        return None
    fault = upgrades.request_fault(request.method, request.headers)
    if fault is None:
        return None
    response = error_response(*fault)
    if response.status_code == 426:
        response.headers["sec-websocket-version"] = "13"
    return response


def _trace(flow: HTTPFlow, head: RequestHead) -> bytes:
    """The request as it came, without what may be secret (RFC 9110, 9.3.8)."""
    fields = [f for f in flow.request.headers.fields if f[0].lower() not in _SECRET]
    lines = b"".join(n + b": " + v + b"\r\n" for n, v in fields)
    return b"TRACE %b HTTP/1.1\r\n%b\r\n" % (head.target, lines)
