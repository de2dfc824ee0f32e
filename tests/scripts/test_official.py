"""The official examples of five releases, fetched from the package index, each by its effect.

The source archives of 0.11.3 to 0.15 hold them; later ones do not. What an example needs and is not
installed makes it "not runnable" in the table at the end of the run (`tests.support.examples`); all
others must do what their release's did.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tarfile
from types import SimpleNamespace

import pytest

from nbproxy import contentviews
from nbproxy.scripts import eras
from tests.support import examples
from tests.support.proxies import answering, response, wait_until

RELEASES = ("0.11.3", "0.12.1", "0.13", "0.14.0", "0.15")
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="session")
def archives(tmp_path_factory):
    """Folders with the examples, by release."""
    folder, tools = tmp_path_factory.mktemp("archives"), tmp_path_factory.mktemp("tools")
    pip = [sys.executable, "-m", "pip"]
    # pip asks each archive for its metadata: all with these tools, in place of an environment each
    subprocess.run([*pip, "install", "-q", "-t", tools, "setuptools"], check=True, timeout=900)
    command = [*pip, "download", "-q", "--no-deps", "--no-binary", "mitmproxy"]
    command.append("--no-build-isolation")
    runs = {
        release: subprocess.Popen(
            [*command, "-d", str(folder), f"mitmproxy=={release}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(tools)},
        )
        for release in RELEASES
    }
    found = {}
    for release, run in runs.items():
        said, _ = run.communicate(timeout=900)
        if run.returncode:
            pytest.fail(f"mitmproxy {release} cannot be fetched from the package index:\n{said}")
        with tarfile.open(next(folder.glob(f"mitmproxy-{release}*.tar.gz"))) as archive:
            wanted = [m for m in archive.getmembers() if "/examples/" in m.name and m.isfile()]
            archive.extractall(folder, wanted, filter="data")
            found[release] = folder / wanted[0].name.partition("/")[0] / "examples"
    return found


# -- what one observes; each gets (the world)


def add_header(w):
    w.load()
    assert w.fetch("/").headers["newheader"] == "foo"


def change_upstream_proxy(w):
    w.load("host")
    assert w.fetch("/").status == 200  # regular mode: nothing to change, or said so in the log


def dns_spoofing(w):
    w.load()
    w.fetch("/")
    assert w.script.calls == 1
    assert w.proxy.flows[0].request.host.startswith("127.0.0.1")


def dup_and_replay(w):
    w.load()
    assert w.fetch("/").status == 200
    wait_until(lambda: any(f.request.path == "/changed" and f.response for f in w.proxy.flows))
    assert len(w.proxy.flows) == 2


def filt(w):
    w.load("'~u users'")
    w.fetch("/api/users")
    w.fetch("/")
    said = [entry.text for entry in w.proxy.log]
    assert sum("Flow matches filter" in text for text in said) == 1


def flowwriter(w):
    target = w.folder / "out.mitm"
    w.load(f"'{target}'")
    choices = iter((True, False, True))  # it leaves to chance what is written
    w.script.program.addons[0].random = SimpleNamespace(choice=lambda _: next(choices))
    for path in ("/first", "/second", "/third"):
        w.fetch(path)
    wait_until(lambda: w.script.calls == 3)
    w.script.program.context.flow_writer.fo.close()
    written = target.read_bytes()
    assert [path in written for path in (b"/first", b"/second", b"/third")] == [True, False, True]


def iframe_injector(w):
    w.load("http://frame.test/")
    assert b'src="http://frame.test/"' in w.fetch("/").body


def ignore_websocket(w):
    w.load()
    assert w.fetch("/").status == 200


def modify_form(w):
    w.load()
    seen = json.loads(w.fetch("/api/echo", b"a=b", FORM).body)
    assert seen["body"] == "a=b&mitmproxy=rocks"


def modify_querystring(w):
    w.load()
    assert json.loads(w.fetch("/api/echo?a=b").body)["path"] == "/api/echo?a=b&mitmproxy=rocks"


def modify_response_body(w):
    w.load("Alan Alonzo")
    assert b"Alonzo" in w.fetch("/api/users").body


def nonblocking(w):
    w.load()
    slept = []
    w.script.program.addons[0].time = SimpleNamespace(sleep=slept.append)
    assert w.fetch("/").status == 200
    assert slept == [5]


def redirect_requests(w):
    w.load()
    answer = w.fetch("http://example.com/")
    assert (answer.status, answer.body) == (200, b"helloworld")


def stream(w):
    w.load()
    assert w.fetch("/chunked").body == b"one, two, three.\n"
    assert w.proxy.flows[0].response.stream is True


def stream_modify(w):
    w.load()
    origin = w.make_origin(answering(lambda _: response(b"a foo b")))
    assert w.fetch(f"{origin.url}/").body == b"a bar b"


def stub(w):
    w.load()
    w.fetch("/")
    wait_until(lambda: len(w.proxy.log) >= 6)
    said = [entry.text for entry in w.proxy.log]
    names = ["start", "clientconnect", "request", "serverconnect", "responseheaders", "response"]
    assert said[:6] == names


def tls_passthrough(w):
    w.load()
    port = int(w.site.https_url.rpartition(":")[2])
    assert w.connect(w.proxy, tls=port).get("/").status == 200
    wait_until(lambda: w.script.calls >= 2)


def har_extractor(w):
    w.load(f"'{w.folder / 'out.har'}'")
    w.fetch("/")


def proxapp(w):
    w.load()
    assert w.fetch("http://proxapp/").status == 200


def upsidedownternet(w):
    w.load()
    assert w.fetch("/image.png").headers["content-type"] == "image/png"


def custom_contentviews(w):
    w.load()
    page = contentviews.Body(b"<html><body><p>nice world</p></body></html>", "text/html")
    assert contentviews.names(page)[0] == "pig_latin_HTML"
    assert "<p>icenay orldway</p>" in contentviews.render(page).source


EXAMPLES = [
    *(add_header, change_upstream_proxy, custom_contentviews, dns_spoofing, dup_and_replay, filt),
    *(flowwriter, har_extractor, iframe_injector, ignore_websocket, modify_form),
    *(modify_querystring, modify_response_body, nonblocking, proxapp, redirect_requests, stream),
    *(stream_modify, stub, tls_passthrough, upsidedownternet),
]
NEEDS = {
    "custom_contentviews": ["lxml"],
    "har_extractor": ["harparser"],
    "iframe_injector": ["bs4"],
    "proxapp": ["flask"],
    "upsidedownternet": ["PIL"],
}
# What cannot be had, and why.
WHY = {"harparser": "which Python 3.10 and later cannot import"}
STAND_ALONE = {"flowbasic", "mitmproxywrapper.py", "read_dumpfile", "stickycookies"}
# in one release, or missing in early ones
SINCE = {
    "custom_contentviews": "0.15",
    "dns_spoofing": "0.12.1",
    "filt": "0.12.1",
    "flowwriter": "0.12.1",
    "stream_modify": "0.12.1",
    "tls_passthrough": "0.14.0",
}


def _cases():
    for release in RELEASES:
        for example in EXAMPLES:
            name = example.__name__
            early = RELEASES.index(release) < RELEASES.index(SINCE.get(name, RELEASES[0]))
            if not early and not (name == "ignore_websocket" and release >= "0.14"):
                yield pytest.param(release, example, id=f"{release}-{name}")


@pytest.mark.filterwarnings("ignore:.*No parser was explicitly specified")
@pytest.mark.filterwarnings("ignore:The 'strip_cdata' option")
@pytest.mark.parametrize(("release", "example"), list(_cases()))
def test_example(
    release, example, archives, record_property, proxy, fetch, site, connect, make_origin, tmp_path
):
    name = example.__name__
    path = archives[release] / f"{name}.py"
    missing = [each for each in NEEDS.get(name, ()) if importlib.util.find_spec(each) is None]
    if missing:
        needs = [f"{each}, {WHY.get(each, 'which is not installed')}" for each in missing]
        record_property(examples.PROPERTY, [release, path.name, f"needs {', '.join(needs)}"])
        with pytest.raises(Exception, match=f"No module named '({'|'.join(missing)})'"):
            proxy.load(path, era=release)
        return

    world = SimpleNamespace(
        proxy=proxy, site=site, connect=connect, make_origin=make_origin, folder=tmp_path
    )

    def load(arguments=""):
        world.script = proxy.load(f"'{path}' {arguments}", era=release)

    def get(url, *args):
        return fetch(url if "://" in url else site.http_url + url, *args)

    world.load, world.fetch = load, get
    record_property(examples.PROPERTY, [release, path.name, ""])
    example(world)
    if name not in {"change_upstream_proxy", "har_extractor"}:
        assert world.script.errors == 0, world.script.last_error


@pytest.mark.parametrize("release", RELEASES)
def test_every_example_is_known(release, archives, record_property):
    known = {f"{example.__name__}.py" for example in EXAMPLES} | STAND_ALONE | {"README"}
    found = {path.name for path in archives[release].iterdir() if path.is_file()}
    assert found <= known
    for name in found & STAND_ALONE:
        reason = "a program that runs a proxy of its own, no script"
        record_property(examples.PROPERTY, [release, name, reason])


@pytest.mark.parametrize("release", RELEASES)
def test_eras_are_recognised(release, archives, idle):
    """Two parameters at least; header lists are told from header text where it matters."""
    for name in ("add_header", "redirect_requests", "modify_response_body"):
        argv = " a b" if name == "modify_response_body" else ""
        script = idle.load(f"'{archives[release] / f'{name}.py'}'{argv}")
        assert script.era == eras.parse(release)
