"""The pages about the CA: what they say, what they hand out, and that they change nothing."""

from __future__ import annotations

import ast
import plistlib
import re
import shutil
import ssl
import subprocess
from html.parser import HTMLParser
from types import SimpleNamespace

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from nbproxy import HTTPFlow, Proxy, Request
from nbproxy.addons.onboarding import Onboarding
from nbproxy.addons.trust_guide import FORMATS, PLATFORMS, PROGRAMS
from nbproxy.certs.ca import EXPORT_KINDS, CertificateAuthority

KINDS = [kind for kind, _ in FORMATS]
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15"


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return CertificateAuthority.load_or_create(tmp_path_factory.mktemp("confdir"))


@pytest.fixture
def pages(ca):
    return Onboarding(ca, SimpleNamespace(url="http://192.0.2.7:8081"))


@pytest.fixture(scope="module")
def proxy(ca):
    with Proxy(port=0, confdir=str(ca.key_file.parent)) as proxy:
        yield proxy


@pytest.fixture
def client(proxy):
    trust = ssl.create_default_context(cafile=proxy.ca_file)
    with httpx.Client(proxy=proxy.url, verify=trust, timeout=60) as client:
        yield client


def ask(pages, path, method="GET", headers=(), sockname=None):
    flow = HTTPFlow(Request.make(method, f"http://mitm.it{path}", headers=headers))
    flow.client_conn.sockname = sockname
    return pages.respond(flow)


class Reader(HTMLParser):
    """What matters of a page: its text, links, elements, and which details are open."""

    VOID = frozenset(("meta", "br", "link", "img", "input", "hr"))

    def __init__(self, source):
        super().__init__()
        self.text, self.links, self.elements, self.stack = "", [], set(), []
        self.attributes, self.open = set(), []
        self.feed(source)
        self.close()
        assert self.stack == [], "elements are left open"

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.links += [value for name, value in attrs if name in {"href", "src", "action"}]
        if tag not in self.VOID:
            self.stack.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack.pop()[0] == tag

    def handle_data(self, data):
        if self.stack and self.stack[-1][0] == "style":
            return
        self.text += data
        if self.stack[-1:] == [("summary", {})] and "open" in self.stack[-2][1]:
            self.open.append(data)


def squeezed(text):
    return " ".join(text.split())


# what the page says


def test_says_all_there_is_to_know_of_the_certificate(pages, ca):
    text = squeezed(Reader(ask(pages, "/").text).text)
    certificate = x509.load_pem_x509_certificate(ca.certificate_pem)
    assert ca.fingerprint_sha256 in text
    assert certificate.fingerprint(certificate.signature_hash_algorithm).hex(":").upper() in text
    assert f"{certificate.not_valid_before_utc:%Y-%m-%d} to {ca.not_after:%Y-%m-%d}" in text
    assert "Name nbproxy" in re.sub(r"(?<=[a-z])nbproxy", " nbproxy", text)


def test_names_every_platform_and_program_with_a_way_back(pages):
    page = Reader(ask(pages, "/").text)
    for each in (*PLATFORMS, *PROGRAMS):
        assert each.name in page.text
    assert page.text.count("To remove it again") == len(PLATFORMS)


def test_all_placeholders_are_filled_in(pages):
    page = ask(pages, "/").text
    assert not re.search(r"@\w+@", page)
    assert "http://192.0.2.7:8081/proxy.pac" in page


