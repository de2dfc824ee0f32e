"""Every row of the table of events, era by era, on live traffic.

The rows about raw TCP and WebSockets (`tcp_*`, `websocket_*`) are in `test_websocket_events`, the
order of events in `test_event_order`.
"""

import pytest

from tests.scripts.rows import parameters, uncovered
from tests.scripts.worlds import (
    World,
    answered,
    distrusting,
    elsewhere,
    ends,
    killed,
    lines,
    live,
    plain,
    refused,
    refused_tunnel,
    run_live,
    secure,
    secure_plain,
    status,
    stopped,
    untrusted_origin,
)

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

CASES = {
    "start": [
        *live("0.8 0.9", "def start(ctx):\n    ctx.log('started')", ["started"]),
        *live("0.10 0.11 0.17", "def start(context, argv):\n    context.log(len(argv))", ["1"]),
        *live("0.18 1.0 2.0", "def start():\n    print('started')", ["started"]),
        *live(
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
    "load": live(
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
        *live(
            "0.18 2.0",
            """
            def configure(options, updated):
                print("listen_port" in updated, len(updated), options.listen_host)
            """,
            lines(
                lambda said: (
                    len(said) == 2 and said[0].startswith("True") and said[1] == "False 1 127.0.0.1"
                )
            ),
            lambda w: w.proxy.scripts.options.update(hint_slow_handlers=0.5),
        ),
        *live(
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
        *live(
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
    "running": live("3.0 6.0 7.0 12", "def running():\n    print('running')", ["running"])
    + live("8.1 12", "async def running():\n    print('running')", ["running"]),
    "tick": live(
        "0.18 2.0 3.0",
        "def start():\n    pass\ndef tick():\n    print('tick')",
        lines(lambda said: said[:2] == ["tick", "tick"]),
    ),
    "update": live(
        "3.0 6.0 7.0 12",
        """
        class One:
            def response(self, flow): print("one")
            def update(self, flows): print("update", len(flows), flows[0].request.path)
        class Two:
            def response(self, flow): print("two")
        addons = [One(), Two()]
        """,
        lines(lambda said: said[-3:] == ["one", "two", "update 1 /api/users"]),
        plain,
    ),
    "log, add_log": [
        *live(
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
        *live(
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
        *live("0.8 0.11 0.17", "def done(context):\n    context.log('bye')", ["bye"], ends),
        *live("0.18 2.0 6.0 7.0 12", "def done():\n    print('bye')", ["bye"], ends),
    ],
    "clientconnect": [
        *live(
            "0.8 0.10",
            "def clientconnect(ctx, client):\n"
            "    ctx.log('%s %s' % (client.address[0], client.requestcount))",
            ["127.0.0.1 0"],
            plain,
        ),
        *live(
            "0.11 0.13",
            """
            def clientconnect(context, handler):
                print(handler.client_conn.address.host, handler.server_conn, handler.conntype)
            """,
            ["127.0.0.1 None direct"],
            plain,
        ),
        *live(
            "0.14 0.17",
            """
            def clientconnect(context, root_layer):
                print(root_layer.client_conn.address.host, root_layer.address.host)
                root_layer.hung = 1
            """,
            ["127.0.0.1 127.0.0.1"],
            plain,
        ),
        *live(
            "0.14 0.16",
            """
            from libmproxy.protocol import Kill
            def clientconnect(context, root_layer):
                root_layer.reply(Kill)
            def request(context, flow): print("not reached")
            """,
            [],
            lambda w: w.connect(w.proxy),
            lambda _, wire: wire.is_closed,
        ),
        *live(
            "0.18 2.0",
            "def clientconnect(layer):\n"
            "    print(layer.client_conn.address.host, layer.address.host)",
            ["127.0.0.1 127.0.0.1"],
            plain,
        ),
        *live(
            "3.0 6.0",
            "def clientconnect(layer):\n    print(layer.client_conn.address[0], layer.address[0])",
            ["127.0.0.1 127.0.0.1"],
            plain,
        ),
        *live(
            "2.0 6.0",
            "def clientconnect(layer):\n    layer.reply.kill()",
            [],
            lambda w: w.connect(w.proxy),
            lambda _, wire: wire.is_closed,
        ),
    ],
    "serverconnect": [
        *live(
            "0.10",
            "def serverconnect(ctx, server):\n    ctx.log(server.host)",
            ["127.0.0.1"],
            plain,
        ),
        *live(
            "0.11 0.13",
            "def serverconnect(context, handler):\n    print(handler.server_conn.address.host)",
            ["127.0.0.1"],
            plain,
        ),
        *live(
            "0.14 0.17",
            "def serverconnect(context, server_conn):\n    print(server_conn.address.host)",
            ["127.0.0.1"],
            plain,
        ),
        *live(
            "0.18 2.0",
            "def serverconnect(server_conn):\n    print(server_conn.address.host)",
            ["127.0.0.1"],
            plain,
        ),
        *live(
            "3.0 6.0",
            "def serverconnect(server_conn):\n    print(server_conn.address[0])",
            ["127.0.0.1"],
            plain,
        ),
        *live(
            "0.14 0.17",
            "def serverconnect(context, server_conn):\n"
            "    server_conn.address = ('127.0.0.1', PORT)",
            [],
            elsewhere,
            lambda _, answer: answer.body == b"elsewhere",
        ),
        *live(
            "0.18 5.0",
            "def serverconnect(server_conn):\n    server_conn.address = ('127.0.0.1', PORT)",
            [],
            elsewhere,
            lambda _, answer: answer.body == b"elsewhere",
        ),
    ],
    "serverdisconnect": [
        *live(
            "0.14 0.17",
            "def serverdisconnect(context, server_conn):\n"
            "    print(server_conn.address.host, bool(server_conn))",
            ["127.0.0.1 False"],
            stopped,
        ),
        *live(
            "0.18 2.0",
            "def serverdisconnect(server_conn):\n    print(server_conn.address.host)",
            ["127.0.0.1"],
            stopped,
        ),
        *live(
            "3.0 6.0",
            "def serverdisconnect(server_conn):\n    print(server_conn.address[0])",
            ["127.0.0.1"],
            stopped,
        ),
    ],
    "clientdisconnect": [
        *live(
            "0.8 0.10",
            "def clientdisconnect(ctx, it):\n    ctx.log(it.client_conn.requestcount)",
            ["1"],
            plain,
        ),
        *live(
            "0.11 0.13 0.14 0.17",
            "def clientdisconnect(context, it):\n"
            "    print(it.client_conn.timestamp_end is not None)",
            ["True"],
            plain,
        ),
        *live(
            "0.18 2.0 6.0",
            "def clientdisconnect(layer):\n    print(layer.client_conn.timestamp_end is not None)",
            ["True"],
            plain,
        ),
    ],
    "client_connected, client_disconnected": live(
        "7.0 12",
        """
        def client_connected(client): print("in", client.peername[0])
        def client_disconnected(client): print("out", client.peername[0])
        """,
        ["in 127.0.0.1", "out 127.0.0.1"],
        plain,
    )
    + live(
        "7.0 12",
        "def client_connected(client):\n    client.error = 'not you'",
        [],
        lambda w: w.connect(w.proxy),
        lambda _, wire: wire.is_closed,
    ),
    "server_connect, server_connected, server_disconnected, server_connect_error": [
        *live(
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
        *live(
            "7.0 12",
            "def server_connect(data):\n    data.server.error = 'forbidden'",
            [],
            plain,
            status(502),
        ),
        *live(
            "10.4 12",
            "def server_connect_error(data):\n    print(bool(data.server.error))",
            ["True"],
            refused,
            status(502),
        ),
    ],
    "request": [
        *live(
            "0.8 0.10",
            "def request(ctx, flow):\n"
            "    ctx.log('%s %s' % (flow.request.method, flow.request.scheme))",
            ["GET https"],
            secure,
        ),
        *live(
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
        *live(
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
        *live(
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
        *live(
            "0.18 2.0 6.0 7.0 12",
            """
            def requestheaders(flow):
                print(flow.request.method, flow.request.raw_content)
            """,
            ["GET None"],
            plain,
        ),
        *live(
            "0.18",
            "def requestheaders(flow):\n    print(flow.request.method)",
            ["CONNECT", "GET"],
            secure,
        ),
        *live(
            "2.0 6.0 7.0 12",
            "def requestheaders(flow):\n    print(flow.request.method)",
            ["GET"],
            secure,
        ),
    ],
    "responseheaders": [
        *live(
            "0.11 0.13",
            """
            def responseheaders(context, flow):
                print(flow.response.code, flow.response.content)
            """,
            ["200 None"],
            plain,
        ),
        *live(
            "0.14 0.17",
            """
            def responseheaders(context, flow):
                print(flow.response.status_code, flow.response.content)
            """,
            ["200 None"],
            plain,
        ),
        *live(
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
        *live(
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
        *live(
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
        *live(
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
        *live(
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
        *live(
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
        *live(
            "0.8 0.11 0.13",
            "def response(context, flow):\n"
            "    flow.response.code = 418; print(len(flow.response.content) > 9)",
            ["True"],
            plain,
            status(418),
        ),
        *live(
            "0.14 0.17",
            "def response(context, flow):\n"
            "    flow.response.status_code = 418; print(len(flow.response.content) > 9)",
            ["True"],
            plain,
            status(418),
        ),
        *live(
            "0.18 2.0 6.0 7.0 12",
            "def response(flow):\n    flow.response.status_code = 418; "
            "print(len(flow.response.content) > 9)",
            ["True"],
            plain,
            status(418),
        ),
    ],
    "error": [
        *live(
            "0.8 0.11 0.17",
            """
            def error(context, flow): print(flow.response, "127.0.0.1" in flow.error.msg)
            def response(context, flow): print("no response")
            """,
            ["None True"],
            refused,
            status(502),
        ),
        *live(
            "0.18 2.0 6.0 7.0 12",
            """
            def error(flow): print(flow.response, "127.0.0.1" in flow.error.msg)
            def response(flow): print("no response")
            """,
            ["None True"],
            refused,
            status(502),
        ),
        *live(
            "0.11",
            """
            from libmproxy.protocol import KILL
            def request(context, flow): flow.reply(KILL)
            def error(context, flow): print(flow.error)
            """,
            ["Connection killed"],
            killed,
        ),
        *live(
            "0.14 0.17",
            """
            def request(context, flow): context.kill_flow(flow)
            def error(context, flow): print(flow.error)
            """,
            ["Connection killed"],
            killed,
        ),
        *live(
            "7.0 12",
            "def request(flow): flow.kill()\ndef error(flow): print(flow.error)",
            ["Connection killed."],
            killed,
        ),
    ],
    "http_connect": [
        *live(
            "1.0 2.0 6.0 7.0 12",
            """
            def http_connect(flow): print(flow.request.method, flow.request.host)
            def request(flow): print(flow.request.method)
            """,
            ["CONNECT 127.0.0.1", "GET"],
            secure,
        ),
        *live(
            "1.0 6.0",
            """
            from mitmproxy import http
            def http_connect(flow): flow.response = http.HTTPResponse.make(403, b"no")
            """,
            [],
            refused_tunnel,
            status(403),
        ),
        *live(
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
        *live(
            "10.4 12",
            "def http_connected(flow):\n    print(flow.request.port > 0)",
            ["True"],
            secure,
        ),
        *live(
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
        *live(
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
        *live(
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
        *live(
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
        *live(
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
        *live(
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
        *live(
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
        *live(
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
        *live(
            "7.0 12",
            "def tls_clienthello(data):\n    data.ignore_connection = True",
            [],
            secure_plain,
            status(200),
        ),
    ],
    "tls_established, tls_failed": [
        *live(
            "8.1 12",
            """
            def tls_established_server(data): print("server", data.conn.tls_version)
            def tls_established_client(data): print("client", data.context.client.tls_version)
            """,
            ["server TLSv1.3", "client TLSv1.3"],
            secure,
        ),
        *live(
            "8.1 12",
            "def tls_failed_client(data):\n    print(bool(data.conn.error))",
            ["True"],
            distrusting,
        ),
        *live(
            "8.1 12",
            "def tls_failed_server(data):\n    print(bool(data.conn.error))",
            lines(lambda said: set(said) == {"True"}),
            untrusted_origin,
            status(502),
        ),
    ],
    "stop": [
        *live("0.15 0.16", "def stop(context):\n    print('never')", [], ends),
        *live("0.18 2.0 6.0 7.0 12", "def stop():\n    print('never')", [], ends),
    ],
    "never": live(
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


def test_every_cell_has_a_case():
    assert uncovered(TABLE, CASES) == []


@pytest.mark.parametrize("case", parameters(CASES))
def test_cell(case, proxy, site, connect, make_origin, tmp_path):
    run_live(case, World(proxy, site, connect, make_origin, tmp_path), tmp_path / "a.py")
