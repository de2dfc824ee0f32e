"""`nbproxy.why`: each reason for a missing flow is found and said."""

import re
import socket
import ssl
import threading
import time

import httpx
import pytest
import requests

import nbproxy
from nbproxy.capture.watch import WATCH
from nbproxy.why import Check, Why, _ago
from tests.capture.cells import Cells
from tests.capture.conftest import (
    confdir,
    connect,
    environ,
    identity,
    make_origin,
    make_proxy,
    proxy,
    site,
    trusted,
)
from tests.support.proxies import wait_until

__all__ = [
    "confdir",
    "connect",
    "environ",
    "identity",
    "make_origin",
    "make_proxy",
    "proxy",
    "site",
    "trusted",
]


def why(proxy, url):
    found = nbproxy.why(url, proxy=proxy)
    assert isinstance(found, Why)
    return found


def problem(found, text):
    """The one problem that says this."""
    (check,) = [check for check in found.problems if re.search(text, check.text)]
    return check


def test_it_is_there(proxy, site):
    for _ in range(7):
        requests.get(f"{site.http_url}/missing?x=1", proxies=proxy.proxies, timeout=60)
    last = proxy.flows[-1].id
    for url in (f"{site.http_url}/missing", f" {site.http_url}/missing?x=1 "):
        found = why(proxy, url)
        assert found
        assert found.problems == []
        assert len(found.flows) == 7
        assert f"#{last}, the last with status 404" in str(found)
        assert "…, #" in str(found)
        assert f"nbproxy.flows.by_id({last})" in str(found)
        assert repr(found).endswith("recorded, 7 flows>")
    assert not why(proxy, f"{site.http_url}/missing?x=2")


def test_one_without_an_answer(proxy):
    requests.get("http://127.0.0.1:1/", proxies=proxy.proxies, timeout=60)
    assert "the last with no answer" in str(why(proxy, "http://127.0.0.1:1/"))


def test_others_of_the_host_are_there(proxy, site):
    requests.get(f"{site.http_url}/", proxies=proxy.proxies, timeout=60)
    found = why(proxy, f"{site.http_url}/other")
    assert "1 other request to 127.0.0.1" in str(found)
    assert "cache" in str(found)


def test_nothing_is_sent_to_it(proxy):
    found = why(proxy, "example.org")
    assert problem(found, "no request to example.org:443 came")
    assert "%%capture_http" in problem(found, "https_proxy is not set").advice
    assert found.url == "example.org"
    assert repr(found) == "<Why example.org: not recorded, 2 possible reasons>"


def test_an_unset_variable_is_no_reason_where_requests_from_here_come(proxy, site, environ):
    with proxy.capture():
        requests.get(f"{site.http_url}/", timeout=60)
    proxy.flows[-1].replay_sync()
    other = f"{site.http_url}/other"
    assert problem(why(proxy, other), "http_proxy is not set")  # it came by the variables
    requests.get(f"{site.http_url}/", proxies=proxy.proxies, timeout=60)
    found = why(proxy, other)
    assert found.problems == []
    (fact,) = [check for check in found.checks if "http_proxy is not set" in check.text]
    assert fact.ok is None
    assert f"told of the proxy, as that of #{proxy.flows[-1].id} was" in fact.text
    assert "%%capture_http" in fact.advice
    assert problem(why(proxy, "example.org"), "https_proxy is not set")  # nobody knows who asked


def test_nor_is_it_for_another_host_if_a_cell_asked(proxy, site, monkeypatch):
    cells = Cells(requests=requests, proxies=proxy.proxies, url=site.http_url)
    monkeypatch.setattr(WATCH, "code", cells)
    assert proxy.origins is proxy.origins  # it looks from now on
    cells.run("requests.get(url, proxies=proxies, timeout=60)")
    assert [check.text for check in why(proxy, "example.org").problems] == [
        "no request to example.org:443 came"
    ]


def test_the_proxy_is_stopped(make_proxy):
    proxy = make_proxy()
    proxy.stop()
    assert "start" in problem(why(proxy, "example.org"), "is stopped").advice


def test_clients_are_sent_elsewhere(proxy, environ):
    environ["https_proxy"] = "http://ada:hunter2@corp.test:3128"
    found = why(proxy, "example.org")
    assert "hunter2" not in str(found)
    assert problem(found, r"leads to another proxy, http://.*corp\.test:3128")
    environ["https_proxy"] = "no address:x"
    assert problem(why(proxy, "example.org"), "another proxy")
    with proxy.capture():
        assert "✓ https_proxy leads clients to the proxy" in str(why(proxy, "example.org"))


def test_no_proxy_names_it(proxy, environ):
    environ["NO_PROXY"] = "localhost,.example.org"
    found = problem(why(proxy, "https://www.example.org"), r"NO_PROXY has '\.example\.org'")
    assert "--no-proxy ''" in found.advice
    found = problem(why(proxy, "http://localhost:8000/"), "NO_PROXY has 'localhost'")
    assert found.advice == "%%capture_http takes no notice of it"


