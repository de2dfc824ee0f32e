"""Connections to servers: shared where that is safe, retried where it is, checked always."""

import contextlib
import socket
import ssl
import threading

import pytest
from site_certificate import make_server_context

from tests.support.proxies import (
    PATIENCE_S,
    Wire,
    answering,
    last_flow,
    only_flow,
    request,
    response,
    wait_until,
)

BOTH_LENGTHS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nok\r\n0\r\n\r\n"
)


def echo(message):
    return response(message.target, b"Content-Type: text/plain")


# -- sharing


@pytest.mark.parametrize("tls", [False, True])
def test_clients_share_connections_one_after_the_other(proxy, connect, make_origin, tls):
    """With TLS, the connection that fetched the certificate carries the first request too."""
    origin = make_origin(answering(echo), tls=tls)
    prefix = "" if tls else origin.url
    for n in range(3):
        with connect(proxy, tls=origin.port) if tls else connect(proxy) as wire:
            assert wire.get(f"{prefix}/{n}").body == b"/%d" % n
    assert len(origin.wires) == 1
    assert [f.server_conn.requests for f in proxy.flows] == [3, 3, 3]
    assert len({f.server_conn.id for f in proxy.flows}) == 1
    assert len({f.client_conn.id for f in proxy.flows}) == 3


def test_requests_at_once_have_connections_of_their_own(proxy, connect, make_origin):
    together = threading.Barrier(4)

    def serve(wire):
        while wire.message() is not None:
            together.wait(PATIENCE_S)
            wire.send(response(b"ok"))

    origin = make_origin(serve)
    wires = [connect(proxy) for _ in range(4)]
    for wire in wires:
        wire.ask(f"{origin.url}/")
    assert [wire.answer().body for wire in wires] == [b"ok"] * 4
    assert len(origin.wires) == 4


@pytest.mark.parametrize("options", [{"pool_size": 0}, {"pool_idle_timeout": 0.05}])
def test_unused_connections_are_kept_within_bounds(make_proxy, connect, make_origin, options):
    proxy = make_proxy(**options)
    origin = make_origin(answering(echo))
    wire = connect(proxy)
    for n in range(2):
        assert wire.get(f"{origin.url}/{n}").status == 200
        server = proxy.flows[n].server_conn
        wait_until(lambda server=server: not server.connected)
    assert len(origin.wires) == 2


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
        BOTH_LENGTHS,
    ],
)
def test_doubtful_connections_are_not_used_again(proxy, connect, make_origin, head):
    origin = make_origin(answering(lambda message: head))
    wire = connect(proxy)
    for _ in range(2):
        assert wire.get(f"{origin.url}/").body == b"ok"
    assert len(origin.wires) == 2


def test_bytes_that_nobody_asked_for_end_a_connection(proxy, connect, make_origin):
    more = threading.Event()

    def serve(wire):
        wire.message()
        wire.send(response(b"first"))
        assert more.wait(PATIENCE_S)
        wire.send(response(b"unasked"))
        wire.some()

    origin = make_origin(serve)
    wire = connect(proxy)
    assert wire.get(f"{origin.url}/").body == b"first"
    more.set()
    server = proxy.flows[0].server_conn
    wait_until(lambda: not server.connected)
    more.clear()
    wire.ask(f"{origin.url}/2")
    assert wire.answer().body == b"first"
    assert proxy.flows[1].server_conn is not server
    more.set()


def test_what_was_not_verified_is_not_used_once_it_must_be(make_proxy, connect, make_origin):
    """Neither when it lies idle nor when it is busy while the option changes."""
    proxy = make_proxy(ssl_insecure=True, ssl_verify_upstream_trusted_ca=None)
    go_on = threading.Event()

    def serve(wire):
        while wire.message() is not None:
            assert go_on.wait(PATIENCE_S)
            wire.send(response(b"secret"))

    origin = make_origin(serve, tls=True)
    wire = connect(proxy, tls=origin.port)
    wire.ask("/")
    wait_until(lambda: len(proxy.flows) and proxy.flows[0].server_conn.requests)
    proxy.options.ssl_insecure = False
    go_on.set()
    assert wire.answer().body == b"secret"
    got = wire.get("/")
    assert got.status == 502
    assert b"did not pass" in got.body
    assert proxy.flows[0].server_conn.verified is False
    proxy.options.ssl_insecure = True
    assert wire.get("/").body == b"secret"
    wait_until(lambda: not proxy.flows[2].live)
    proxy.options.ssl_insecure = False
    assert wire.get("/").status == 502


# -- authentication of connections


def ntlm(wire):
    """Authenticates the connection by its first Authorization, and tells who it belongs to."""
    owner = b""
    while (message := wire.message()) is not None:
        given = message.all(b"authorization")
        owner = given[0] if given else owner
        if owner:
            wire.send(response(owner))
        else:
            wire.send(response(b"", b"WWW-Authenticate: NTLM", status=401))


