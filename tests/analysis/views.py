"""Views of flows that are made by hand, with what analysis adds to them."""

from nbproxy.analysis import Analysis
from nbproxy.model.connection import Client, Server
from nbproxy.model.flow import Error, HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response
from nbproxy.store.store import Store
from nbproxy.store.view import Flows

START = 1.7e9


class View(Flows, Analysis):
    """`Flows` as users have them."""


def view(*flows):
    """A view of these flows."""
    store = Store()
    for flow in flows:
        store.opened(flow)
        store.closed(flow)
    return View(store)


def flow(
    method="GET",
    url="https://api.test/",
    status=200,
    *,
    start=START,
    took=0.1,
    body=b"",
    kind="application/json",
    headers=(),
    request=b"",
    request_kind="application/json",
    request_headers=(),
    error=None,
    server=None,
    client=None,
):
    """A flow that is over.

    Args:
        status: None for no answer.
        start: Seconds after the first moment, if it is small.
        error: Why it failed, `took` seconds after its start.
        server: The connection; a new one, never opened, by default.
    """
    start = start if start > 1e6 else START + start
    made = Request.make(method, url, request, [*request_headers])
    made.timestamp_start, made.timestamp_end = start, start + took * 0.1
    if request and request_kind:
        made.headers["content-type"] = request_kind
    found = HTTPFlow(made, client or Client(), server or Server((made.host, made.port)))
    if status is not None:
        fields = [(b"Content-Type", kind.encode())] if kind and body else []
        found.response = Response(
            status,
            headers=Headers([*fields, *((n.encode(), v.encode()) for n, v in headers)]),
            content=body,
            timestamp_start=start + took * 0.6,
        )
        found.response.timestamp_end = start + took if error is None else None
    if error is not None:
        found.error = Error(error, start + took)
    assert found.id >= 0  # it is given on asking: here, so that ids are in the order of making
    return found


def connection(host="api.test", port=443, *, opened=0.0, connect=0.02, tls=0.03):
    """A connection to a server: `opened` seconds after the first moment; `tls` None for none."""
    server = Server((host, port))
    server.peername, server.sockname = ("93.184.216.34", port), ("10.0.0.1", 40000)
    server.timestamp_start = START + opened
    if connect is not None:
        server.timestamp_tcp_setup = server.timestamp_start + connect
    if tls is not None:
        server.tls = True
        server.sni = host
        if connect is not None and tls:
            server.timestamp_tls_setup = server.timestamp_tcp_setup + tls
            server.tls_version, server.cipher = "TLSv1.3", "TLS_AES_128_GCM_SHA256"
            server.verified = True
    return server