def test_a_client_refused_our_certificate(proxy, site):
    url = f"{site.https_url}/"
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(url, proxies=proxy.proxies, verify=site.ca_file, timeout=60)
    wait_until(lambda: len(proxy.flows) == 1)
    found = problem(why(proxy, url), r"a client for it did not get through \d+ s ago")
    assert "does not trust the CA" in found.text
    assert r'ignore_hosts = [r"127\.0\.0\.1"]' in found.advice
    requests.get(f"{url}?now", proxies=proxy.proxies, verify=proxy.ca_file, timeout=60)
    (fact,) = [c for c in why(proxy, f"{url}x").checks if "did not get through" in c.text]
    assert fact.ok is None  # it has been got right since


def refusal(sock, host):
    """What a client sends that does not trust the certificate it is shown."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=host)
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            sock.sendall(outgoing.read())
            incoming.write(sock.recv(65536))
        except ssl.SSLCertVerificationError:
            return outgoing.read()


def test_a_client_that_has_refused_it_this_moment(proxy, site, monkeypatch):
    """As in the cell in which it failed: the proxy does not know of it yet."""
    url = f"{site.https_url}/"
    host, port = url.removeprefix("https://").strip("/").split(":")
    with socket.create_connection(("127.0.0.1", proxy.port), 60) as sock:
        sock.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        alert = refusal(sock, host)
        busy, submit = threading.Event(), proxy.runner.submit

        def wait_for_it(coro):
            busy.set()
            return submit(coro)

        proxy.runner.call(busy.wait, 60)
        monkeypatch.setattr(proxy.runner, "submit", wait_for_it)
        try:
            sock.sendall(alert)
            assert problem(why(proxy, url), "does not trust the CA")
        finally:
            busy.set()


def test_the_server_is_not_there(proxy):
    with pytest.raises(httpx.ProxyError):
        tunnel_to_nowhere(proxy)
    assert "no request to 127.0.0.1:1 came" in str(why(proxy, "https://127.0.0.1:1/"))


def tunnel_to_nowhere(proxy):
    @proxy.on("http_connect")
    def refuse(flow):
        flow.response = nbproxy.Response.make(403)

    httpx.get("https://127.0.0.1:1/", proxy=proxy.url, trust_env=False)


def test_ignore_hosts_lets_it_pass(make_proxy, site):
    proxy = make_proxy(ignore_hosts=[r"^127\.0"])
    requests.get(site.https_url, proxies=proxy.proxies, verify=site.ca_file, timeout=60)
    found = problem(why(proxy, site.https_url), "ignore_hosts has")
    assert re.search(r"1 tunnel passed unread: #\d+", found.text)
    assert "ignore_hosts" not in str(why(proxy, site.http_url))


def test_allow_hosts_does_not_let_us_look(make_proxy):
    proxy = make_proxy(allow_hosts=[r"\.corp\.test"])
    assert problem(why(proxy, "https://example.org/"), "allow_hosts does not match it")
    assert "✓ no option lets it pass unread" in str(why(proxy, "https://www.corp.test/"))


def test_something_else_than_http(proxy, make_origin, connect):
    def serve(wire):
        wire.send(wire.some())

    origin = make_origin(serve)
    wire = connect(proxy, tunnel=origin.port)
    wire.send(b"\0\1\2 neither TLS nor HTTP")
    assert wire.some()
    assert problem(why(proxy, origin.url), "neither TLS nor HTTP")


def test_credentials_are_missing(make_proxy, site):
    proxy = make_proxy(proxyauth="ada:secret")
    requests.get(f"{site.http_url}/x", proxies=proxy.proxies, timeout=60)
    found = problem(why(proxy, f"{site.http_url}/x"), "gave no valid credentials")
    assert "USER:PASSWORD" in found.advice
    assert "credentials" not in str(why(proxy, "http://example.org/"))


def test_old_flows_are_removed(make_proxy):
    proxy = make_proxy(max_flows=100)
    assert "old flows are removed: max_flows = 100" in str(why(proxy, "example.org"))


def test_web_sockets_are_asked_about_by_their_own_scheme(proxy):
    assert "example.org:443" in str(why(proxy, "wss://example.org/chat"))
    assert "example.org:80" in str(why(proxy, "ws://example.org/chat"))


@pytest.mark.parametrize("url", ["", "ftp://example.org/", "https://", "http://a b/", "\x00"])
def test_what_is_no_url(proxy, url):
    with pytest.raises(ValueError, match=r"."):
        nbproxy.why(url, proxy=proxy)


def test_it_looks_the_same_everywhere_and_shows_no_secret(proxy):
    found = why(proxy, "https://example.org/<b>?token=hunter2hunter2")
    assert "hunter2" not in str(found) + found._repr_html_() + repr(found)
    assert "<b>" not in found._repr_html_()
    for check in found.checks:
        assert check.sign in str(found)

    class Printer:
        def text(self, text):
            self.said = text

    printer = Printer()
    found._repr_pretty_(printer, cycle=False)
    assert printer.said == str(found)
    found._repr_pretty_(printer, cycle=True)
    assert printer.said == repr(found)
    assert [Check(ok, "").sign for ok in (True, False, None)] == ["✓", "✗", "·"]


def test_times_in_words():
    now = time.time()
    assert [_ago(now - s) for s in (0, 60, 300, 10_000, -5)] == [
        "0 s ago",
        "60 s ago",
        "5 min ago",
        "2 h ago",
        "0 s ago",
    ]


def test_what_is_no_text(proxy):
    with pytest.raises(TypeError, match="why takes a URL, as a str, not 5"):
        nbproxy.why(5, proxy=proxy)
