"""Every row of the table of events, era by era, on live traffic; and the order of events.

The rows about raw TCP and WebSockets have tests of their own (`ELSEWHERE`).
"""

import contextlib
import socket
import ssl
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

import pytest

from nbproxy.scripts import eras
from tests.scripts.rows import uncovered
from tests.support.proxies import Wire, answering, response, wait_until

# Rows, and the eras that have them. G stands for G and H.
TABLE = {
    "start": "ABCDE",
    "load": "FG",
    "configure": "DEFG",
    "running": "FG",
    "tick": "DEF",
    "update": "FG",
    "log, add_log": "DEFG",
    "done": "ABCDEFG",
    "clientconnect": "ABCDEF",
    "serverconnect": "ABCDEF",
    "serverdisconnect": "CDEF",
    "clientdisconnect": "ABCDEF",
    "client_connected, client_disconnected": "G",
    "server_connect, server_connected, server_disconnected, server_connect_error": "G",
    "request": "ABCDEFG",
    "requestheaders": "DEFG",
    "responseheaders": "BCDEFG",
    "responseheaders: emulated": "BCDEFG",
    "response": "ABCDEFG",
    "error": "ABCDEFG",
    "http_connect": "EFG",
    "http_connected, http_connect_error": "G",
    "next_layer": "CDEFG",
    "tls_clienthello, tls_start_client, tls_start_server": "G",
    "tls_established, tls_failed": "G",
    "stop": "CDEFG",
    "never": "G",
}
ELSEWHERE = {
    *("tcp_message", "tcp_start, tcp_error, tcp_end"),
    *("websocket_handshake", "websocket_start, websocket_message, websocket_end"),
    "websocket_error",
}


@dataclass(frozen=True)
class Event:
    """A cell: a script, what is done, and what it says.

    Attributes:
        release: The release in whose manner it is written.
        source: The script; what it prints is looked at.
        says: Lines, or what looks at them.
        drive: What is done after it was loaded.
        then: Looks at the outcome of `drive`.
    """

    release: str
    source: str
    says: Any
    drive: Any = None
    then: Any = None

    @property
    def era(self):
        return eras.parse(self.release)


class World:
    """What a case drives: a proxy and those around it."""

    def __init__(self, proxy, fetch, site, connect, make_origin):
        self.proxy, self.fetch, self.site = proxy, fetch, site
        self.connect, self.make_origin = connect, make_origin


def plain(w):
    with w.connect(w.proxy) as wire:
        return wire.get(f"{w.site.http_url}/api/users")


def secure(w):
    port = int(w.site.https_url.rpartition(":")[2])
    with w.connect(w.proxy, tls=port) as wire:
        return wire.get("/api/users")


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def refused(w):
    with w.connect(w.proxy) as wire:
        return wire.get(f"http://127.0.0.1:{closed_port()}/")


def distrusting(w):
    """A client that does not trust our CA."""
    port = int(w.site.https_url.rpartition(":")[2])
    wire = Wire.tunnel(w.proxy, port)
    with contextlib.closing(wire), pytest.raises(ssl.SSLError):
        wire.start_tls(ssl.create_default_context(), "127.0.0.1")


def untrusted_origin(w):
    """An origin that speaks no TLS."""
    origin = w.make_origin(lambda wire: wire.send(b"220 this is mail\r\n"))
    wire = Wire.tunnel(w.proxy, origin.port)
    context = ssl.create_default_context(cafile=w.proxy.ca_file)
    with contextlib.closing(wire):
        wire.start_tls(context, "127.0.0.1")
        return wire.get("/")


def answered(w):
    """A request that the script answers itself."""
    with w.connect(w.proxy) as wire:
        return wire.get("http://nowhere.test/")


