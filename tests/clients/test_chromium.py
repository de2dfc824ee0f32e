"""Headless Chromium: a page with all that belongs to it, over HTTP and HTTPS."""

import base64
import hashlib
import json
import os
import shutil

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from playwright.sync_api import sync_playwright

from nbproxy import Response
from tests.support.proxies import PATIENCE_S, Wire, wait_until
from tests.support.websocket_peers import serve_websocket

__all__ = ["serve_websocket"]

QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
)
PARTS = {"/", "/style.css", "/app.js", "/image.png", "/photo.svg", "/api/users?page=1"}


def chromium():
    """The system's browser, else playwright's own; one of them must be there."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture
def open_page(make_proxy, site):
    """`open_page(proxy)`: a page of a browser that goes through the proxy, for loopback too."""
    with sync_playwright() as playwright:
        browsers = []

        def launch(proxy):
            browser = playwright.chromium.launch(
                executable_path=chromium(),
                args=[*QUIET, f"--ignore-certificate-errors-spki-list={key_hash(proxy, site)}"],
                proxy={"server": proxy.url, "bypass": "<-loopback>"},
                timeout=1000 * PATIENCE_S,
                env={"HOME": os.environ.get("HOME", "/"), "PATH": os.environ["PATH"]},
            )
            browsers.append(browser)
            page = browser.new_page()
            page.set_default_timeout(1000 * PATIENCE_S)
            return page

        yield launch
        for browser in browsers:
            browser.close()


def key_hash(proxy, site):
    """How Chromium is told to believe one key: the hash of the leaf's public one."""
    with Wire.through(proxy, port_of(site.https_url), "localhost") as wire:
        leaf = x509.load_der_x509_certificate(wire.tls.getpeercert(binary_form=True))
    key = leaf.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


def port_of(url):
    return int(url.rpartition(":")[2])


def watch(page):
    """What a page complains of."""
    complaints = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    return complaints


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_page_and_its_parts(make_proxy, open_page, site, scheme):
    """All parts load and are recorded; what handlers change shows in the document."""
    proxy = make_proxy()

    @proxy.on("response", "~t html")
    def rename(flow):
        flow.response.text = flow.response.text.replace("The Teapot Shop", "The Samovar Shop")

    @proxy.on("response", "~u /api/users")
    def count(flow):
        page = flow.response.json()
        page["total"] = 4711
        flow.response.content = json.dumps(page).encode()

    @proxy.on("response", "~t css")
    def paint(flow):
        flow.response.text += "h1 { color: rgb(1, 2, 3) }"

    @proxy.on("request", "~u photo.svg")
    def replace(flow):
        red = '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="9"/>'
        flow.response = Response.make(200, red, {"content-type": "image/svg+xml"})

    page = open_page(proxy)
    complaints = watch(page)
    base = f"{scheme}://localhost:{port_of(getattr(site, f'{scheme}_url'))}"
    page.goto(f"{base}/", wait_until="load")
    assert page.title() == "The Samovar Shop"
    assert page.inner_text("h1") == "The Samovar Shop"
    page.wait_for_function("document.querySelector('#users').textContent.includes('4711')")
    look = "getComputedStyle(document.querySelector('h1')).color"
    assert page.evaluate(look) == "rgb(1, 2, 3)"
    sizes = page.evaluate("[...document.images].map(i => [i.complete, i.naturalWidth])")
    assert sizes == [[True, 64], [True, 7]]
    assert [c for c in complaints if "favicon" not in c and "404" not in c] == []

    page.fill("input[name=name]", "Grace")
    with page.expect_navigation(url="**/submit"):
        page.click("button")
    assert "Grace" in page.inner_text("body")

    flows = [f for f in proxy.flows if f.request.url.startswith(base)]
    assert {f.request.path for f in flows} >= {*PARTS, "/submit"}
    (document,) = [f for f in flows if f.request.path == "/"]
    assert document.response.status_code == 200
    assert "Chrome" in document.request.headers["user-agent"]
    (form,) = [f for f in flows if f.request.path == "/submit"]
    assert form.request.urlencoded_form["name"] == "Grace"
    if scheme == "https":
        assert document.client_conn.tls_version == "TLSv1.3"
        assert document.server_conn.verified
        assert "http/1.1" in document.client_conn.alpn_offers


