"""Connections, addresses, certificates and errors, cell by cell of their table by era."""

import datetime as dt
import functools

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nbproxy.model.connection import Client, Server
from nbproxy.model.flow import Error
from tests.scripts.rows import cases, parameters, run, stored, uncovered

TABLE = {
    "client": "ABCDEFG",
    "client: TLS": "BCDEFG",
    "client: truth": "C",
    "server": "ABCDEFG",
    "server: address": "ABCDEFG",
    "server: via": "CDEFG",
    "server: hashable": "BCDEFG",
    "Address": "ABCDE",
    "plain tuples": "FG",
    "get_servername": "CD",
    "certificate": "ABCDEFG",
    "certificate: issuer, subject": "DEFG",
    "certificate: has_expired": "ABCDEFG",
    "certificate: names": "ABCDEFG",
    "certificate: from and to": "ABCDEFG",
    "error": "ABCDEFG",
    "error: killed": "ABCDEFG",
    "ConnectionHandler": "B",
    "LiveConnection": "B",
}


@functools.cache
def der(expired=False):
    """A certificate that somebody could show."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.com"),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Example"),
        ]
    )
    now = dt.datetime.now(dt.UTC)
    end = now + dt.timedelta(days=-1 if expired else 1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(77)
        .not_valid_before(now - dt.timedelta(days=2))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.DER)


def encrypted():
    """Over TLS, with certificates on both sides."""
    flow = stored()
    for conn in (flow.client_conn, flow.server_conn):
        conn.tls, conn.tls_version, conn.cipher = True, "TLSv1.3", "A-CIPHER"
        conn.alpn, conn.sni = "h2", "sni.test"
        conn.timestamp_start, conn.timestamp_tls_setup, conn.timestamp_end = 1.0, 2.0, 3.0
        conn.certificate_list = (der(),)
        conn.sockname = ("10.0.0.1", 1234)
    flow.server_conn.timestamp_tcp_setup = 1.5
    flow.server_conn.via = ("http", ("proxy.test", 3128))
    return flow


def opened():
    flow = stored()
    flow.client_conn.timestamp_start = 1.0
    return flow


def killed():
    flow = stored()
    flow.error = Error(Error.KILLED_MESSAGE, 7.0)
    return flow


def a_client():
    client = Client()
    client.peername, client.timestamp_start = ("127.0.0.1", 5000), 1.0
    return client


def a_server():
    return Server(("example.com", 80))


def moved_to(host, port):
    return lambda server: server.address == (host, port)


ALL = "0.9 0.11 0.17 0.18 2.0 6.0 7.0 12"
CERT = {
    "0.9": "flow.response.cert",
    **dict.fromkeys(ALL.split()[1:], "flow.server_conn.cert"),
}


def certificates(code, says, releases=ALL, **more):
    return [
        case
        for release in releases.split()
        for case in cases(
            release,
            code.replace("CERT", CERT.get(release, "flow.server_conn.cert")),
            says,
            make=encrypted,
            **more,
        )
    ]


CASES = {
    "client": [
        *cases(
            "0.8 0.10",
            """
            client = flow.request.client_conn
            print(client.address[0], client.requestcount, client.close, client.error)
            """,
            "127.0.0.1 0 None None",
        ),
        *cases("0.8", "print(flow.request.client_conn.connection_error)", "None"),
        *cases(
            "0.11 0.13 0.14 0.17",
            """
            client = flow.client_conn
            print(client.address, client.ssl_established, client.clientcert.cn)
            print(client.timestamp_start, client.timestamp_ssl_setup, client.timestamp_end)
            """,
            "127.0.0.1:5000 True example.com\n1.0 2.0 3.0",
            make=encrypted,
        ),
        *cases("0.11 0.17", "flow.client_conn.send('x')", fails="cannot send 1 bytes"),
        *cases("0.11", "flow.client_conn.wfile", fails="flow.reply(response)"),
        *cases(
            "0.18 2.0",
            "print(flow.client_conn.address, flow.client_conn.address.host)",
            "127.0.0.1:5000 127.0.0.1",
        ),
        *cases(
            "3.0 6.0",
            "print(flow.client_conn.address, len(flow.client_conn.id))",
            "('127.0.0.1', 5000) 36",
        ),
        *cases(
            "7.0 12",
            """
            client = flow.client_conn
            print(client.peername, client.sockname, client.address, client.state.name)
            print(client.timestamp_start, client.timestamp_tls_setup, client.timestamp_end)
            """,
            "('127.0.0.1', 5000) ('10.0.0.1', 1234) ('127.0.0.1', 5000) CLOSED\n1.0 2.0 3.0",
            make=encrypted,
        ),
        *cases("9.0 12", "print(flow.client_conn.proxy_mode)", "regular"),
    ],
    "client: TLS": [
        *cases(
            "0.11 0.17 0.18 2.0", "print(flow.client_conn.ssl_established)", "True", make=encrypted
        ),
        *cases(
            "0.14 0.17 0.18 2.0 6.0 12",
            "print(flow.client_conn.tls_established)",
            "True",
            make=encrypted,
        ),
        *cases(
            "1.0 2.0 3.0 6.0",
            """
            client = flow.client_conn
            print(client.sni, client.cipher_name, client.tls_version, client.alpn_proto_negotiated)
            print(client.mitmcert)
            """,
            "sni.test A-CIPHER TLSv1.3 b'h2'\nNone",
            make=encrypted,
        ),
        *cases("3.0 6.0", "print(flow.client_conn.tls_extensions)", "[]", make=encrypted),
        *cases(
            "7.0 12",
            """
            client = flow.client_conn
            print(client.tls, client.sni, client.cipher, client.tls_version, client.alpn)
            print(len(client.certificate_list), client.cipher_name, client.clientcert.cn)
            """,
            "True sni.test A-CIPHER TLSv1.3 b'h2'\n1 A-CIPHER example.com",
            make=encrypted,
        ),
    ],
    "client: truth": [
        *cases("0.14 0.17", "print(bool(flow.client_conn))", "True", make=opened),
        *cases("0.14 0.17", "print(bool(flow.client_conn))", "False", make=encrypted),
    ],
    "server": [
        *cases(
            "0.10",
            """
            server = flow.server_conn
            print(server.host, server.port, server.scheme, server.sni, server.requestcount)
            print(server.tcp_setup_timestamp, server.ssl_setup_timestamp, server.require_request)
            """,
            "example.com 80 https sni.test 0\n1.5 2.0 None",
            make=encrypted,
        ),
        *cases(
            "0.11 0.13",
            """
            server = flow.server_conn
            print(server.address, server.source_address, server.cert.cn, server.sni, server.state)
            print(server.ssl_established, server.timestamp_start, server.timestamp_end)
            print(server.timestamp_tcp_setup, server.timestamp_ssl_setup)
            """,
            "example.com:80 10.0.0.1:1234 example.com sni.test []\nTrue 1.0 3.0\n1.5 2.0",
            make=encrypted,
        ),
        *cases(
            "0.14 0.17",
            """
            server = flow.server_conn
            print(server.address.host, server.source_address, server.peer_address, server.cert.cn)
            """,
            "example.com 10.0.0.1:1234 93.184.216.34:80 example.com",
            make=encrypted,
        ),
        *cases(
            "0.18 2.0",
            """
            server = flow.server_conn
            print(server.address.port, server.source_address, server.ip_address)
            print(server.timestamp_tcp_setup, server.timestamp_ssl_setup)
            """,
            "80 10.0.0.1:1234 93.184.216.34:80\n1.5 2.0",
            make=encrypted,
        ),
        *cases(
            "3.0 6.0",
            """
            server = flow.server_conn
            print(server.address, server.source_address, server.ip_address)
            print(server.timestamp_tcp_setup, server.timestamp_tls_setup, server.tls_established)
            """,
            "('example.com', 80) ('10.0.0.1', 1234) ('93.184.216.34', 80)\n1.5 2.0 True",
            make=encrypted,
        ),
        *cases(
            "7.0 12",
            """
            server = flow.server_conn
            print(server.address, server.sockname, server.peername, len(server.certificate_list))
            print(server.timestamp_tcp_setup, server.timestamp_tls_setup, server.cert.cn)
            """,
            "('example.com', 80) ('10.0.0.1', 1234) ('93.184.216.34', 80) 1\n1.5 2.0 example.com",
            make=encrypted,
        ),
        *cases("0.18 6.0 12", "flow.server_conn.peer_address", fails="peername"),
        *cases("0.11 0.17", "flow.server_conn.ip_address", fails="peer_address"),
    ],
    "server: address": [
        *cases(
            "0.10",
            "print(conn.host, conn.port)",
            "example.com 80",
            hook="serverconnect",
            make=a_server,
            name="conn",
        ),
        *cases(
            "0.11 0.13",
            "conn.server_conn.address = ('other.test', 81)",
            hook="serverconnect",
            make=a_server,
            name="conn",
            then=moved_to("other.test", 81),
        ),
        *cases(
            "0.14 0.17 0.18 2.0 5.0",
            "conn.address = ('other.test', 81)",
            hook="serverconnect",
            make=a_server,
            name="conn",
            then=moved_to("other.test", 81),
        ),
        *cases(
            "7.0 12",
            "data.server.address = ('other.test', 81)",
            hook="server_connect",
            make=a_server,
            name="data",
            then=moved_to("other.test", 81),
        ),
    ],
    "server: via": [
        *cases("0.14 0.17", "print(flow.server_conn.via)", "proxy.test:3128", make=encrypted),
        *cases("0.18 2.0 6.0 7.0 12", "print(flow.server_conn.via)", "None"),
        *cases(
            "8.1 12",
            "print(flow.server_conn.via.scheme, flow.server_conn.via.address)",
            "http ('proxy.test', 3128)",
            make=encrypted,
        ),
    ],
    "server: hashable": cases(
        "0.11 0.17 0.18 2.0 6.0 12",
        "print(flow.server_conn in {flow.server_conn}, flow.copy().server_conn in "
        "{flow.server_conn})",
        "True True",
    ),
    "Address": [
        *cases(
            "0.10 0.11 0.17 0.18",
            """
            from netlib.tcp import Address
            made = Address(("a.test", 80))
            print(made.host, made.port, made.use_ipv6, made(), made, made == ("a.test", 80))
            print(Address.wrap(made) is made, Address.wrap(("b", 1)).host, made in {made})
            """,
            "a.test 80 False ('a.test', 80) a.test:80 True\nTrue b True",
        ),
        *cases(
            "1.0 2.0",
            "print(flow.client_conn.address.host, flow.client_conn.address())",
            "127.0.0.1 ('127.0.0.1', 5000)",
        ),
    ],
    "plain tuples": cases(
        "3.0 6.0 7.0 12", "print(type(flow.server_conn.address).__name__)", "tuple"
    ),
    "get_servername": [
        *cases(
            "0.14 0.17",
            "print(flow.client_conn.connection.get_servername())",
            "sni.test",
            make=encrypted,
        ),
        *cases(
            "0.18",
            "print(flow.client_conn.connection.get_servername())",
            "b'sni.test'",
            make=encrypted,
        ),
        *cases("0.14 0.18", "print(flow.client_conn.connection.get_servername())", "None"),
    ],
    "certificate": certificates(
        """
