"""Scripted origins: raw sockets on loopback that keep every byte they get and answer as told.

A script is a function of one connection (`Peer`); it runs in a thread of its own, and when it
returns the connection is closed. What it got is kept for the test to look at. All waiting has a
time limit.

    with Origin(answering(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")) as origin:
        ...
        assert [r.target for r in origin.requests] == [b"/"]
"""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import struct
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support import strict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    Script = Callable[["Peer"], None]

#: How long anything may take before a test fails. Generous: it costs only failing tests time.
TIMEOUT_S: Final = 90.0

Ended = Literal["", "fin", "reset", "silent"]


def eventually(check: Callable[[], Any], what: str = "", timeout_s: float = TIMEOUT_S) -> Any:
    """Wait until `check` gives something true, and give it.

    Raises:
        AssertionError: It did not in time.
    """
    ends_at = time.monotonic() + timeout_s
    while not (found := check()):
        if time.monotonic() > ends_at:
            raise AssertionError(f"waited {timeout_s:g} s for {what or check}")
        time.sleep(0.002)  # between two looks at a condition
    return found


def reset(sock: socket.socket) -> None:
    """Close a socket so that the other end sees a RST (SO_LINGER with 0 seconds)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(sock, ssl.SSLSocket):
        sock = socket.socket(fileno=sock.detach())
    sock.close()


class Peer:
    """A connection at an origin.

    Attributes:
        received: Every byte that came, decrypted.
        ended: How the other end ended it, as far as the script has read: "" while it has not.
        error: What went wrong in the TLS handshake, or None.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = bytearray()
        self.ended: Ended = ""
        self.error: Exception | None = None
        self.finished = threading.Event()
        self._asked = 0
        sock.settimeout(TIMEOUT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _more(self) -> bool:
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            self.ended = "silent"
        except (ConnectionError, ssl.SSLError, OSError) as error:
            self.ended = "fin" if isinstance(error, ssl.SSLEOFError) else "reset"
        else:
            if data:
                self.received += data
                return True
            self.ended = "fin"
        return False

    def read_until(self, mark: bytes) -> bool:
        """Read until these bytes have come; False if the connection ended before."""
        while mark not in self.received:
            if not self._more():
                return False
        return True

    def read_bytes(self, count: int) -> bool:
        """Read until so many bytes have come in all."""
        while len(self.received) < count:
            if not self._more():
                return False
        return True

    def next_request(self) -> strict.Message | None:
        """The next whole request; None at the end of the connection."""
        while True:
            found, _ = strict.read_requests(bytes(self.received))
            if len(found) > self._asked:
                self._asked += 1
                return found[self._asked - 1]
            if self.ended or not self._more():
                return None

    def read_to_end(self) -> Ended:
        """Read until the other end has closed or reset the connection."""
        while not self.ended and self._more():
            pass
        return self.ended

    def send(self, data: bytes) -> bool:
        """Send all of it; False if the other end is gone."""
        try:
            self.sock.sendall(data)
        except OSError:
            return False
        return True

    def drip(self, data: bytes) -> bool:
        """Send byte by byte, each in a packet of its own."""
        return all(self.send(data[i : i + 1]) for i in range(len(data)))

    def half_close(self) -> None:
        """End our side; the other may go on."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection."""
        reset(self.sock)


def polite(peer: Peer) -> None:
    """Answer every request with its own body, and keep the connection open."""
    while (request := peer.next_request()) is not None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.body)
        peer.send(head if request.start[0] == b"HEAD" else head + request.body)


def answering(data: bytes, then: Literal["close", "reset", "hold", "keep"] = "hold") -> Script:
    """A script that reads one request and answers with these bytes.

    Args:
        data: The bytes, sent as they are.
        then: What follows: close in order, break, wait for the other end's close, or keep on
            answering so.
    """

    def script(peer: Peer) -> None:
        while peer.read_until(b"\r\n\r\n") and peer.next_request() is not None:
            peer.send(data)
            if then != "keep":
                break
        if then == "reset":
            peer.reset()
        elif then == "hold":
            peer.read_to_end()

    return script