def test_what_is_to_be_copied_is_python_or_shell(pages):
    bash = shutil.which("bash")
    assert bash
    blocks = re.findall(r"<pre>(.*?)</pre>", ask(pages, "/").text, re.DOTALL)
    scripts = [Reader(f"<pre>{block}</pre>").text for block in blocks]
    python = [script for script in scripts if ".get(" in script]
    assert len(python) == 3
    for script in python:
        compile(script, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for script in set(scripts) - set(python):
        subprocess.run([bash, "-n"], input=script, text=True, check=True)


def test_needs_neither_script_nor_anything_from_elsewhere(pages):
    response = ask(pages, "/")
    page = Reader(response.text)
    assert not page.elements & {"script", "iframe", "form", "img", "object", "link", "base"}
    assert not [name for name in page.attributes if name.startswith("on") or name == "style"]
    assert all(link.startswith("/") for link in page.links)
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "prefers-color-scheme:dark" in response.text


def test_every_link_leads_somewhere(pages):
    links = set(Reader(ask(pages, "/").text).links)
    assert {f"/cert/{kind}" for kind in EXPORT_KINDS} <= links
    for link in links:
        assert ask(pages, link).status_code == 200


@pytest.mark.parametrize(
    ("agent", "opened"),
    [
        (IPHONE, ["iPhone and iPad"]),
        ("Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/130.0 Mobile", ["Android"]),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Firefox/130.0", ["Firefox"]),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/130.0", ["Windows"]),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Safari/605.1.15", ["macOS"]),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0", ["Chromium and Chrome on Linux"]),
        ("curl/8.5.0", []),
        ("<script>alert(1)</script>", []),
    ],
)
def test_opens_what_fits_the_browser(pages, agent, opened):
    response = ask(pages, "/", headers={"user-agent": agent})
    assert Reader(response.text).open == opened
    assert agent not in response.text


# which address it names


@pytest.mark.parametrize(
    ("sockname", "named"),
    [
        (("192.168.1.5", 8080), "192.168.1.5:8080"),
        (("::ffff:192.168.1.5", 8080), "192.168.1.5:8080"),
        (("::1", 8080), "[::1]:8080"),
        (None, "192.0.2.7:8081"),
    ],
)
def test_names_the_address_at_which_this_client_reaches_it(pages, sockname, named):
    assert f"http://{named}/proxy.pac" in ask(pages, "/", sockname=sockname).text
    assert f'return "PROXY {named}";' in ask(pages, "/proxy.pac", sockname=sockname).text


def test_the_pac_file_is_a_script_that_a_client_can_run(pages):
    node = shutil.which("node")
    assert node
    response = ask(pages, "/proxy.pac")
    assert response.headers["content-type"].startswith("application/x-ns-proxy-autoconfig")
    script = f"{response.text}\nconsole.log(FindProxyForURL('https://a.test/', 'a.test'))"
    done = subprocess.run([node, "-e", script], capture_output=True, text=True, check=True)
    assert done.stdout == "PROXY 192.0.2.7:8081\n"


# the certificate


def test_hands_out_each_format(pages, ca):
    read = {
        "pem": x509.load_pem_x509_certificate,
        "cer": x509.load_der_x509_certificate,
        "crt": x509.load_der_x509_certificate,
        "p12": lambda data: pkcs12.load_pkcs12(data, None).additional_certs[0].certificate,
        "mobileconfig": lambda data: x509.load_der_x509_certificate(
            plistlib.loads(data)["PayloadContent"][0]["PayloadContent"]
        ),
    }
    assert set(read) == set(EXPORT_KINDS) == set(KINDS)
    for kind, reader in read.items():
        response = ask(pages, f"/cert/{kind}")
        assert reader(response.content) == ca.anchor
        assert response.headers["content-type"] == ca.export(kind)[1]
        named = response.headers["content-disposition"]
        assert named == f'attachment; filename="nbproxy-ca-cert.{kind}"'


def test_never_hands_out_the_key(pages, ca):
    key = re.search(rb"KEY-----\s+(\S+)", ca.key_file.read_bytes())[1]
    for path in ["/", "/proxy.pac", *(f"/cert/{kind}" for kind in KINDS)]:
        content = ask(pages, path).content
        assert b"PRIVATE KEY" not in content
        assert key not in content
    assert pkcs12.load_pkcs12(ask(pages, "/cert/p12").content, None).key is None
    for kind in ("key", "nbproxy-ca.pem", "pem/../../nbproxy-ca.pem", "%2e%2e/nbproxy-ca.pem"):
        assert ask(pages, f"/cert/{kind}").status_code == 404


def test_names_no_folder_of_the_machine(pages, ca):
    assert str(ca.key_file.parent) not in ask(pages, "/").text


# methods and paths


