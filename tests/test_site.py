"""The bundled local site answers as its list of routes says, over HTTP and HTTPS."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from site_handler import ROUTES, SESSION_TOKEN
from site_server import Site


@pytest.fixture(scope="module")
def site():
    with Site() as running:
        yield running


@pytest.fixture(params=["http", "https"])
def base(request, site):
    return site.http_url if request.param == "http" else site.https_url


@pytest.fixture
def client(site):
    with requests.Session() as session:
        session.trust_env = False
        session.verify = site.ca_file
        yield session


def raw(url: str, request: bytes) -> bytes:
    """What comes back for exactly these bytes, until the site closes."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as reader:
            return reader.read()


@pytest.mark.parametrize(
    ("path", "status", "content_type"),
    [
        ("/", 200, "text/html; charset=utf-8"),
        ("/style.css", 200, "text/css; charset=utf-8"),
        ("/app.js", 200, "text/javascript; charset=utf-8"),
        ("/image.png", 200, "image/png"),
        ("/photo.svg", 200, "image/svg+xml"),
        ("/api/users?page=5", 200, "application/json"),
        ("/api/users?page=6", 404, "application/json"),
        ("/api/users?page=x", 200, "application/json"),
        ("/api/users/17", 200, "application/json"),
        ("/api/users/99", 404, "application/json"),
        ("/api/users/7/orders", 200, "application/json"),
        ("/api/users/99/orders", 404, "application/json"),
        ("/slow?seconds=0", 200, "text/plain; charset=utf-8"),
        ("/chunked", 200, "text/plain"),
        ("/events?seconds=0", 200, "text/event-stream"),
        ("/gzip", 200, "application/json"),
        ("/error", 500, "application/json"),
        ("/missing", 404, "application/json"),
        ("/nowhere", 404, "application/json"),
    ],
)
def test_pages(client, base, path, status, content_type):
    answer = client.get(base + path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, content_type)
    assert answer.content
    head = client.head(base + path)
    assert (head.status_code, head.headers["content-type"]) == (status, content_type)
    assert not head.content


def test_everything_the_front_page_links_to_is_there(client, base):
    page = client.get(base).text
    linked = {part.split('"')[1] for part in page.replace("src=", "href=").split("href=")[1:]}
    assert {urlsplit(path).path for path in linked} <= set(ROUTES)
    assert 'action="/submit"' in page


def test_image_is_a_sound_png(client, base):
    data = client.get(f"{base}/image.png").content
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    position, kinds, pixels = 8, [], b""
    while position < len(data):
        size = int.from_bytes(data[position : position + 4])
        kind_and_data = data[position + 4 : position + 8 + size]
        checksum = data[position + 8 + size : position + 12 + size]
        assert int.from_bytes(checksum) == zlib.crc32(kind_and_data)
        kinds.append(kind_and_data[:4])
        pixels += kind_and_data[4:] if kind_and_data[:4] == b"IDAT" else b""
        position += 12 + size
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
    assert len(zlib.decompress(pixels)) == 64 * (64 * 3 + 1)


def test_users_are_paged_to_the_end(client, base):
    path, seen = "/api/users", []
    while path:
        page = client.get(base + path).json()
        seen += page["users"]
        path = page["next"]
    assert [user["id"] for user in seen] == list(range(1, page["total"] + 1))
    assert client.get(f"{base}/api/users/17").json() == seen[16]


def test_orders_take_their_time(client, site):
    slow = client.get(f"{site.http_url}/api/users/5/orders")
    assert slow.elapsed.total_seconds() > 0.4
    assert [item["name"] for item in slow.json()["items"]] == ["Cadogan", "Brown Betty"]


def test_login(client, base):
    answer = client.post(f"{base}/api/login", json={"user": "ada", "password": "secret"})
    assert answer.json() == {"user": "ada", "token": SESSION_TOKEN}
    assert answer.cookies["session"] == SESSION_TOKEN
    refused = client.post(f"{base}/api/login", json={"user": "ada", "password": "wrong"})
    assert refused.status_code == 401
    assert client.post(f"{base}/api/login", data="{").status_code == 400
    assert client.post(f"{base}/api/login", json=["ada"]).status_code == 400


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_echo(client, base, method):
    seen = client.request(method, f"{base}/api/echo?a=1", data=b"tea", headers={"X-Cup": "2"})
    echoed = seen.json()
    assert (echoed["method"], echoed["path"], echoed["body"]) == (method, "/api/echo?a=1", "tea")
    assert ["X-Cup", "2"] in echoed["headers"]


def test_chunked_request(client, base):
    assert client.post(f"{base}/api/echo", data=iter([b"te", b"a"])).json()["body"] == "tea"


def test_form(client, base):
    answer = client.post(f"{base}/submit", data={"name": "Ada", "teapots": "2"})
    assert answer.text == "Thank you!\nname: Ada\nteapots: 2\n"


