"""curl, as it is installed here."""

import hashlib
import json
import os
import re
import subprocess

import pytest

from tests.support.proxies import PATIENCE_S, answering, last_flow, only_flow, response

BLOCK = bytes(range(256)) * 4096


@pytest.fixture
def curl(proxy, tmp_path):
    """`curl(*arguments)`: what it printed; it must succeed unless a status is given."""

    def run(*arguments, stdin=b"", status=0, url=proxy.url, ca=proxy.ca_file):
        trust = ("--cacert", ca) if ca else ()
        done = subprocess.run(
            [
                "curl",
                "-q",
                "-sS",
                "-x",
                url,
                *trust,
                "--max-time",
                str(PATIENCE_S),
                *map(str, arguments),
            ],
            input=stdin,
            capture_output=True,
            timeout=2 * PATIENCE_S,
            check=False,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        )
        assert done.returncode == status, done.stderr.decode()
        return done.stdout

    return run


@pytest.fixture(params=["http", "https"])
def base(request, site):
    """The site by either scheme."""
    return getattr(site, f"{request.param}_url")


def test_a_page(curl, proxy, base):
    assert b"The Teapot Shop" in curl(f"{base}/")
    flow = only_flow(proxy)
    assert flow.request.url == f"{base}/"
    assert flow.request.headers["user-agent"].startswith("curl/")
    assert "The Teapot Shop" in flow.response.text
    assert flow.server_conn.verified is base.startswith("https")


def test_a_compressed_answer_is_passed_as_it_is_and_read_decoded(curl, proxy, base):
    assert json.loads(curl("--compressed", f"{base}/gzip"))
    raw = curl(f"{base}/gzip", "-H", "Accept-Encoding: gzip")
    flow = last_flow(proxy)
    if raw.startswith(b"\x1f\x8b"):
        assert flow.response.raw_content == raw
    assert flow.response.json() == json.loads(flow.response.content)


def test_chunks_and_trailers(curl, proxy, base):
    assert curl(f"{base}/chunked") == b"one, two, three.\n"
    assert only_flow(proxy).response.trailers["x-checksum"]


def test_events(curl, proxy, base):
    assert curl("-N", f"{base}/events?seconds=0.01").endswith(b"data: [DONE]\n\n")
    assert only_flow(proxy).response.content.endswith(b"data: [DONE]\n\n")


def test_a_body_from_a_pipe_is_chunked(curl, proxy, base):
    seen = json.loads(curl("-T", "-", "-X", "POST", f"{base}/api/echo", stdin=b"from a pipe"))
    assert seen["body"] == "from a pipe"
    assert ["Transfer-Encoding", "chunked"] in seen["headers"]
    assert only_flow(proxy).request.content == b"from a pipe"


@pytest.mark.parametrize("size", [2**21, 6 * 2**20])
def test_expect_continue(curl, proxy, base, size, tmp_path):
    """Once as a body that is read whole, once as one that is passed on."""
    body = b"x" * size
    (tmp_path / "body").write_bytes(body)
    seen = json.loads(
        curl("-H", "Expect: 100-continue", "--data-binary", "@body", f"{base}/api/echo")
    )
    assert seen["body"].encode() == body
    flow = only_flow(proxy)
    assert flow.request.body_size == size
    assert flow.request.content == body


@pytest.mark.parametrize("size_mb", [1, 20])
def test_an_upload(curl, proxy, make_origin, size_mb, tmp_path):
    body = BLOCK * size_mb
    (tmp_path / "body").write_bytes(body)
    origin = make_origin(
        answering(lambda message: response(hashlib.sha256(message.body).hexdigest().encode())),
        tls=True,
    )
    digest = hashlib.sha256(body).hexdigest()
    assert curl("-T", "body", f"{origin.url}/file").decode() == digest
    flow = only_flow(proxy)
    assert flow.request.method == "PUT"
    assert hashlib.sha256(flow.request.content).hexdigest() == digest


def test_a_download(curl, proxy, base, tmp_path):
    curl("-o", "out", f"{base}/big?mb=20")
    assert (tmp_path / "out").read_bytes() == BLOCK * 20
    assert only_flow(proxy).response.content == BLOCK * 20


def test_http10(curl, proxy, base):
    assert b"Teapot" in curl("--http1.0", f"{base}/")
    assert curl("--http1.0", f"{base}/chunked") == b"one, two, three.\n"
    assert last_flow(proxy).request.http_version == "HTTP/1.0"