cert = CERT
print(cert.serial, cert.notafter > cert.notbefore, cert.keyinfo)
""",
        "77 True ('EC (secp256r1)', 256)",
    ),
    "certificate: issuer, subject": [
        *certificates(
            "print(CERT.subject, CERT.issuer == CERT.subject)",
            "[(b'CN', b'example.com'), (b'O', b'Example')] True",
            "0.18 2.0 6.0",
        ),
        *certificates(
            "print(CERT.subject, CERT.issuer == CERT.subject)",
            "[('CN', 'example.com'), ('O', 'Example')] True",
            "0.9 0.11 0.17 7.0 12",
        ),
    ],
    "certificate: has_expired": [
        *certificates("print(CERT.has_expired)", "False", "0.9 0.11 0.17 0.18 2.0 6.0"),
        *certificates("print(CERT.has_expired())", "False", "7.0 12"),
    ],
    "certificate: names": [
        *certificates(
            "print(CERT.cn, CERT.altnames)", "example.com ['a.test']", "0.9 0.11 0.17 7.0 12"
        ),
        *certificates(
            "print(CERT.cn, CERT.altnames)", "b'example.com' [b'a.test']", "0.18 2.0 6.0"
        ),
        *certificates("print(CERT.organization)", "b'Example'", "6.0"),
        *certificates("print(CERT.organization)", "Example", "7.0 12"),
    ],
    "certificate: from and to": [
        *cases(
            "0.9 0.11 0.17 0.18",
            """
            from netlib.certutils import SSLCert
            pem = flow.server_conn.cert.to_pem()
            again = SSLCert.from_pem(pem)
            print(again == flow.server_conn.cert, len(again.digest("sha1")), again.has_expired)
            print(isinstance(flow.server_conn.cert, SSLCert))
            print(SSLCert.from_der(again.to_der()) == again)
            """,
            "True 59 False\nTrue\nTrue",
            make=encrypted,
        ),
        *cases(
            "2.0",
            """
            from mitmproxy.certs import SSLCert
            print(SSLCert.from_pem(flow.server_conn.cert.to_pem()) == flow.server_conn.cert)
            """,
            "True",
            make=encrypted,
        ),
        *cases(
            "3.0 6.0",
            """
            from mitmproxy.certs import Cert
            print(Cert.from_pem(flow.server_conn.cert.to_pem()).has_expired)
            """,
            "False",
            make=encrypted,
        ),
        *cases(
            "7.0 12",
            """
            from mitmproxy.certs import Cert
            made = Cert.from_pem(flow.server_conn.cert.to_pem())
            is_one = isinstance(flow.server_conn.cert, Cert)
            print(len(made.fingerprint()), made.has_expired(), is_one)
            """,
            "32 False True",
            make=encrypted,
        ),
    ],
    "error": [
        *cases(
            "0.8 0.10",
            """
            from libmproxy.flow import Error
            made = Error(flow.request, "odd", 5.0)
            print(made.msg, made.timestamp, made)
            """,
            "odd 5.0 odd",
        ),
        *cases(
            "0.11 0.13",
            """
            from libmproxy.protocol.primitives import Error
            made = Error("odd", 5.0)
            print(made.msg, made.timestamp, made)
            flow.error = made
            """,
            "odd 5.0 odd",
            then=lambda flow: flow.error.msg == "odd",
        ),
        *cases(
            "0.14 0.16",
            "from libmproxy.models import Error; flow.error = Error('odd', 5.0); print(flow.error)",
            "odd",
            then=lambda flow: flow.error.timestamp == 5.0,
        ),
        *cases(
            "0.17 0.18",
            "from mitmproxy.models import Error; flow.error = Error('odd'); print(flow.error.msg)",
            "odd",
            then=lambda flow: flow.error.msg == "odd",
        ),
        *cases(
            "1.0 2.0 6.0 12",
            """
            from mitmproxy.flow import Error
            flow.error = Error("odd", 5.0)
            print(flow.error, flow.error.msg, flow.error.timestamp, isinstance(flow.error, Error))
            """,
            "odd odd 5.0 True",
            then=lambda flow: flow.error.msg == "odd",
        ),
    ],
    "error: killed": [
        *cases(
            "0.8 0.11 0.17 0.18 2.0",
            "print(flow.error.msg, flow.error)",
            "Connection killed Connection killed",
            make=killed,
        ),
        *cases("5.2 6.0 12", "print(flow.error.msg)", "Connection killed.", make=killed),
        *cases(
            "7.0 12",
            "from mitmproxy.flow import Error; print(flow.error.msg == Error.KILLED_MESSAGE)",
            "True",
            make=killed,
        ),
    ],
    "ConnectionHandler": [
        *cases(
            "0.11 0.13",
            """
            print(conn.client_conn.address.port, conn.server_conn, conn.conntype)
            conn.log("told", "info", ["one", "two"])
            conn.establish_ssl()
            conn.establish_server_connection()
            """,
            "5000 None direct\ntold\n -> one\n -> two",
            hook="clientconnect",
            make=a_client,
            name="conn",
        ),
        *cases(
            "0.11",
            "conn.set_server_address(('a', 1))",
            fails="flow.request.host",
            hook="clientconnect",
            make=a_client,
            name="conn",
        ),
    ],
    "LiveConnection": cases(
        "0.11 0.13",
        """
        from libmproxy.protocol.primitives import LiveConnection
        live = LiveConnection(flow)
        print(live.change_server(("other.test", 443), ssl=True), live.c.client_conn.address.port)
        live.restore_server()
        """,
        "True 5000",
        then=lambda flow: flow.request.url == "https://other.test/p?a=1&b=2",
    ),
}


def test_every_cell_has_a_case():
    assert uncovered(TABLE, CASES) == []


@pytest.mark.parametrize("case", parameters(CASES))
def test_cell(case, idle, tmp_path):
    run(case, idle, tmp_path / "a.py")