def refused_tunnel(w):
    with w.connect(w.proxy) as wire:
        wire.send(b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n")
        return wire.answer(b"CONNECT")


def ends(w):
    w.proxy.unload()


def secure_plain(w):
    """TLS that is passed through: the site's own certificate is seen."""
    port = int(w.site.https_url.rpartition(":")[2])
    wire = Wire.tunnel(w.proxy, port)
    with contextlib.closing(wire):
        wire.start_tls(ssl.create_default_context(cafile=w.site.ca_file), "127.0.0.1")
        return wire.get("/api/users")


def elsewhere(w):
    """A request to a name that the script sends to another port."""
    origin = w.make_origin(answering(lambda _: response(b"elsewhere")))
    w.script.program.addons[0].PORT = origin.port
    with w.connect(w.proxy) as wire:
        return wire.get("http://nowhere.test/")


def stopped(w):
    """The connection to the server ends when the proxy stops."""
    plain(w)
    w.proxy.stop()


def killed(w):
    with w.connect(w.proxy) as wire:
        wire.ask(f"{w.site.http_url}/api/users")
        assert wire.is_closed


def status(code):
    return lambda answer: answer.status == code


def event(releases, source, says, drive=None, then=None):
    source = dedent(source)
    return [Event(release, source, says, drive, then) for release in releases.split()]


CASES = {
    "start": [
        *event("0.8 0.9", "def start(ctx):\n    ctx.log('started')", ["started"]),
        *event("0.10 0.11 0.17", "def start(context, argv):\n    context.log(len(argv))", ["1"]),
        *event("0.18 1.0 2.0", "def start():\n    print('started')", ["started"]),
        *event(
            "0.18 2.0",
            """
            class Other:
                def start(self): print("its own start")
                def request(self, flow): print("other")
            def start(): return Other()
            def request(flow): print("module")
            """,
            ["its own start", "other"],
            plain,
        ),
    ],
    "load": event(
        "3.0 6.0 7.0 12",
        """
        from mitmproxy import ctx
        def load(loader):
            loader.add_option("shout", bool, False, "whether to", choices=None)
            loader.add_command("say.it", say)
            print(ctx.options.shout, loader.master is not None)
            print(ctx.master.commands.call("say.it", "it"))
        def say(text: str) -> str:
            return text.upper()
        """,
        ["False True", "IT"],
    ),
    "configure": [
        *event(
            "0.18 2.0",
            """
            def configure(options, updated):
                print("listen_port" in updated, len(updated), options.listen_host)
            """,
            lambda said: (
                len(said) == 2 and said[0].startswith("True") and said[1] == "False 1 127.0.0.1"
            ),
            lambda w: w.proxy.scripts.options.update(hint_slow_handlers=0.5),
        ),
        *event(
            "3.0 6.0 7.0 12",
            """
            from mitmproxy import ctx
            def load(loader):
                loader.add_option("mine", int, 1, "help")
            def configure(updated):
                if "mine" in updated:
                    print("mine", ctx.options.mine)
            """,
            ["mine 1", "mine 2"],
            lambda w: w.proxy.scripts.options.update(mine=2),
        ),
        *event(
            "3.0 7.0 12",
            """
            from mitmproxy import ctx, exceptions
            def load(loader):
                loader.add_option("mine", int, 1, "help")
            def configure(updated):
                if ctx.options.mine > 5:
                    raise exceptions.OptionsError("too much")
            def request(flow):
                try:
                    ctx.options.mine = 6
                except exceptions.OptionsError as error:
                    print(error, ctx.options.mine)
            """,
            ["too much 1"],
            plain,
        ),
    ],
    "running": event("3.0 6.0 7.0 12", "def running():\n    print('running')", ["running"])
    + event("8.1 12", "async def running():\n    print('running')", lambda s: s == ["running"]),
    "tick": event(
        "0.18 2.0 3.0",
        "def start():\n    pass\ndef tick():\n    print('tick')",
        lambda said: said[:2] == ["tick", "tick"],
    ),
    "update": event(
        "3.0 6.0 7.0 12",
        """
        class One:
            def response(self, flow): print("one")
            def update(self, flows): print("update", len(flows), flows[0].request.path)
        class Two:
            def response(self, flow): print("two")
        addons = [One(), Two()]
        """,
        lambda said: said[-3:] == ["one", "two", "update 1 /api/users"],
        plain,
    ),
    "log, add_log": [
        *event(
            "0.18 2.0 3.0 6.0",
            """
            from mitmproxy import ctx
            SEEN = []
            def log(entry): SEEN.append((entry.level, entry.msg))
            def request(flow): ctx.log.warn("odd")
            def response(flow): print(SEEN[-1])
            """,
            ["odd", "('warn', 'odd')"],
            plain,
        ),
        *event(
            "7.0 8.1 12",
            """
            from mitmproxy import ctx
            SEEN = []
            def add_log(entry): SEEN.append((entry.level, entry.msg))
            def request(flow): ctx.log.warn("odd")
            def response(flow): print(SEEN[-1])
            """,
            ["odd", "('warn', 'odd')"],
            plain,
        ),
    ],
    "done": [
        *event("0.8 0.11 0.17", "def done(context):\n    context.log('bye')", ["bye"], ends),
        *event("0.18 2.0 6.0 7.0 12", "def done():\n    print('bye')", ["bye"], ends),
    ],
    "clientconnect": [
        *event(
            "0.8 0.10",
            "def clientconnect(ctx, client):\n"
            "    ctx.log('%s %s' % (client.address[0], client.requestcount))",
            ["127.0.0.1 0"],
            plain,
        ),
        *event(
            "0.11 0.13",
            """
            def clientconnect(context, handler):
                print(handler.client_conn.address.host, handler.server_conn, handler.conntype)
            """,
            ["127.0.0.1 None direct"],
            plain,
        ),
        *event(
            "0.14 0.17",
            """
            def clientconnect(context, root_layer):
                print(root_layer.client_conn.address.host, root_layer.address.host)
                root_layer.hung = 1
            """,
            ["127.0.0.1 127.0.0.1"],
            plain,
        ),
        *event(
            "0.14 0.16",
            """
            from libmproxy.protocol import Kill
            def clientconnect(context, root_layer):
                root_layer.reply(Kill)
            def request(context, flow): print("not reached")
            """,
            [],
            lambda w: w.connect(w.proxy),
            lambda wire: wire.is_closed,
        ),
        *event(
            "0.18 2.0",
            "def clientconnect(layer):\n"
            "    print(layer.client_conn.address.host, layer.address.host)",
            ["127.0.0.1 127.0.0.1"],
            plain,
        ),
        *event(
            "3.0 6.0",
            "def clientconnect(layer):\n    print(layer.client_conn.address[0], layer.address[0])",
            ["127.0.0.1 127.0.0.1"],
            plain,
        ),
        *event(
            "2.0 6.0",
            "def clientconnect(layer):\n    layer.reply.kill()",
            [],
            lambda w: w.connect(w.proxy),
            lambda wire: wire.is_closed,
        ),
    ],
    "serverconnect": [
        *event(
            "0.10",
            "def serverconnect(ctx, server):\n    ctx.log(server.host)",
            ["127.0.0.1"],
            plain,
        ),
        *event(
            "0.11 0.13",
            "def serverconnect(context, handler):\n    print(handler.server_conn.address.host)",
            ["127.0.0.1"],
            plain,
        ),
        *event(
            "0.14 0.17",
            "def serverconnect(context, server_conn):\n    print(server_conn.address.host)",
            ["127.0.0.1"],
            plain,
        ),
        *event(
            "0.18 2.0",
            "def serverconnect(server_conn):\n    print(server_conn.address.host)",
            ["127.0.0.1"],
            plain,
        ),
        *event(
            "3.0 6.0",
            "def serverconnect(server_conn):\n    print(server_conn.address[0])",
            ["127.0.0.1"],
            plain,
        ),
        *event(
            "0.14 0.17",
            "def serverconnect(context, server_conn):\n"
            "    server_conn.address = ('127.0.0.1', PORT)",
            [],
            elsewhere,
            lambda answer: answer.body == b"elsewhere",
        ),
        *event(
            "0.18 5.0",
            "def serverconnect(server_conn):\n    server_conn.address = ('127.0.0.1', PORT)",
            [],
            elsewhere,
            lambda answer: answer.body == b"elsewhere",
        ),
    ],
    "serverdisconnect": [
        *event(
            "0.14 0.17",
            "def serverdisconnect(context, server_conn):\n"
            "    print(server_conn.address.host, bool(server_conn))",
            ["127.0.0.1 False"],
            stopped,
        ),
        *event(
            "0.18 2.0",
            "def serverdisconnect(server_conn):\n    print(server_conn.address.host)",
            ["127.0.0.1"],
            stopped,
        ),
        *event(
            "3.0 6.0",
            "def serverdisconnect(server_conn):\n    print(server_conn.address[0])",
            ["127.0.0.1"],
            stopped,
        ),
    ],
    "clientdisconnect": [
        *event(
            "0.8 0.10",
            "def clientdisconnect(ctx, it):\n    ctx.log(it.client_conn.requestcount)",
            ["1"],
            plain,
        ),
        *event(
            "0.11 0.13 0.14 0.17",
            "def clientdisconnect(context, it):\n"
            "    print(it.client_conn.timestamp_end is not None)",
            ["True"],
            plain,
        ),
        *event(
            "0.18 2.0 6.0",
            "def clientdisconnect(layer):\n    print(layer.client_conn.timestamp_end is not None)",
            ["True"],
            plain,
        ),
    ],
    "client_connected, client_disconnected": event(
        "7.0 12",
        """
        def client_connected(client): print("in", client.peername[0])
        def client_disconnected(client): print("out", client.peername[0])
        """,
        ["in 127.0.0.1", "out 127.0.0.1"],
        plain,
    )
    + event(
        "7.0 12",
        "def client_connected(client):\n    client.error = 'not you'",
        [],
        lambda w: w.connect(w.proxy),
        lambda wire: wire.is_closed,
    ),
    "server_connect, server_connected, server_disconnected, server_connect_error": [
        *event(
            "7.0 12",
            """
            def server_connect(data):
                print("connect", data.server.address[0], data.client.peername[0])
            def server_connected(data): print("connected", data.server.peername[0])
            def server_disconnected(data): print("disconnected", data.server.address[0])
            """,
            ["connect 127.0.0.1 127.0.0.1", "connected 127.0.0.1", "disconnected 127.0.0.1"],
            stopped,
        ),
        *event(
            "7.0 12",
            "def server_connect(data):\n    data.server.error = 'forbidden'",
            [],
            plain,
            status(502),
        ),
        *event(
            "10.4 12",
            "def server_connect_error(data):\n    print(bool(data.server.error))",
            ["True"],
            refused,
            status(502),
        ),
    ],
    "request": [
        *event(
            "0.8 0.10",
            "def request(ctx, flow):\n"
            "    ctx.log('%s %s' % (flow.request.method, flow.request.scheme))",
            ["GET https"],
            secure,
        ),
        *event(
            "0.11 0.13",
            """
            def request(context, flow):
                print(flow.request.path, flow.response, bool(flow.live))
                flow.request.path = "/nowhere"
            """,
            ["/api/users None True"],
            plain,
            status(404),
        ),
        *event(
            "0.14 0.17",
            """
            def request(context, flow):
                print(flow.request.path, flow.response, bool(flow.live))
                flow.request.path = "/nowhere"
            """,
            ["/api/users None True"],
            plain,
            status(404),
        ),
        *event(
            "0.18 2.0 6.0 7.0 12",
            """
            def request(flow):
                print(flow.request.path, flow.response, bool(flow.live))
                flow.request.path = "/nowhere"
            """,
            ["/api/users None True"],
            plain,
            status(404),
        ),
    ],
    "requestheaders": [
        *event(
            "0.18 2.0 6.0 7.0 12",
            """
            def requestheaders(flow):
                print(flow.request.method, flow.request.raw_content)
            """,
            ["GET None"],
            plain,
        ),
        *event(
            "0.18",
            "def requestheaders(flow):\n    print(flow.request.method)",
            ["CONNECT", "GET"],
            secure,
        ),
        *event(
            "2.0 6.0 7.0 12",
            "def requestheaders(flow):\n    print(flow.request.method)",
            ["GET"],
            secure,
        ),
    ],
    "responseheaders": [
        *event(
            "0.11 0.13",
            """
            def responseheaders(context, flow):
                print(flow.response.code, flow.response.content)
            """,
            ["200 None"],
            plain,
        ),
        *event(
            "0.14 0.17",
            """
            def responseheaders(context, flow):
                print(flow.response.status_code, flow.response.content)
            """,
            ["200 None"],
            plain,
        ),
        *event(
            "0.18 2.0 6.0 7.0 12",
            """
            def responseheaders(flow):
                print(flow.response.status_code, flow.response.raw_content)
            """,
            ["200 None"],
            plain,
        ),
    ],
    "responseheaders: emulated": [
        *event(
            "0.11 0.13",
            """
            from libmproxy.protocol.http import HTTPResponse
            def request(context, flow):
                flow.reply(HTTPResponse((1, 1), 200, "OK", [], "mine"))
            def responseheaders(context, flow): print("not in these")
            def response(context, flow): print(flow.response.content)
            """,
            ["mine"],
            answered,
            status(200),
        ),
        *event(
            "0.14 0.16",
            """
            from libmproxy.models import HTTPResponse, Headers
            def request(context, flow):
                flow.reply(HTTPResponse(b"HTTP/1.1", 200, "OK", Headers(), "mine"))
            def responseheaders(context, flow): print("headers", flow.response.content)
            def response(context, flow): print("response")
            """,
            ["headers mine", "response"],
            answered,
            status(200),
        ),
        *event(
            "0.18",
            """
            from mitmproxy.models import HTTPResponse
            def request(flow): flow.response = HTTPResponse.make(200, b"mine")
            def responseheaders(flow): print("headers", flow.response.content)
            def response(flow): print("response")
            """,
            ["headers b'mine'", "response"],
            answered,
        ),
        *event(
            "2.0 6.0",
            """
            from mitmproxy import http
            def request(flow): flow.response = http.HTTPResponse.make(200, b"mine")
            def responseheaders(flow): print("headers", flow.response.content)
            def response(flow): print("response")
            """,
            ["headers b'mine'", "response"],
            answered,
        ),
        *event(
            "7.0 12",
            """
            from mitmproxy import http
            def request(flow): flow.response = http.Response.make(200, b"mine")
            def responseheaders(flow): print("headers", flow.response.content)
            def response(flow): print("response")
            """,
            ["headers b'mine'", "response"],
            answered,
        ),
    ],
    "response": [
        *event(
            "0.8 0.11 0.13",
            "def response(context, flow):\n"
            "    flow.response.code = 418; print(len(flow.response.content) > 9)",
            ["True"],
            plain,
            status(418),
        ),
        *event(
            "0.14 0.17",
            "def response(context, flow):\n"
            "    flow.response.status_code = 418; print(len(flow.response.content) > 9)",
            ["True"],
            plain,
            status(418),
        ),
        *event(
            "0.18 2.0 6.0 7.0 12",
            "def response(flow):\n    flow.response.status_code = 418; "
            "print(len(flow.response.content) > 9)",
            ["True"],
            plain,
            status(418),
        ),
    ],
    "error": [
        *event(
            "0.8 0.11 0.17",
            """
            def error(context, flow): print(flow.response, "127.0.0.1" in flow.error.msg)
            def response(context, flow): print("no response")
            """,
            ["None True"],
            refused,
            status(502),
        ),
        *event(
            "0.18 2.0 6.0 7.0 12",
            """
            def error(flow): print(flow.response, "127.0.0.1" in flow.error.msg)
            def response(flow): print("no response")
            """,
            ["None True"],
            refused,
            status(502),
        ),
        *event(
            "0.11",
            """
            from libmproxy.protocol import KILL
            def request(context, flow): flow.reply(KILL)
            def error(context, flow): print(flow.error)
            """,
            ["Connection killed"],
            killed,
        ),
        *event(
            "0.14 0.17",
            """
            def request(context, flow): context.kill_flow(flow)
            def error(context, flow): print(flow.error)
            """,
            ["Connection killed"],
            killed,
        ),
        *event(
            "7.0 12",
            "def request(flow): flow.kill()\ndef error(flow): print(flow.error)",
            ["Connection killed."],
            killed,
        ),
    ],
    "http_connect": [
        *event(
            "1.0 2.0 6.0 7.0 12",
            """
            def http_connect(flow): print(flow.request.method, flow.request.host)
            def request(flow): print(flow.request.method)
            """,
            ["CONNECT 127.0.0.1", "GET"],
            secure,
        ),
        *event(
            "1.0 6.0",
            """
            from mitmproxy import http
            def http_connect(flow): flow.response = http.HTTPResponse.make(403, b"no")
            """,
            [],
            refused_tunnel,
            status(403),
        ),
        *event(
            "7.0 12",
            """
            from mitmproxy import http
            def http_connect(flow): flow.response = http.Response.make(403, b"no")
            """,
            [],
            refused_tunnel,
            status(403),
        ),
    ],
    "http_connected, http_connect_error": [
        *event(
            "10.4 12",
            "def http_connected(flow):\n    print(flow.request.port > 0)",
            ["True"],
            secure,
        ),
        *event(
            "10.4 12",
            """
            from mitmproxy import http
            def http_connect(flow): flow.response = http.Response.make(403, b"no")
            def http_connect_error(flow): print(flow.response.status_code)
            """,
            ["403"],
            refused_tunnel,
        ),
    ],
    "next_layer": [
        *event(
            "0.14 0.16",
            """
            from libmproxy.protocol import TlsLayer, RawTCPLayer
            def next_layer(context, layer):
                if isinstance(layer, TlsLayer):
                    print(layer._client_tls, layer.client_conn.address.host)
                    print(layer.server_conn.address.host)
                    layer.reply(RawTCPLayer(layer.ctx, logging=False))
                else:
                    print(layer.client_conn.address.host)
            """,
            ["127.0.0.1", "True 127.0.0.1", "127.0.0.1"],
            secure_plain,
            status(200),
        ),
        *event(
            "0.17",
            """
            from mitmproxy.protocol import TlsLayer, RawTCPLayer
            def next_layer(context, layer):
                if isinstance(layer, TlsLayer) and layer._client_tls:
                    layer.reply(RawTCPLayer(layer.ctx, logging=False))
            """,
            [],
            secure_plain,
            status(200),
        ),
        *event(
            "0.18",
            """
            from mitmproxy.protocol import TlsLayer, RawTCPLayer
            def next_layer(layer):
                if isinstance(layer, TlsLayer) and layer._client_tls:
                    print(layer.server_conn.address.host)
                    layer.reply.send(RawTCPLayer(layer.ctx, ignore=True))
            """,
            ["127.0.0.1"],
            secure_plain,
            status(200),
        ),
        *event(
            "1.0 2.0 6.0",
            """
            from mitmproxy.proxy.protocol import TlsLayer, RawTCPLayer
            def next_layer(layer):
                if isinstance(layer, TlsLayer) and layer._client_tls:
                    layer.reply.send(RawTCPLayer(layer.ctx, ignore=True))
            """,
            [],
            secure_plain,
            status(200),
        ),
        *event(
            "2.0 6.0",
            """
            from mitmproxy.exceptions import TlsProtocolException
            from mitmproxy.proxy.protocol import TlsLayer
            class Feedback(TlsLayer):
                def _establish_tls_with_client(self):
                    try:
                        super()._establish_tls_with_client()
                    except TlsProtocolException as error:
                        print("failed")
                        raise error
                    else:
                        print("established")
            def next_layer(layer):
                if isinstance(layer, TlsLayer):
                    layer.__class__ = Feedback
            """,
            ["failed", "established"],
            lambda w: (distrusting(w), secure(w)),
        ),
        *event(
            "7.0 12",
            """
            from mitmproxy.proxy import layer, layers
            def next_layer(nextlayer: layer.NextLayer):
                if nextlayer.context.server.address:
                    print(nextlayer.context.server.address[0], nextlayer.layer)
                    nextlayer.layer = layers.TCPLayer(nextlayer.context, ignore=True)
            """,
            ["127.0.0.1 None"],
            secure_plain,
            status(200),
        ),
    ],
    "tls_clienthello, tls_start_client, tls_start_server": [
        *event(
            "7.0 12",
            """
            def tls_clienthello(data):
                print("hello", data.client_hello.sni, data.context.server.address[0])
            def tls_start_server(data): print("server", data.conn.address[0])
            def tls_start_client(data): print("client", data.conn.peername[0])
            """,
            ["hello None 127.0.0.1", "server 127.0.0.1", "client 127.0.0.1"],
            secure,
        ),
        *event(
            "7.0 12",
            "def tls_clienthello(data):\n    data.ignore_connection = True",
            [],
            secure_plain,
            status(200),
        ),
    ],
    "tls_established, tls_failed": [
        *event(
            "8.1 12",
            """
            def tls_established_server(data): print("server", data.conn.tls_version)
            def tls_established_client(data): print("client", data.context.client.tls_version)
            """,
            ["server TLSv1.3", "client TLSv1.3"],
            secure,
        ),
        *event(
            "8.1 12",
            "def tls_failed_client(data):\n    print(bool(data.conn.error))",
            ["True"],
            distrusting,
        ),
        *event(
            "8.1 12",
            "def tls_failed_server(data):\n    print(bool(data.conn.error))",
            lambda said: said and set(said) == {"True"},
            untrusted_origin,
            status(502),
        ),
    ],
    "stop": [
        *event("0.15 0.16", "def stop(context):\n    print('never')", [], ends),
        *event("0.18 2.0 6.0 7.0 12", "def stop():\n    print('never')", [], ends),
    ],
    "never": event(
        "10.4 12",
        """
        def dns_request(flow): print("never")
        def udp_message(flow): print("never")
        def quic_start_client(data): print("never")
        """,
        [
            "dns_request is never called: nbproxy speaks no DNS",
            "udp_message is never called: nbproxy passes no UDP",
            "quic_start_client is never called: nbproxy speaks no QUIC",
        ],
        plain,
    ),
}


def test_every_row_has_a_case():
    assert uncovered(TABLE, CASES) == []


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{row.split(',')[0]}-{case.release}-{number}")
        for row, found in CASES.items()
        for number, case in enumerate(found)
    ],
)
def test_event(case, proxy, fetch, site, connect, make_origin, write):
    world = World(proxy, fetch, site, connect, make_origin)
    script = world.script = proxy.load(write("a.py", case.source), era=case.release)
    outcome = case.drive(world) if case.drive is not None else None

    def said():
        return [entry.text for entry in proxy.log if entry.script]

    wanted = case.says if callable(case.says) else lambda lines: lines == case.says
    with contextlib.suppress(AssertionError):
        wait_until(lambda: wanted(said()) or script.errors)
    assert script.last_error == ""
    assert wanted(said()), said()
    if case.then is not None:
        assert case.then(outcome)