def test_head(curl, proxy, base):
    head = curl("-I", f"{base}/image.png")
    length = int(re.search(rb"Content-Length: (\d+)", head)[1])
    assert length == len(curl(f"{base}/image.png"))
    assert proxy.flows[0].request.method == "HEAD"
    assert proxy.flows[0].response.content == b""


def test_several_urls_on_one_connection(curl, proxy, base):
    urls = [f"{base}/api/users/{n}" for n in (1, 2, 3)]
    counts = curl("-w", "%{stderr}%{num_connects}\n", *urls)
    assert [json.loads(line)["id"] for line in counts.splitlines()] == [1, 2, 3]
    assert len({f.client_conn.id for f in proxy.flows}) == 1
    assert len({f.server_conn.id for f in proxy.flows}) == 1


def test_many_at_once(curl, proxy, base):
    urls = [f"{base}/api/users/{n}" for n in range(1, 31)]
    lines = curl("--parallel", "--parallel-max", "10", *urls).splitlines()
    assert sorted(json.loads(line)["id"] for line in lines) == list(range(1, 31))
    assert len(proxy.flows) == 30


def test_a_range(curl, proxy, make_origin):
    def serve(message):
        assert message[b"range"] == b"bytes=2-5"
        return response(b"cdef", b"Content-Range: bytes 2-5/26", status=206)

    origin = make_origin(answering(serve))
    assert curl("-r", "2-5", f"{origin.url}/alphabet") == b"cdef"
    assert only_flow(proxy).response.status_code == 206


def test_redirects_and_cookies(curl, proxy, base):
    assert b"Teapot" in curl("-L", f"{base}/redirect")
    login = ("-d", '{"user": "ada", "password": "x"}', "-c", "jar", f"{base}/api/login")
    token = json.loads(curl(*login))["token"]
    seen = dict(json.loads(curl("-b", "jar", f"{base}/api/echo"))["headers"])
    assert seen["Cookie"] == f"session={token}"
    assert last_flow(proxy).request.cookies["session"] == token


def test_a_name_of_the_real_world(curl, proxy, site):
    """Its leaf, its SNI and its verification; only the address is another one."""
    port = int(site.https_url.rpartition(":")[2])

    @proxy.on("serverconnect")
    def here(server):
        assert server.address == ("www.shop.test", 443)
        server.address = ("127.0.0.1", port)

    assert b"Teapot" in curl("https://www.shop.test/")
    flow = only_flow(proxy)
    assert flow.request.url == "https://www.shop.test/"
    assert flow.server_conn.sni == "www.shop.test"
    assert flow.server_conn.verified


def test_old_tls(curl, site, proxy):
    assert b"Teapot" in curl("--tlsv1.2", "--tls-max", "1.2", f"{site.https_url}/")
    assert only_flow(proxy).client_conn.tls_version == "TLSv1.2"


def test_handlers_change_what_curl_sees(curl, proxy, base):
    @proxy.on("response", "~t html")
    def change(flow):
        flow.response.text = flow.response.text.replace("Teapot", "Samovar")

    assert b"The Samovar Shop" in curl(f"{base}/")


def test_without_our_ca_curl_refuses(curl, proxy, site):
    curl(f"{site.https_url}/", status=60, ca=None)
    assert "does not trust the CA of nbproxy" in only_flow(proxy).error.msg


def test_an_answer_cut_short_is_an_error_for_curl_too(curl, proxy, base):
    assert curl(f"{base}/drop", status=18) == b"." * 500
    assert "middle of a body" in only_flow(proxy).error.msg


def test_a_server_that_is_down(curl, proxy, make_origin):
    origin = make_origin(answering(lambda message: response()))
    origin.close()
    assert curl("-o", "page", "-w", "%{http_code}", f"{origin.url}/") == b"502"
    assert "refused" in only_flow(proxy).error.msg


def test_credentials(curl, proxy, base):
    proxy.options.proxyauth = "ada:a b:c"
    assert b"Teapot" in curl("--proxy-user", "ada:a b:c", f"{base}/")
    assert b"Teapot" in curl("--proxy-user", "ada:a b:c", "--proxy-anyauth", f"{base}/")
    if base.startswith("https"):  # curl reports the refused CONNECT by its exit status
        curl("--proxy-user", "ada:x", f"{base}/", status=56)
    else:
        got = curl("--proxy-user", "ada:x", "-o", "page", "-w", "%{http_code}", f"{base}/")
        assert got == b"407"


def test_the_ca_can_be_fetched_from_the_proxy(curl, proxy):
    assert b"-----BEGIN CERTIFICATE-----" in curl("http://mitm.it/cert/pem") + curl(
        "http://mitm.it/"
    )