@pytest.mark.parametrize("scheme", [b"NTLM", b"Negotiate"])
def test_an_authenticated_connection_stays_with_its_client(proxy, connect, make_origin, scheme):
    origin = make_origin(ntlm)
    ada, bob = connect(proxy), connect(proxy)
    assert ada.get(f"{origin.url}/", b"Authorization: %b ada" % scheme).body == scheme + b" ada"
    assert bob.get(f"{origin.url}/").status == 401
    assert ada.get(f"{origin.url}/").body == scheme + b" ada"
    assert bob.get(f"{origin.url}/", b"Authorization: %b bob" % scheme).body == scheme + b" bob"
    assert ada.get(f"{origin.url}/").body == scheme + b" ada"
    assert bob.get(f"{origin.url}/").body == scheme + b" bob"
    assert len(origin.wires) == 2
    ada.close()
    wait_until(lambda: not proxy.flows[0].server_conn.connected)
    assert connect(proxy).get(f"{origin.url}/").status == 401


# -- connections that died


def flaky(kill):
    """Answers once on each connection; a second request kills it."""

    def serve(wire):
        message = wire.message()
        if message is not None:
            wire.send(response(message.body or b"ok"))
            if wire.message() is not None:
                kill(wire)

    return serve


@pytest.mark.parametrize("kill", [lambda wire: None, Wire.reset], ids=["close", "reset"])
@pytest.mark.parametrize("method", [b"GET", b"DELETE"])
def test_a_kept_connection_that_died_is_replaced(proxy, connect, make_origin, kill, method):
    origin = make_origin(flaky(kill))
    wire = connect(proxy)
    for _ in range(3):
        assert wire.get(f"{origin.url}/", method=method).body == b"ok"
    assert len(origin.wires) == 3
    assert [f.error for f in proxy.flows] == [None] * 3


@pytest.mark.parametrize("kill", [lambda wire: None, Wire.reset], ids=["close", "reset"])
def test_a_post_is_not_sent_twice(proxy, connect, make_origin, kill):
    origin = make_origin(flaky(kill))
    wire = connect(proxy)
    post = request(f"{origin.url}/", b"Content-Length: 4", method=b"POST") + b"body"
    wire.send(post)
    assert wire.answer().body == b"body"
    wire.send(post)
    assert wire.answer().status == 502
    assert len(origin.wires) == 1


def test_a_response_that_has_begun_is_not_asked_for_again(proxy, connect, make_origin):
    def half(wire):
        wire.send(b"HTTP/1.1 200")

    origin = make_origin(flaky(half))
    wire = connect(proxy)
    assert wire.get(f"{origin.url}/").status == 200
    assert wire.get(f"{origin.url}/").status == 502
    assert len(origin.wires) == 1


def test_a_new_connection_that_dies_is_not_replaced_without_end(proxy, connect, make_origin):
    origin = make_origin(lambda wire: wire.message())
    assert connect(proxy).get(f"{origin.url}/").status == 502
    assert len(origin.wires) == 1


# -- connecting


def test_nobody_listening_is_a_readable_502(proxy, connect):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    errors = []
    proxy.on("server_connect_error")(lambda server: errors.append(server.error))
    got = connect(proxy).get(f"http://127.0.0.1:{port}/")
    assert got.status == 502
    expected = f"cannot connect to 127.0.0.1:{port}: the connection was refused"
    assert expected.encode() in got.body
    assert only_flow(proxy).error.msg == expected
    assert errors == [expected]


