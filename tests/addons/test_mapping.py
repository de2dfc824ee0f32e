"""Other servers and files in the place of what was asked for."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy import Response
from nbproxy.addons.mapping import MapLocal, MapRemote, find_file, media_type, prefix
from nbproxy.errors import FilterError
from tests.support.clients import through
from tests.support.proxies import answering, response


@pytest.fixture
def origin(make_origin):
    return make_origin(answering(lambda m: response(m.target + b" " + m[b"host"])))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "static"
    (root / "sub").mkdir(parents=True)
    (root / "main.js").write_text("ours()")
    (root / "index.html").write_text("<p>top")
    (root / "sub" / "index.html").write_text("<p>sub")
    (root / "sub" / "a b_ä.txt").write_text("blank")
    (root / "odd_name.txt").write_text("odd")
    (tmp_path / "secret.txt").write_text("secret")
    return root


# -- the beginning of URLs


@pytest.mark.parametrize(
    ("text", "url", "expected"),
    [
        ("https://a.test", "https://a.test/x", True),
        ("https://a.test", "https://a.test", True),
        ("https://a.test", "https://a.test?x", True),
        ("https://a.test", "https://a.test.evil/x", False),
        ("https://a.test", "https://a.test:8443/x", False),
        ("https://a.test", "http://a.test/x", False),
        ("https://a.test/v1", "https://a.test/v1/x", True),
        ("https://a.test/v1", "https://a.test/v10", False),
        ("https://a.test/v1/", "https://a.test/v1/x", True),
        ("https://a.test/v1/", "https://a.test/v1", False),
        ("a.test/v1", "https://a.test/v1", True),
        ("a.test/v1", "http://a.test/v1/x", True),
        ("a.test/v1", "http://b.test/?a.test/v1", False),
        ("http://a.test/(x", "http://a.test/(x", True),
    ],
)
def test_prefixes(text, url, expected):
    assert bool(prefix(text).search(url)) is expected


# -- other servers


@pytest.mark.parametrize(
    ("url", "to", "asked", "got"),
    [
        ("http://api.test", "{there}", "http://api.test/v1/x?y=1", "/v1/x?y=1"),
        ("http://api.test", "{there}/", "http://api.test/v1", "/v1"),
        ("http://api.test/", "{there}", "http://api.test/v1", "/v1"),
        ("http://api.test/v1/", "{there}/new", "http://api.test/v1/x", "/new/x"),
        ("http://api.test/v1", "{there}/new/", "http://api.test/v1/x", "/new/x"),
        ("api.test", "{there}", "http://api.test/", "/"),
        (re.compile(r"//(\w+)\.test/"), r"//{place}/\1/", "http://api.test/x", "/api/x"),
        (r"|//api\.test/|//{place}/", None, "http://api.test/x", "/x"),
        (r"|~m GET|//api\.test/(\w)|//{place}/\1\1", None, "http://api.test/x", "/xx"),
        (r"|.*\.jpg$|{there}/640?random", None, "http://api.test/a.jpg", "/640?random"),
    ],
)
def test_requests_go_elsewhere(proxy, origin, url, to, asked, got):
    place = f"127.0.0.1:{origin.port}"
    there = f"http://{place}"
    if to is None:
        url = url.replace("{place}", place).replace("{there}", there)
    else:
        to = to.replace("{place}", place).replace("{there}", there)
    rule = proxy.map_remote(url, to)
    with through(proxy) as client:
        assert client.get(asked).text == f"{got} {place}"
    assert rule.hits == 1
    assert proxy.flows[-1].request.url == f"{there}{got}"


def test_from_https_to_http(proxy, origin):
    """Where nothing listens; a name would have to be looked up, in vain and perhaps for long."""
    proxy.map_remote("https://127.0.0.1:1", origin.url)
    with through(proxy) as client:
        assert client.get("https://127.0.0.1:1/x").text.startswith("/x ")


def test_only_what_matches_goes_elsewhere(proxy, origin):
    rule = proxy.map_remote(f"{origin.url}/old", f"{origin.url}/new", filter="~m GET")
    with through(proxy) as client:
        assert client.get(f"{origin.url}/old/x").text.startswith("/new/x ")
        assert client.post(f"{origin.url}/old/x").text.startswith("/old/x ")
        assert client.get(f"{origin.url}/older").text.startswith("/older ")
        rule.off()
        assert client.get(f"{origin.url}/old/x").text.startswith("/old/x ")
    assert rule.hits == 1


def test_what_is_answered_already_stays(proxy, origin):
    proxy.on("request")(lambda flow: setattr(flow, "response", Response.make(200, "mine")))
    rule = proxy.map_remote("http://a.test", origin.url)
    with through(proxy) as client:
        assert client.get("http://a.test/").text == "mine"
    assert rule.hits == 0


def test_patterns_apply_one_after_the_other(proxy, origin):
    rule = MapRemote.of_specs(
        [r"|//a\.test/|//b.test/", rf"|~m GET|//b\.test/|//127.0.0.1:{origin.port}/"]
    )
    rule.attach(proxy.handlers)
    with through(proxy) as client:
        assert client.get("http://a.test/x").status_code == 200
    assert rule.hits == 2


@pytest.mark.parametrize(
    ("url", "to", "wanted"),
    [
        ("http://a.test", "b.test", "neither a path nor|scheme"),
        (re.compile("a"), r"\2", "cannot replace"),
        (r"|a|\2", None, "cannot replace"),
        ("|(|x", None, "regular expression"),
        ("|x", None, "no pattern"),
        (re.compile("a"), None, "takes a pattern alone"),
    ],
)
def test_mistakes_in_map_remote(proxy, url, to, wanted):
    with pytest.raises(ValueError, match=wanted):
        proxy.map_remote(url, to)
    assert len(proxy.handlers) == 0


def test_a_pattern_has_its_filter_inside(proxy):
    with pytest.raises(ValueError, match="a pattern alone"):
        proxy.map_remote("|a|b", filter="~q")
    with pytest.raises(FilterError):
        proxy.map_remote("http://a.test", "http://b.test", filter="~c x")


def test_secrets_in_urls_are_not_shown(proxy):
    rule = proxy.map_remote("http://a.test", "http://b.test/?api_key=abcdef0123456789")
    assert "abcdef" not in repr(rule)
    assert "http://b.test/" in repr(rule)


# -- files


def test_files_of_a_folder(proxy, folder):
    rule = proxy.map_local("https://127.0.0.1:1/static", folder)
    with through(proxy) as client:
        found = client.get("https://127.0.0.1:1/static/main.js?v=3")
        assert (found.status_code, found.text) == (200, "ours()")
        assert found.headers["content-type"] == "text/javascript; charset=utf-8"
        assert client.get("https://127.0.0.1:1/static").text == "<p>top"
        assert client.get("https://127.0.0.1:1/static/sub/").text == "<p>sub"
        assert client.get("https://127.0.0.1:1/static/sub/a%20b_%C3%A4.txt").text == "blank"
        assert client.get("https://127.0.0.1:1/static/odd%21name.txt").text == "odd"
        assert client.get("https://127.0.0.1:1/static/nothing").status_code == 404
        assert client.head("https://127.0.0.1:1/static/main.js").headers["content-length"] == "6"
        (folder / "main.js").write_text("new()")
        assert client.get("https://127.0.0.1:1/static/main.js").text == "new()"
    assert (rule.hits, rule.missing) == (7, 1)
    assert "7 hits, 1 not found" in repr(rule)
    assert not any(flow.server_conn.connected for flow in proxy.flows)


def test_one_file(proxy, folder):
    proxy.map_local(f"|~m GET|127.0.0.1:1/main.js|{folder / 'main.js'}")
    with through(proxy) as client:
        assert client.get("http://127.0.0.1:1/main.js?x").text == "ours()"
        assert client.post("http://127.0.0.1:1/main.js").status_code == 502  # no server is there
        (folder / "main.js").unlink()
        assert client.get("http://127.0.0.1:1/main.js").status_code == 404


def test_a_group_names_the_file(proxy, folder):
    pattern = r"|cdn.test/index.php\?page=(.+)"
    proxy.map_local(f"{pattern}|{folder}")
    with through(proxy) as client:
        assert client.get("http://cdn.test/index.php?page=main.js").text == "ours()"
        assert client.get("http://cdn.test/index.php?page=sub").text == "<p>sub"
        assert client.get("http://cdn.test/index.php?page=../secret.txt").status_code == 404
    proxy.off("map_local")


def test_the_first_pattern_that_leads_to_a_file_counts(proxy, folder):
    rule = MapLocal.of_specs([f"|a.test/|{folder / 'sub'}", f"|~m GET|a.test/|{folder}"])
    rule.attach(proxy.handlers)
    with through(proxy) as client:
        assert client.get("http://a.test/").text == "<p>sub"
        assert client.get("http://a.test/main.js").text == "ours()"
        assert client.put("http://a.test/main.js").status_code == 404


def test_a_large_file(proxy, tmp_path):
    content = os.urandom(3 * 2**20)
    (tmp_path / "big.bin").write_bytes(content)
    proxy.map_local("http://a.test", tmp_path)
    with through(proxy) as client:
        found = client.get("http://a.test/big.bin")
    assert found.content == content
    assert found.headers["content-type"] == "application/octet-stream"


ESCAPES = [
    "../secret.txt",
    "..%2fsecret.txt",
    "%2e%2e/secret.txt",
    "%2e%2e%2fsecret.txt",
    "..%5csecret.txt",
    "sub/../../secret.txt",
    "sub/%2e%2e/%2e%2e/secret.txt",
    "./../secret.txt",
    "/../secret.txt",
    "//../secret.txt",
    "....//secret.txt",
    "%252e%252e%252fsecret.txt",
    "..%00/secret.txt",
    "..;/secret.txt",
    "link.txt",
    "out/secret.txt",
    "chain/secret.txt",
    "%c0%ae%c0%ae/secret.txt",
    "%uff0e%uff0e/secret.txt",
    "main.js/../../secret.txt",
    "sub%2f..%2f..%2fsecret.txt",
    "main.js%00.txt",
    "a" * 5000,
    "loop",
]


@pytest.fixture
def links(folder):
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "out").symlink_to(folder.parent)
    (folder / "chain").symlink_to(folder / "out")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "inside.js").symlink_to(folder / "main.js")
    return folder


@pytest.mark.parametrize("path", ESCAPES)
def test_nothing_outside_of_the_folder_is_read(links, path):
    assert find_file(links, path) is None
    assert find_file(links, f"/{path}") is None


@pytest.mark.parametrize("path", ESCAPES[:12])
def test_nor_is_it_served(proxy, links, connect, path):
    proxy.map_local("http://a.test/static/", links)
    # a client that sends what it is told, whatever that is
    answer = connect(proxy).get(f"http://a.test/static/{path}")
    assert answer.status == 404
    assert b"secret" not in answer.body


def test_links_that_stay_inside_are_followed(links):
    assert find_file(links, "inside.js") == (links / "main.js").resolve()


def test_the_folder_itself_may_be_a_link(folder, tmp_path):
    (tmp_path / "alias").symlink_to(folder)
    assert find_file(tmp_path / "alias", "main.js") == (folder / "main.js").resolve()


def test_a_folder_with_a_similar_name_is_outside(folder):
    other = folder.parent / "static-2"
    other.mkdir()
    (other / "x").write_text("")
    (folder / "y").symlink_to(other / "x")
    assert find_file(folder, "y") is None


@given(st.lists(st.sampled_from(["..", ".", "sub", "%2e%2e", "%2f", "\\", "%5c", "", "a", "~"])))
def test_no_path_leads_out(tmp_path_factory, pieces):
    root = tmp_path_factory.getbasetemp() / "root"
    (root / "sub").mkdir(parents=True, exist_ok=True)
    (root.parent / "a").write_text("outside")
    for rest in ("/".join(pieces), "".join(pieces)):
        found = find_file(root, rest)
        assert found is None or found.is_relative_to(root.resolve())


def test_pipes_and_what_cannot_be_read_are_not_found(proxy, folder):
    os.mkfifo(folder / "pipe")
    unreadable = folder / "closed"
    unreadable.write_text("x")
    unreadable.chmod(0)
    proxy.map_local("http://a.test", folder)
    with through(proxy) as client:
        assert client.get("http://a.test/pipe").status_code == 404
        if os.geteuid():  # root reads all
            assert client.get("http://a.test/closed").status_code == 404


def test_what_is_answered_already_is_not_mapped(proxy, folder):
    proxy.on("request")(lambda flow: setattr(flow, "response", Response.make(200, "mine")))
    rule = proxy.map_local("http://a.test", folder)
    with through(proxy) as client:
        assert client.get("http://a.test/main.js").text == "mine"
    assert rule.hits == rule.missing == 0


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.html", b"<p>", "text/html; charset=utf-8"),
        ("a.css", "ä".encode("latin-1"), "text/css"),
        ("a.JSON", b"{}", "application/json; charset=utf-8"),
        ("a.svg", b"<svg/>", "image/svg+xml; charset=utf-8"),
        ("a.mjs", b"", "text/javascript; charset=utf-8"),
        ("a.woff2", b"\xff", "font/woff2"),
        ("a.png", b"\x89", "image/png"),
        ("a.tar.gz", b"\x1f", "application/gzip"),
        ("a.txt.bz2", b"B", "application/octet-stream"),
        ("a", b"text", "application/octet-stream"),
    ],
)
def test_media_types(tmp_path, name, content, expected):
    assert media_type(tmp_path / name, content) == expected


def test_mistakes_in_map_local(proxy, folder, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        proxy.map_local("http://a.test", tmp_path / "missing")
    with pytest.raises(ValueError, match="no pattern of map_local"):
        proxy.map_local("http://a.test")
    with pytest.raises(ValueError, match="a pattern alone"):
        proxy.map_local(re.compile("x"))
    monkeypatch.chdir(folder.parent)
    rule = proxy.map_local("http://a.test", "static")
    monkeypatch.chdir("/")  # it was meant where it was said
    with through(proxy) as client:
        assert client.get("http://a.test/main.js").text == "ours()"
    assert "http://a.test → static" in repr(rule)


def test_urls_are_those_the_client_names(proxy, folder):
    """The Host field says what site is meant, wherever the tunnel leads."""
    proxy.map_local("https://named.test", folder)
    with through(proxy) as client:
        found = client.get("https://127.0.0.1:1/main.js", headers={"host": "named.test"})
    assert found.text == "ours()"


def test_what_is_of_a_wrong_type(proxy, folder):
    with pytest.raises(
        TypeError, match="map_local takes a URL, as a str, or what re compiles, not 5"
    ):
        proxy.map_local(5, folder)
    with pytest.raises(TypeError, match="map_local takes a path of a file or a folder, not 5"):
        proxy.map_local("http://a.test", 5)
    with pytest.raises(
        TypeError, match="map_remote takes a URL, as a str, or what re compiles, not"
    ):
        proxy.map_remote(5, "http://a.test")
    with pytest.raises(TypeError, match="map_remote takes the new URL, as a str, not 5"):
        proxy.map_remote("http://a.test", 5)
    assert len(proxy.handlers) == 0