def test_chunked_answer_has_chunks_and_a_trailer(site):
    request = b"GET /chunked HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    head, _, body = raw(site.http_url, request).partition(b"\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked" in head
    assert b"\r\nTrailer: X-Checksum" in head
    checksum = zlib.crc32(b"one, two, three.\n")
    tail = b"0\r\nX-Checksum: %08x\r\n\r\n" % checksum
    assert body == b"5\r\none, \r\n5\r\ntwo, \r\n7\r\nthree.\n\r\n" + tail


def test_http_1_0_gets_a_body_that_ends_with_the_connection(site):
    head, _, body = raw(site.http_url, b"GET /chunked HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert b"Connection: close" in head
    assert body == b"one, two, three.\n"


def test_events_stream_as_they_are_made(client, base):
    with client.get(f"{base}/events?seconds=0.001", stream=True) as answer:
        events = [line.removeprefix(b"data: ") for line in answer.iter_lines() if line]
    assert events.pop() == b"[DONE]"
    tokens = [json.loads(event)["token"] for event in events]
    assert "".join(tokens) == "A proxy in a notebook sees all that passes."


def test_first_event_comes_before_the_last_is_made():
    with Site() as own, requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{own.http_url}/events?seconds=30", stream=True, timeout=60)
        assert next(answer.iter_lines()).startswith(b'data: {"index": 0')
        answer.close()


def test_gzip(client, base):
    answer = client.get(f"{base}/gzip", stream=True)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json() == client.get(f"{base}/api/users?page=1").json()


def test_redirect(client, base):
    answer = client.get(f"{base}/redirect")
    assert [step.status_code for step in answer.history] == [302]
    assert urlsplit(answer.url).path == "/"


def test_big(client, base):
    answer = client.get(f"{base}/big?mb=3")
    assert len(answer.content) == int(answer.headers["content-length"]) == 3 << 20


def test_drop_closes_half_way(client, base):
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        client.get(f"{base}/drop")


def test_connection_is_kept_alive(site):
    address = urlsplit(site.http_url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    connection.request("POST", "/nowhere", body=b"unread by the route")
    assert connection.getresponse().read()
    used = connection.sock
    connection.request("GET", "/api/users/1")
    assert json.loads(connection.getresponse().read())["id"] == 1
    assert connection.sock is used
    connection.close()


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: x\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 99999999999\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
    ],
)
def test_bad_bodies_are_refused(site, framing):
    answer = raw(site.http_url, b"POST /api/echo HTTP/1.1\r\nHost: localhost\r\n" + framing)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: close" in answer


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "shop.test"])
def test_certificate_passes_strict_verification(site, name):
    context = ssl.create_default_context(cafile=site.ca_file)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    address = urlsplit(site.https_url)
    with (
        socket.create_connection((address.hostname, address.port), timeout=60) as connection,
        context.wrap_socket(connection, server_hostname=name) as tls,
    ):
        assert tls.getpeercert()["subject"] == ((("commonName", "localhost"),),)


def test_who_does_not_trust_the_ca_does_no_harm(site, client):
    client.verify = True
    with pytest.raises(requests.exceptions.SSLError):
        client.get(site.https_url)
    client.verify = site.ca_file
    assert client.get(site.https_url).ok


def test_log_is_kept_and_nothing_is_printed(capfd):
    with Site() as own, requests.Session() as session:
        session.trust_env = False
        session.get(f"{own.http_url}/api/users?page=2")
        session.post(f"{own.https_url}/error", verify=own.ca_file)
    assert list(own.log) == ["http GET /api/users?page=2 200", "https POST /error 500"]
    assert capfd.readouterr() == ("", "")


def test_two_at_once_and_ipv6(client):
    with Site() as one, Site("::1") as two:
        assert len({one.http_url, one.https_url, two.http_url, two.https_url}) == 4
        assert two.https_url.startswith("https://[::1]:")
        assert client.get(two.https_url, verify=two.ca_file).ok


def test_stop_leaves_nothing():
    before = set(threading.enumerate())
    own = Site()
    address = urlsplit(own.http_url)
    idle = socket.create_connection((address.hostname, address.port), timeout=60)
    slow = socket.create_connection((address.hostname, address.port), timeout=60)
    slow.sendall(b"GET /events?seconds=30 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with idle, slow, slow.makefile("rb") as answer:
        assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
        own.stop()
        own.stop()
        assert idle.recv(1) == b""
        assert b"[DONE]" not in answer.read()
    assert set(threading.enumerate()) <= before
    assert not Path(own.ca_file).exists()
    with pytest.raises(OSError, match=r"refused|reset"):
        socket.create_connection((address.hostname, address.port), timeout=60)