def test_a_server_that_takes_no_connections_gives_504(make_proxy, connect):
    proxy = make_proxy(connect_timeout=0.2)
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # fill its queue
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        got = connect(proxy).get(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    assert got.status == 504
    assert "did not answer within 0.2 s" in only_flow(proxy).error.msg


def test_a_name_with_several_addresses(proxy, connect, make_origin):
    origin = make_origin(answering(echo))
    assert connect(proxy).get(f"http://localhost:{origin.port}/x").body == b"/x"
    flow = only_flow(proxy)
    assert flow.server_conn.address == ("localhost", origin.port)
    assert flow.server_conn.peername == ("127.0.0.1", origin.port)


def test_a_handler_says_where_a_connection_goes_or_that_it_does_not(proxy, connect, make_origin):
    origin = make_origin(answering(echo))

    @proxy.on("serverconnect")
    def steer(server):
        if server.address[0] == "no.test":
            server.error = "not today"
        else:
            server.address = ("127.0.0.1", origin.port)

    wire = connect(proxy)
    assert wire.get("http://yes.test/there").body == b"/there"
    got = wire.get("http://no.test/")
    assert got.status == 502
    assert b"not today" in got.body


def test_the_proxy_does_not_call_itself(proxy, connect):
    """RFC 9110, 7.6.3."""
    wire = connect(proxy)
    assert wire.get(f"http://localhost:{proxy.port}/", b"Host: a.test").status in {200, 508}
    wire = connect(proxy)
    proxy.on("request")(lambda flow: setattr(flow.request, "port", proxy.port))
    assert wire.get("http://127.0.0.1:1/").status == 508


# -- TLS


def test_tls_facts_are_recorded(proxy, connect, make_origin):
    origin = make_origin(answering(echo), tls=True)
    connect(proxy, tls=origin.port, host="localhost").get("/")
    flow = only_flow(proxy)
    server, client = flow.server_conn, flow.client_conn
    assert (server.tls, server.verified, server.sni) == (True, True, "localhost")
    assert (server.tls_version, server.alpn) == ("TLSv1.3", "http/1.1")
    assert server.cipher.startswith("TLS_")
    assert server.certificate_list[0].startswith(b"\x30")
    assert server.timestamp_start <= server.timestamp_tcp_setup <= server.timestamp_tls_setup
    assert (client.tls, client.sni, client.tls_version) == (True, "localhost", "TLSv1.3")
    assert client.tunnel == ("localhost", origin.port)
    assert client.requests == 2  # the CONNECT is one


def failing(context):
    """An origin whose TLS is not to be believed; it survives the alert."""

    def serve(wire):
        with contextlib.suppress(OSError):
            wire.start = context.wrap_socket(wire.sock, server_side=True)
            wire.start.recv(1)

    return serve


@pytest.mark.parametrize("strategy", ["eager", "lazy"])
def test_a_certificate_that_does_not_pass_gives_a_page_in_the_tunnel(
    make_proxy, connect, make_origin, strategy
):
    proxy = make_proxy(ssl_verify_upstream_trusted_ca=None, connection_strategy=strategy)
    failed = []
    proxy.on("tls_failed_server")(lambda data: failed.append((data.sni, data.conn.error)))
    origin = make_origin(answering(echo), tls=True)
    wire = connect(proxy, tls=origin.port, host="localhost")
    got = wire.get("/")
    assert got.status == 502
    assert b"The certificate of localhost did not pass" in got.body
    assert b"ssl_verify_upstream_trusted_ca" in got.body
    error = only_flow(proxy).error.msg
    assert error.startswith("The certificate of localhost did not pass: ")
    assert failed == [("localhost", error)]
    proxy.options.ssl_insecure = True
    assert wire.get("/again").body == b"/again"
    assert last_flow(proxy).server_conn.verified is False


def test_a_certificate_for_another_name_does_not_pass(proxy, connect, make_origin):
    origin = make_origin(answering(echo), tls=True)
    got = connect(proxy, tls=origin.port, sni="other.test").get("/", b"Host: other.test")
    assert got.status == 502
    error = only_flow(proxy).error.msg
    assert "The certificate of other.test did not pass" in error
    assert "shop.test" in error  # the names it is for


def test_the_ca_file_to_trust_can_change(make_proxy, connect, make_origin, identity, tmp_path):
    other, other_ca = make_server_context(tmp_path)
    assert isinstance(other, ssl.SSLContext)
    proxy = make_proxy(ssl_verify_upstream_trusted_ca=str(other_ca))
    origin = make_origin(answering(echo), tls=True)
    wire = connect(proxy, tls=origin.port)
    assert wire.get("/").status == 502
    proxy.options.ssl_verify_upstream_trusted_ca = str(identity.ca_file)
    assert wire.get("/").status == 200
    proxy.options.ssl_verify_upstream_trusted_ca = str(tmp_path / "missing.pem")
    got = wire.get("/")
    assert got.status == 502
    assert b"cannot be read" in got.body


def test_a_server_that_speaks_no_tls_is_explained(proxy, connect, make_origin):
    def plain(wire):
        wire.some()
        wire.send(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        wire.some()

    origin = make_origin(plain)
    assert connect(proxy, tls=origin.port).get("/").status == 502
    assert "not TLS" in only_flow(proxy).error.msg


def test_a_server_that_is_silent_in_the_handshake_gives_504(make_proxy, connect, make_origin):
    proxy = make_proxy()

    @proxy.on("serverconnect")
    def hurry(server):  # the server; the client has its time
        proxy.options.tls_timeout = 0.3

    @proxy.on("server_connect_error")
    def calm(server):
        proxy.options.tls_timeout = PATIENCE_S

    origin = make_origin(Wire.rest)
    assert connect(proxy, tls=origin.port).get("/").status == 504
    assert only_flow(proxy).error is not None
