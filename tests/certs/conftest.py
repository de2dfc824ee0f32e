"""A CA, handshakes in memory, a small HTTPS server and strangers' certificates."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import tempfile
import threading
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from nbproxy.certs import CertificateAuthority, LeafCertificates
from tests.support.proxies import PATIENCE_S


@pytest.fixture
def confdir(tmp_path):
    return tmp_path / "conf"


@pytest.fixture(scope="session")
def ca(tmp_path_factory):
    return CertificateAuthority.load_or_create(tmp_path_factory.mktemp("ca") / "conf")


@pytest.fixture
def leaves(ca):
    return LeafCertificates(ca)


@pytest.fixture
def strict_client(ca):
    return client_for(ca.cert_file)


@pytest.fixture(scope="session")
def trusting():
    """Makes the client context of Python 3.13 and later, trusting one file."""
    return client_for


def client_for(cafile):
    context = ssl.create_default_context(cafile=str(cafile))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.fixture(scope="session")
def handshake():
    """Both ends of a TLS connection over memory, after its handshake."""
    return shake_hands


def shake_hands(server, client, name, *, on_client=None):
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=name)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    if on_client is not None:
        on_client.append(near)
    pending = [near, far]
    for _ in range(10):
        for end in list(pending):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
                pending.remove(end)
        if not pending:
            return near, far
    raise AssertionError("the handshake does not end")


@pytest.fixture
def only_old():
    """Makes a context that speaks TLS 1.1 at best."""

    def limit(context):
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        return context

    return limit


@pytest.fixture
def serve():
    """Serves a TLS context on loopback until the test ends; gives the port."""
    with contextlib.ExitStack() as stack:
        yield lambda context, host="127.0.0.1": stack.enter_context(_served(context, host))


@contextlib.contextmanager
def _served(context, host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        thread = threading.Thread(target=_accept, args=(listener, context))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept
            thread.join()


def _accept(listener, context):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.settimeout(PATIENCE_S)
        with connection, contextlib.suppress(OSError):
            _answer(context.wrap_socket(connection, server_side=True))


def _answer(secure):
    with secure:
        data = b""
        while b"\r\n\r\n" not in data:
            received = secure.recv(65536)
            if not received:
                return
            data += received
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
        secure.sendall(head + b"hello")


@dataclass
class Issued:
    """A certificate with its key, made by `Issuer`."""

    certificate: x509.Certificate
    key: object

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self):
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def key_pem(self, form=serialization.PrivateFormat.PKCS8):
        return self.key.private_bytes(
            serialization.Encoding.PEM, form, serialization.NoEncryption()
        )

    def server(self, *chain):
        """A server context that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.key_pem() + self.pem + b"".join(each.pem for each in chain))
            file.flush()
            context.load_cert_chain(file.name)
        return context


def issue(
    name,
    by=None,
    *,
    is_ca=False,
    days=(-10, 100),
    alt=None,
    key=None,
    common_name=True,
    organization=None,
):
    """A certificate by the book, except for what a test spoils on purpose."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if common_name else []
    if organization:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    subject = x509.Name(parts)
    now = dt.datetime.now(dt.UTC)
    signer = by.key if by else key
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.KeyUsage(not is_ca, *[False] * 4, is_ca, is_ca, *[False] * 2), critical=True
        )
    )
    if by:
        aki = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key())
        builder = builder.add_extension(aki, critical=False)
    if alt is None and not is_ca:
        alt = [x509.DNSName(name)]
    if alt:
        builder = builder.add_extension(x509.SubjectAlternativeName(alt), critical=False)
    return Issued(builder.sign(signer, hashes.SHA256()), key)


@pytest.fixture(scope="session", name="issue")
def issue_fixture():
    return issue


@pytest.fixture(scope="session")
def root():
    return issue("Example Root", is_ca=True)


@pytest.fixture(scope="session")
def rsa_root():
    return issue("mitmproxy", is_ca=True, key=rsa.generate_private_key(65537, 2048))


@pytest.fixture
def root_file(root, tmp_path):
    path = tmp_path / "root.pem"
    path.write_bytes(root.pem)
    return path
