"""Flows as the engine makes them, one step at a time."""

from nbproxy.model.connection import Client, Server
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response


class Held:
    """The engine's side of a live flow."""

    def resume(self):
        pass

    def kill(self):
        pass


def new_flow(path="/", host="example.org", start=1.7e9, scheme="https"):
    client = Client()
    client.peername = ("127.0.0.1", 5312)
    port = 443 if scheme == "https" else 80
    request = Request("GET", scheme, host, port, path, timestamp_start=start)
    flow = HTTPFlow(request, client, Server((host, 443)))
    flow._control = Held()
    assert flow.id >= 0  # it is given on asking: here, so that ids are in the order of making
    return flow


def answer(flow, status=200, content=b"hello", content_type="text/html; charset=utf-8"):
    start = flow.request.timestamp_start
    flow.response = Response(
        status,
        headers=Headers([("Content-Type", content_type)]),
        content=content,
        timestamp_start=start + 0.25,
    )
    flow.response.timestamp_end = start + 0.5
    flow.server_conn.peername = ("93.184.216.34", 443)


def end(flow):
    flow._control = None