class Origin:
    """A listener whose connections run a script.

    Args:
        script: What each connection does; may be changed between connections.
        context: To speak TLS.
        host: Where to listen, `127.0.0.1` or `::1`.
        port: On which port; 0 for any.
    """

    def __init__(
        self,
        script: Script = polite,
        *,
        context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.script = script
        self.context = context
        self.peers: list[Peer] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=256)
        self.host = f"[{host}]" if ":" in host else host
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, name=f"origin-{self.port}")
        self._accepting.start()

    @property
    def authority(self) -> bytes:
        """`host:port`."""
        return f"{self.host}:{self.port}".encode("ascii")

    @property
    def requests(self) -> list[strict.Message]:
        """Every whole request that came, connection after connection, strictly read.

        Raises:
            AmbiguityError: Something came that could be read in more than one way.
        """
        return [r for p in self.peers for r in strict.read_requests(bytes(p.received))[0]]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            peer = Peer(sock)
            self.peers.append(peer)
            thread = threading.Thread(target=self._run, args=(peer, self.script), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, peer: Peer, script: Script) -> None:
        try:
            if self.context is not None:
                try:
                    # wrapping a socket whose peer has gone leaves one behind that nobody closes
                    if not peer.sock.recv(1, socket.MSG_PEEK):
                        raise ConnectionResetError("closed before TLS began")
                    peer.sock = secure = self.context.wrap_socket(
                        peer.sock, server_side=True, do_handshake_on_connect=False
                    )
                    secure.do_handshake()
                except OSError as error:
                    peer.error = error
                    return
            script(peer)
        except strict.AmbiguityError:
            pass  # found again by whoever looks at `requests`
        finally:
            peer.finished.set()
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_WR)
            peer.sock.close()

    def close(self) -> None:
        """Stop, break what is open, and wait for all threads."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._listener.close()
        self._accepting.join(TIMEOUT_S)
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(TIMEOUT_S)
            assert not thread.is_alive(), "a script does not end"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


# -- certificates, good and bad

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        """The certificate as DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def context(self, *chain: Issued) -> ssl.SSLContext:
        """A server's context that shows this certificate, and these after it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # an origin may be as bad as it likes
        key = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        with tempfile.NamedTemporaryFile() as file:
            file.write(key + self.pem + b"".join(each.pem for each in chain))
            file.flush()
            context.load_cert_chain(file.name)
        return context


def with_sha1(issued: Issued, by: Issued) -> Issued:
    """The same certificate, signed with SHA-1; both keys are RSA.

    No library of today signs so; the two names of the algorithm happen to be of one length.
    """
    assert isinstance(by.key, rsa.RSAPrivateKey)
    names = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
    body = issued.certificate.tbs_certificate_bytes.replace(*names)
    signature = by.key.sign(body, padding.PKCS1v15(), hashes.SHA1())
    der = issued.der.replace(*names).replace(issued.certificate.signature, signature)
    return Issued(x509.load_der_x509_certificate(der), issued.key)


def issue(
    subject: str,
    by: Issued | None = None,
    *,
    names: Sequence[x509.GeneralName] | None = None,
    days: tuple[int, int] = (-10, 100),
    is_ca: bool = False,
    path_length: int | None = None,
    key: Key | None = None,
    usages: Iterable[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,),
    constraints: x509.NameConstraints | None = None,
) -> Issued:
    """A certificate by the book, but for what the caller spoils.

    Args:
        subject: Common name, and the DNS name if there are no `names`.
        by: Who signs; itself if None.
        names: The subjectAltName; () for none.
        days: Validity, from and to, in days from now.
        is_ca: Whether it may sign.
        path_length: How many CAs may stand below it.
        key: The key; a new P-256 one if None.
        usages: The extended key usages of a leaf.
        constraints: Name constraints of a CA.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    usage = x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(by.certificate.subject if by else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(usage, critical=True)
    )
    if by is not None:
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key())
        builder = builder.add_extension(signer, critical=False)
    if names is None and not is_ca:
        names = [x509.DNSName(subject)]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if not is_ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    certificate = builder.sign((by.key if by else key), hashes.SHA256())
    return Issued(certificate, key)
