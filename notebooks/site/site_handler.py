"""How the local site answers: one handler an open connection, one method a page.

`ROUTES`, at the end, lists what there is.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import site_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from site_server import Server

MAX_BODY_BYTES = 64 << 20
MAX_BIG_MB = 1024
MAX_WAIT_S = 30.0
SESSION_TOKEN = "teapot-7c1f4e"  # noqa: S105  a made-up secret, so that masking has something to mask

_ORDERS = re.compile(r"/api/users/([0-9]{1,6})/orders")


class Handler(BaseHTTPRequestHandler):
    """One connection; each route is a method."""

    protocol_version = "HTTP/1.1"
    server_version = "TeapotShop/1.0"
    sys_version = ""
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Notes a request and the status it got."""
        del size
        status = int(code)  # an HTTPStatus prints by its name
        self.server.log.append(f"{self.server.scheme} {self.command} {self.path} {status}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Prints nothing: the site is a guest in somebody's notebook."""

    def dispatch(self) -> None:
        """Reads the whole request, so that the connection stays usable, and calls its route."""
        url = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if not self._read_body():
            return
        folder, _, last = url.path.rpartition("/")
        if route := ROUTES.get(url.path):
            route(self)
        elif folder == "/api/users" and last.isdecimal():
            self.send_json(site_content.user(int(last)))
        elif orders := _ORDERS.fullmatch(url.path):
            self.orders(int(orders[1]))
        else:
            self.missing()

    # The base class looks its methods up by these names.
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = dispatch  # noqa: N815

    def _read_body(self) -> bool:
        """Keeps the body; answers itself, and says False, where there is none to be had."""
        try:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                self.body = b"".join(self._chunks())
            else:
                size = _bounded(int(self.headers.get("Content-Length", "0")))
                self.body = self.rfile.read(size)
        except ValueError as error:
            self.close_connection = True
            self.send_body(f"Bad body: {error}\n".encode(), "text/plain", 400)
            return False
        return True

    def _chunks(self) -> Iterator[bytes]:
        total = 0
        while size := int(self.rfile.readline(1000).split(b";")[0], 16):
            total = _bounded(total + _bounded(size))
            yield self.rfile.read(size)
            self.rfile.readline(1000)
        while self.rfile.readline(1000).strip():
            pass  # trailers

    # Ways to answer

    def send_head(self, status: int, *headers: tuple[str, str]) -> None:
        """Sends a status line and headers; the first line of each answer goes through here."""
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def send_body(
        self, body: bytes, content_type: str, status: int = 200, *headers: tuple[str, str]
    ) -> None:
        """Sends a whole answer."""
        length = ("Content-Length", str(len(body)))
        self.send_head(status, ("Content-Type", content_type), length, *headers)
        self.write(body)

    def send_json(self, value: object, status: int = 200, *headers: tuple[str, str]) -> None:
        """Sends a value as JSON; None stands for what does not exist."""
        if value is None:
            value, status = {"error": "not found"}, 404
        self.send_body(json.dumps(value).encode() + b"\n", "application/json", status, *headers)

    def send_parts(self, content_type: str, trailer: str | None = None) -> Callable[[bytes], None]:
        """Starts an answer of unknown length, chunked where the client speaks HTTP/1.1.

        Returns:
            What sends one part; an empty one ends the body.
        """
        chunked = self.request_version != "HTTP/1.0"
        headers = [("Content-Type", content_type), ("Cache-Control", "no-store")]
        if chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        else:
            self.close_connection = True
        if chunked and trailer:
            headers.append(("Trailer", trailer.partition(":")[0]))
        trailer_line = f"{trailer}\r\n" if trailer else ""
        self.send_head(200, *headers)

        def send(part: bytes) -> None:
            if not chunked:
                self.write(part)
            elif part:
                self.write(b"%x\r\n%b\r\n" % (len(part), part))
            else:
                self.write(f"0\r\n{trailer_line}\r\n".encode())
            self.wfile.flush()

        return send

    def write(self, data: bytes) -> None:
        """Sends body bytes, which an answer to HEAD has none of (RFC 9110, 9.3.2)."""
        if self.command != "HEAD":
            self.wfile.write(data)

    def number(self, name: str, default: float, most: float) -> float:
        """A number from the query, brought into bounds."""
        try:
            value = float(self.query.get(name, default))
        except ValueError:
            value = default
        return max(0.0, min(value, most))

    def wait(self, seconds: float) -> None:
        """Waits, but not longer than the site lives."""
        if self.server.stopping.wait(seconds):
            raise ConnectionAbortedError("the site stops")

    # Routes

    def index(self) -> None:
        """An HTML page with a style sheet, a script, two pictures and a form."""
        self.send_body(site_content.INDEX.encode(), "text/html; charset=utf-8")

    def style(self) -> None:
        """The page's style sheet."""
        self.send_body(site_content.STYLE.encode(), "text/css; charset=utf-8")

    def script(self) -> None:
        """The page's script, which asks for `/api/users`."""
        self.send_body(site_content.SCRIPT.encode(), "text/javascript; charset=utf-8")

    def image(self) -> None:
        """A PNG."""
        self.send_body(site_content.png(), "image/png", 200, ("Cache-Control", "max-age=3600"))

    def photo(self) -> None:
        """An SVG."""
        self.send_body(site_content.PHOTO.encode(), "image/svg+xml")

    def submit(self) -> None:
        """Where the form goes: says what it got."""
        fields = parse_qs(self.body.decode("utf-8", "replace"))
        text = "\n".join(f"{name}: {', '.join(values)}" for name, values in fields.items())
        self.send_body(f"Thank you!\n{text}\n".encode(), "text/plain; charset=utf-8")

    def users(self) -> None:
        """`?page=N`: ten customers as JSON; `/api/users/N` is one of them."""
        self.send_json(site_content.users_page(int(self.number("page", 1, 1e6))))

    def orders(self, number: int) -> None:
        """`/api/users/N/orders`: as JSON, after a while; for some customers a long one."""
        self.wait(site_content.orders_wait_s(number))
        self.send_json(site_content.orders(number))

    def login(self) -> None:
        """Takes JSON with user and password; gives a token and a cookie.

        The password "wrong" is.
        """
        try:
            asked = json.loads(self.body)
            user, password = str(asked["user"]), str(asked["password"])
        except (ValueError, KeyError, TypeError):
            self.send_json({"error": "JSON with user and password wanted"}, 400)
            return
        if password == "wrong":  # noqa: S105  the one password that is refused
            challenge = ("WWW-Authenticate", 'Bearer realm="shop"')
            self.send_json({"error": "wrong password"}, 401, challenge)
            return
        cookie = ("Set-Cookie", f"session={SESSION_TOKEN}; Path=/; HttpOnly; SameSite=Lax")
        self.send_json({"user": user, "token": SESSION_TOKEN}, 200, cookie)

    def echo(self) -> None:
        """Any method: the request as the site saw it, as JSON."""
        seen = {
            "method": self.command,
            "path": self.path,
            "http_version": self.request_version,
            "headers": self.headers.items(),
            "body": self.body.decode("utf-8", "replace"),
        }
        self.send_json(seen)

    def slow(self) -> None:
        """`?seconds=1`: takes its time."""
        seconds = self.number("seconds", 1, MAX_WAIT_S)
        self.wait(seconds)
        self.send_body(f"That took {seconds:g} s.\n".encode(), "text/plain; charset=utf-8")

    def chunked(self) -> None:
        """Three chunks and a trailer with their checksum."""
        parts = [b"one, ", b"two, ", b"three.\n"]
        send = self.send_parts("text/plain", f"X-Checksum: {zlib.crc32(b''.join(parts)):08x}")
        for part in [*parts, b""]:
            send(part)

    def events(self) -> None:
        """`?seconds=0.05` between tokens: server-sent events, as language models answer."""
        pause_s = self.number("seconds", 0.05, MAX_WAIT_S)
        send = self.send_parts("text/event-stream")
        for index, token in enumerate(site_content.ANSWER):
            send(b"data: %b\n\n" % json.dumps({"index": index, "token": token}).encode())
            self.wait(pause_s)
        send(b"data: [DONE]\n\n")
        send(b"")

    def gzip(self) -> None:
        """JSON with the gzip content coding."""
        body = gzip.compress(json.dumps(site_content.users_page(1)).encode(), mtime=0)
        self.send_body(body, "application/json", 200, ("Content-Encoding", "gzip"))

    def error(self) -> None:
        """A 500."""
        self.send_json({"error": "the kettle is empty"}, 500)

    def missing(self) -> None:
        """A 404, as for every path not listed."""
        self.send_json(None)

    def redirect(self) -> None:
        """A 302 to the front page."""
        self.send_body(b"", "text/plain", 302, ("Location", "/"))

    def big(self) -> None:
        """`?mb=5`: that many MiB, of known length."""
        count = int(self.number("mb", 5, MAX_BIG_MB))
        block = bytes(range(256)) * 4096
        length = ("Content-Length", str(count * len(block)))
        self.send_head(200, ("Content-Type", "application/octet-stream"), length)
        for _ in range(count):
            self.write(block)

    def drop(self) -> None:
        """Promises 1000 bytes, sends half of them and closes the connection."""
        self.close_connection = True
        self.send_head(200, ("Content-Type", "text/plain"), ("Content-Length", "1000"))
        self.write(b"." * 500)


def _bounded(size: int) -> int:
    if not 0 <= size <= MAX_BODY_BYTES:
        raise ValueError(f"{size} bytes is out of bounds")
    return size


ROUTES: dict[str, Callable[[Handler], None]] = {
    "/": Handler.index,
    "/style.css": Handler.style,
    "/app.js": Handler.script,
    "/image.png": Handler.image,
    "/photo.svg": Handler.photo,
    "/submit": Handler.submit,
    "/api/users": Handler.users,
    "/api/login": Handler.login,
    "/api/echo": Handler.echo,
    "/slow": Handler.slow,
    "/chunked": Handler.chunked,
    "/events": Handler.events,
    "/gzip": Handler.gzip,
    "/error": Handler.error,
    "/missing": Handler.missing,
    "/redirect": Handler.redirect,
    "/big": Handler.big,
    "/drop": Handler.drop,
}