# -- order

NAMES = """
    start load configure running clientconnect clientdisconnect serverconnect serverdisconnect
    client_connected client_disconnected server_connect server_connected server_disconnected
    http_connect http_connected requestheaders request responseheaders response error
    tls_clienthello tls_start_client tls_start_server tls_established_client
    tls_established_server
""".split()  # noqa: SIM905 - reads better so
# Without `next_layer`, which comes less often here than natively. Connections to servers are kept
# for others when a client has gone, so that they end after it. `server_connected` says that TLS
# stands too, and a tunnel is opened before its server is asked.
ORDER = {
    "A": "clientconnect request serverconnect response clientdisconnect",
    "B": "clientconnect request serverconnect responseheaders response clientdisconnect",
    "C": "clientconnect request serverconnect responseheaders response clientdisconnect "
    "serverdisconnect",
    "D": "clientconnect requestheaders request serverconnect responseheaders response "
    "clientdisconnect serverdisconnect",
    "G": "client_connected requestheaders request server_connect server_connected responseheaders "
    "response client_disconnected server_disconnected",
}
ORDER_TLS = {
    "A": "clientconnect serverconnect request response clientdisconnect",
    "B": "clientconnect serverconnect request responseheaders response clientdisconnect",
    "C": "clientconnect serverconnect request responseheaders response clientdisconnect "
    "serverdisconnect",
    "D": "clientconnect requestheaders serverconnect requestheaders request responseheaders "
    "response clientdisconnect serverdisconnect",
    "E": "clientconnect http_connect serverconnect requestheaders request responseheaders "
    "response clientdisconnect serverdisconnect",
    "G": "client_connected http_connect http_connected tls_clienthello server_connect "
    "tls_start_server tls_established_server server_connected tls_start_client "
    "tls_established_client requestheaders request responseheaders response "
    "client_disconnected server_disconnected",
}
BEFORE = {
    "A": "start",
    "D": "start configure",
    "F": "load running configure",
    "G": "load configure running",
}


