"""Connections: plain records of what happened, with names and states read off them."""

import pytest

from nbproxy.model.connection import Client, Connection, Server, format_address


@pytest.mark.parametrize("kind", [Connection, Client, Server])
def test_each_has_a_number_of_its_own(kind):
    first, second, third = kind(), Client(), kind()
    assert first.id < second.id < third.id


def test_nothing_has_happened_yet():
    for connection in (Client(), Server()):
        assert (connection.peername, connection.sockname, connection.error) == (None, None, None)
        assert (connection.tls, connection.tls_established, connection.connected) == (False,) * 3
        assert (connection.sni, connection.alpn, connection.cipher) == (None, None, None)
        assert tuple(connection.certificate_list) == tuple(connection.alpn_offers) == ()
        assert connection.requests == 0
        assert connection.address is None
    assert Client().tunnel is None
    assert (Server().via, Server().verified) == (None, False)


def test_states_are_read_off_the_times():
    server = Server(("example.org", 443))
    server.timestamp_start = 1.0
    assert server.connected
    server.tls = True
    assert not server.tls_established
    server.timestamp_tls_setup = 1.5
    assert server.tls_established
    server.timestamp_end = 2.0
    assert not server.connected
    assert server.tls_established


def test_records_share_nothing():
    one, other = Server(), Server()
    one.certificate_list = [b"der"]
    one.alpn_offers = ["h2"]
    one.peername = ("127.0.0.1", 1)
    assert tuple(other.certificate_list) == tuple(other.alpn_offers) == ()
    assert other.peername is None


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (None, ""),
        (("example.org", 80), "example.org:80"),
        (("127.0.0.1", 8080), "127.0.0.1:8080"),
        (("::1", 8080), "[::1]:8080"),
        (("fe80::1%eth0", 1, 0, 2), "[fe80::1%eth0]:1"),
    ],
)
def test_addresses(address, text):
    assert format_address(address) == text


def test_reprs():
    client = Client()
    assert repr(client) == "<Client >"
    client.peername = ("::1", 5)
    client.tls = True
    client.sni = "secret.test"
    assert client.address == ("::1", 5)
    assert repr(client) == "<Client [::1]:5 tls>"
    assert repr(Server(("example.org", 443))) == "<Server example.org:443>"