def test_what_browsers_do_besides(make_proxy, open_page, site, make_origin):
    """Redirects, events, a download of some size, a failure, a WebSocket."""
    proxy = make_proxy()
    page = open_page(proxy)
    base = f"https://localhost:{port_of(site.https_url)}"
    page.goto(f"{base}/redirect")
    assert page.url == f"{base}/"
    events = page.evaluate(
        """() => new Promise(resolve => {
          const seen = [], source = new EventSource("/events?seconds=0.01");
          source.onmessage = event => {
            seen.push(event.data);
            if (event.data === "[DONE]") { source.close(); resolve(seen); }
          };
        })"""
    )
    assert len(events) == 12
    size = page.evaluate("fetch('/big?mb=8').then(a => a.arrayBuffer()).then(b => b.byteLength)")
    assert size == 8 * 2**20
    status = page.evaluate("fetch('/error').then(answer => answer.status)")
    assert status == 500
    echo = page.evaluate(
        """fetch("/api/echo", { method: "POST", body: new Blob(["x".repeat(3000000)]) })
             .then(answer => answer.json()).then(seen => seen.body.length)"""
    )
    assert echo == 3_000_000

    socket = make_origin(_echo_once)
    answer = page.evaluate(
        """url => new Promise((resolve, reject) => {
          const socket = new WebSocket(url);
          socket.onopen = () => socket.send("hello");
          socket.onmessage = event => { socket.close(); resolve(event.data); };
          socket.onerror = () => reject(new Error("no socket"));
        })""",
        f"ws://localhost:{socket.port}/chat",
    )
    assert answer == "hello"
    wait_until(lambda: any(f.request.path == "/chat" and f.response for f in proxy.flows))


def _echo_once(wire):
    key = wire.message()[b"sec-websocket-key"]
    accept = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    wire.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(accept) + b"\r\n\r\n"
    )
    head = wire.exactly(2)
    mask = wire.exactly(4)
    data = wire.exactly(head[1] & 0x7F)
    wire.send(b"\x81%c" % len(data), bytes(b ^ mask[i % 4] for i, b in enumerate(data)))
    wire.rest()


def test_a_server_that_is_not_believed_gives_a_page(make_proxy, open_page, site):
    proxy = make_proxy(ssl_verify_upstream_trusted_ca=None)
    page = open_page(proxy)
    answer = page.goto(f"https://localhost:{port_of(site.https_url)}/")
    assert answer.status == 502
    assert "The certificate of localhost did not pass" in page.inner_text("body")


CHAT = """async ([url, messages]) => {
    const socket = new WebSocket(url);
    const heard = [];
    return await new Promise((resolve, reject) => {
        socket.onerror = () => reject(new Error("it failed"));
        socket.onopen = () => messages.forEach((message) => socket.send(message));
        socket.onmessage = (event) => {
            heard.push(event.data);
            if (heard.length === messages.length) socket.close(4002, "all heard");
        };
        socket.onclose = (event) => resolve([heard, event.code, event.wasClean, socket.extensions]);
    });
}"""


@pytest.mark.parametrize("tls", [False, True])
def test_its_websockets(make_proxy, open_page, site, serve_websocket, tls):
    """Compressed on both sides; a handler changes what is said; the browser sees a clean end."""
    proxy = make_proxy()

    @proxy.on("websocket_message")
    def shout(flow):
        message = flow.websocket.messages[-1]
        if message.from_client:
            message.text = message.text.upper()

    url = serve_websocket(tls=tls).replace("127.0.0.1", "localhost")
    page = open_page(proxy)
    page.goto(f"{site.https_url if tls else site.http_url}/style.css")
    said = ["one", "zwölf ☃", "x" * 100_000]
    heard, code, clean, extensions = page.evaluate(CHAT, [url, said])
    assert heard == [text.upper() for text in said]
    assert (code, clean) == (4002, True)
    assert extensions.startswith("permessage-deflate")
    (flow,) = (flow for flow in proxy.flows if flow.websocket is not None)
    wait_until(lambda: not flow.live)
    assert flow.request.url == f"{url.replace('ws', 'http', 1)}/"
    assert len(flow.websocket.messages) == 6
    assert (flow.websocket.close_code, flow.websocket.closed_by_client) == (4002, True)
    assert flow.error is None