def nearest(table, era):
    """The entry of an era, or of the last one before it that has one."""
    return table[max(letter for letter in table if letter <= era)]


def noting(era):
    """A script with all functions of an era, each of which notes its name."""
    lines = ["SEEN = []"]
    first = "c, " if era <= "C" else ""
    for name in NAMES:
        gone = {"start": era > "E", "load": era < "F", "running": era < "F", "configure": era < "D"}
        if gone.get(name):
            continue
        parameters = {
            "start": {"A": "c", "B": "c, argv", "C": "c, argv"}.get(era, ""),
            "running": "",
            "configure": "o, u" if era <= "E" else "u",
        }.get(name, f"{first}x")
        lines.append(f"def {name}({parameters}): SEEN.append('{name}')")
    return "\n".join(lines)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("era", "ABCDEFGH")
def test_order(proxy, site, connect, write, fetch, make_origin, era, tls):
    script = proxy.load(write("a.py", noting(era)), era=era)
    seen = script.program.addons[0].SEEN
    wanted = f"{nearest(BEFORE, era)} {nearest(ORDER_TLS if tls else ORDER, era)}".split()
    world = World(proxy, fetch, site, connect, make_origin)
    assert (secure if tls else plain)(world).status == 200
    gone = "client_disconnected" if era >= "G" else "clientdisconnect"
    wait_until(lambda: gone in seen)
    proxy.stop()
    wait_until(lambda: len(seen) >= len(wanted))
    assert (seen, script.last_error) == (wanted, "")


@pytest.mark.parametrize("era", "ABCDEFGH")
def test_the_second_request_begins_at_request(proxy, site, connect, write, era):
    script = proxy.load(write("a.py", noting(era)), era=era)
    wire = connect(proxy)
    wire.get(f"{site.http_url}/")
    seen = script.program.addons[0].SEEN
    wait_until(lambda: seen[-1] == "response")
    count = len(seen)
    wire.get(f"{site.http_url}/")
    names = ["requestheaders", "request", "responseheaders", "response"]
    wanted = {"A": names[1::2], "B": names[1:], "C": names[1:]}.get(era, names)
    wait_until(lambda: len(seen) >= count + len(wanted))
    assert seen[count:] == wanted
