"""A host that notes what scripts of eras A to C ask of it, and flows to hand to them."""

import gzip

from nbproxy.model.connection import Client, Server
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request, Response


class NotingHost:
    """The proxy's side of a context object; everything asked of it is kept."""

    def __init__(self):
        self.logged = []
        self.replayed = []
        self.contentviews = []
        self.apps = []
        self.master = self
        self.stopped = False

    @property
    def app_registry(self):
        return self

    def add(self, *app):
        self.apps.append(app)

    def duplicate(self, flow):
        return flow.copy()

    def replay(self, flow):
        self.replayed.append(flow)
        return "nothing to replay" if flow.request.host == "nowhere" else None

    def log(self, text, level):
        self.logged.append((level, text))

    def add_contentview(self, view):
        self.contentviews.append(view)

    def remove_contentview(self, view):
        self.contentviews.remove(view)

    def certificate(self, der):
        return {"der": der}

    def shutdown(self):
        self.stopped = True


class Carrier:
    """The engine's side of a live flow."""

    def __init__(self):
        self.killed = False
        self.resumed = False

    def resume(self):
        self.resumed = True

    def kill(self):
        self.killed = True


def new_flow(url="http://example.com/p?a=1&b=2", *, live=True, body=b"x=1&y=2"):
    request = Request.make(
        "POST",
        url,
        body,
        {"content-type": "application/x-www-form-urlencoded", "cookie": "a=b; c=d"},
    )
    client = Client()
    client.peername = ("127.0.0.1", 5000)
    client.timestamp_start = 1.0
    server = Server(("example.com", 80))
    server.peername = ("93.184.216.34", 80)
    flow = HTTPFlow(request, client, server)
    if live:
        flow._control = Carrier()
    return flow


def answered(flow, content=b"<html>foo</html>", *, coded=False):
    flow.response = Response.make(
        200, b"", {"Content-Type": "text/html", "Set-Cookie": "s=1; Path=/; Secure"}
    )
    if coded:
        flow.response.headers["Content-Encoding"] = "gzip"
        content = gzip.compress(content)
    flow.response.raw_content = content
    flow.response.timestamp_start = 1_000_000_000.0
    return flow