@pytest.mark.parametrize("path", ["/", "/proxy.pac", "/cert/pem", "/?from=a&phone"])
def test_head_says_what_get_would(pages, path):
    get, head = ask(pages, path), ask(pages, path, "HEAD")
    assert head.headers.fields == get.headers.fields
    assert head.headers["content-length"] == str(len(get.content))
    assert head.content == b""


@pytest.mark.parametrize("path", ["/favicon.ico", "/cert/", "/cert/der", "//", "*", "/cert/pem/"])
def test_says_what_is_not_there(pages, path):
    flow = HTTPFlow(Request.make("GET", "http://mitm.it/"))
    flow.request.path = path
    assert pages.respond(flow).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/cert/pem", "/proxy.pac"])
def test_is_only_read(pages, method, path):
    response = ask(pages, path, method)
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"


def test_asking_changes_nothing(pages, ca):
    folder = ca.key_file.parent
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    for path in ["/", "/proxy.pac", *(f"/cert/{kind}" for kind in KINDS)]:
        for method in ("GET", "HEAD", "POST"):
            ask(pages, path, method)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_every_answer_is_fresh_and_taken_for_what_it_is(pages):
    for path in ["/", "/proxy.pac", "/nothing", *(f"/cert/{kind}" for kind in KINDS)]:
        headers = ask(pages, path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_a_mitmproxy_ca_is_offered_under_its_own_name(tmp_path, ca):
    folder = tmp_path / "mitmproxy"
    folder.mkdir(mode=0o700)
    shutil.copy(ca.key_file, folder / "mitmproxy-ca.pem")
    other = CertificateAuthority.load_or_create(folder)
    response = ask(Onboarding(other, SimpleNamespace(url="http://127.0.0.1:8080")), "/cert/pem")
    assert response.headers["content-disposition"].endswith('"mitmproxy-ca-cert.pem"')
    assert response.content == ca.certificate_pem


# through a real proxy


def test_answers_clients_of_the_proxy_by_name(client, proxy):
    page = client.get("http://mitm.it/")
    assert page.status_code == 200
    assert "This browser goes through the proxy" in page.text
    assert f"{proxy.url}/proxy.pac" in page.text
    assert client.get("http://mitm.it/cert/pem").content == proxy.ca.certificate_pem


def test_answers_over_https_to_those_who_trust_it_already(client, proxy):
    assert client.get("https://mitm.it/cert/cer").content == proxy.ca.certificate_der


def test_answers_at_its_own_address(proxy):
    page = httpx.get(proxy.url, timeout=60)
    assert page.status_code == 200
    assert "This is an intercepting proxy" in page.text
    assert httpx.get(f"{proxy.url}/favicon.ico", timeout=60).status_code == 404


def test_head_and_wrong_methods_leave_the_connection_in_order(client, proxy):
    head = client.head("http://mitm.it/cert/pem")
    assert head.headers["content-length"] == str(len(proxy.ca.certificate_pem))
    assert head.content == b""
    assert client.post("http://mitm.it/cert/pem", content=b"x" * 1000).status_code == 405
    assert client.get("http://mitm.it/cert/pem").status_code == 200


def test_what_curl_downloads_is_what_curl_can_trust(proxy, tmp_path):
    curl = [shutil.which("curl"), "-sS", "--fail", "-x", proxy.url]
    fetched = tmp_path / "ca.pem"
    subprocess.run([*curl, "-o", fetched, "http://mitm.it/cert/pem"], check=True)
    done = subprocess.run(
        [*curl, "--cacert", fetched, "https://mitm.it/cert/pem"], check=True, capture_output=True
    )
    assert done.stdout == fetched.read_bytes()


def test_another_name_and_none_at_all(ca):
    folder = str(ca.key_file.parent)
    with Proxy(port=0, confdir=folder, onboarding_host="proxy.test") as proxy:
        answer = httpx.get("http://proxy.test/cert/pem", proxy=proxy.url, timeout=60)
        assert answer.status_code == 200
    with Proxy(port=0, confdir=folder, onboarding=False) as proxy:
        assert httpx.get(proxy.url, timeout=60).status_code == 400
