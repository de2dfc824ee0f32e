"""Live traffic for the scripts of table rows: what is done with a proxy, and what came of it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

import pytest

from nbproxy import saved as files
from nbproxy.scripts import eras
from tests.support.proxies import Wire, answering, last_flow, response, wait_until


class World:
    """What a case drives: a proxy and those around it."""

    script: Any = None

    def __init__(self, proxy, site, connect, make_origin, folder=None):
        self.proxy, self.site, self.connect = proxy, site, connect
        self.make_origin, self.folder = make_origin, folder


@dataclass(frozen=True)
class Live:
    """A cell of a table that shows on live traffic.

    Attributes:
        release: The release in whose manner it is written.
        source: The script.
        says: The lines that it says, or what looks at the log; None if that is not the point.
        drive: What is done after it was loaded.
        then: Looks at the world and at the outcome of `drive`.
    """

    release: str
    source: str
    says: Any = None
    drive: Any = None
    then: Any = None

    @property
    def era(self):
        return eras.parse(self.release)


def live(releases, source, says=None, drive=None, then=None):
    """The same case for several releases."""
    return [Live(each, dedent(source), says, drive, then) for each in releases.split()]


def lines(test):
    """What looks at the texts of a log."""
    return lambda entries: test([entry.text for entry in entries])


def run_live(case, world, path):
    """Load a case's script, do what is to be done, and hold what it should have brought about."""
    path.write_text(case.source, "utf-8")
    proxy = world.proxy
    script = world.script = proxy.load(path, era=case.release)
    outcome = case.drive(world) if case.drive is not None else None

    def said():
        return [entry for entry in proxy.log if entry.script]

    def as_wanted():
        if callable(case.says):
            return case.says(said())
        return case.says is None or [entry.text for entry in said()] == case.says

    with contextlib.suppress(AssertionError):
        wait_until(lambda: as_wanted() or script.errors)
    if script.last_error:
        raise AssertionError(script.last_error)
    if not as_wanted():
        raise AssertionError(f"it said {[entry.text for entry in said()]}")
    if case.then is not None and not case.then(world, outcome):
        raise AssertionError(f"the outcome was {outcome!r}")


def plain(w):
    with w.connect(w.proxy) as wire:
        return wire.get(f"{w.site.http_url}/api/users")


def secure(w):
    port = int(w.site.https_url.rpartition(":")[2])
    with w.connect(w.proxy, tls=port) as wire:
        return wire.get("/api/users")


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def refused(w):
    with w.connect(w.proxy) as wire:
        return wire.get(f"http://127.0.0.1:{closed_port()}/")


def distrusting(w):
    """A client that does not trust our CA."""
    port = int(w.site.https_url.rpartition(":")[2])
    wire = Wire.tunnel(w.proxy, port)
    with contextlib.closing(wire), pytest.raises(ssl.SSLError):
        wire.start_tls(ssl.create_default_context(), "127.0.0.1")


def untrusted_origin(w):
    """An origin that speaks no TLS."""
    origin = w.make_origin(lambda wire: wire.send(b"220 this is mail\r\n"))
    wire = Wire.tunnel(w.proxy, origin.port)
    context = ssl.create_default_context(cafile=w.proxy.ca_file)
    with contextlib.closing(wire):
        wire.start_tls(context, "127.0.0.1")
        return wire.get("/")


def answered(w):
    """A request that the script answers itself."""
    with w.connect(w.proxy) as wire:
        return wire.get("http://nowhere.test/")


def refused_tunnel(w):
    with w.connect(w.proxy) as wire:
        wire.send(b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n")
        return wire.answer(b"CONNECT")


def ends(w):
    w.proxy.unload()


def secure_plain(w):
    """TLS that is passed through: the site's own certificate is seen."""
    port = int(w.site.https_url.rpartition(":")[2])
    wire = Wire.tunnel(w.proxy, port)
    with contextlib.closing(wire):
        wire.start_tls(ssl.create_default_context(cafile=w.site.ca_file), "127.0.0.1")
        return wire.get("/api/users")


def elsewhere(w):
    """A request to a name that the script sends to another port."""
    origin = w.make_origin(answering(lambda _: response(b"elsewhere")))
    w.script.program.addons[0].PORT = origin.port
    with w.connect(w.proxy) as wire:
        return wire.get("http://nowhere.test/")


def stopped(w):
    """The connection to the server ends when the proxy stops."""
    plain(w)
    w.proxy.stop()


def killed(w):
    with w.connect(w.proxy) as wire:
        wire.ask(f"{w.site.http_url}/api/users")
        assert wire.is_closed


def status(code):
    return lambda _, answer: answer.status == code


def get(w, path="/api/users", *lines):
    with w.connect(w.proxy) as wire:
        return wire.get(f"{w.site.http_url}{path}", *lines)


def cut(w):
    with w.connect(w.proxy) as wire:
        wire.ask(f"{w.site.http_url}/")
        assert wire.is_closed


def held(w):
    """The flow waits until somebody else lets it go."""
    with w.connect(w.proxy) as wire:
        wire.ask(f"{w.site.http_url}/")
        wait_until(lambda: w.proxy.flows and w.proxy.flows[-1].intercepted, "it is held")
        assert get(w, "/other", b"x-free: 1").status == 404  # others go on
        w.proxy.flows[0].resume()
        return wire.answer()


def two_at_once(w):
    """Both requests are in the handler at the same time."""
    w.script.program.addons[0].meet = threading.Barrier(2)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(get(w))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return answers


def stops(w):
    with contextlib.suppress(ConnectionError, AssertionError):  # it may be gone before it answers
        get(w)
    wait_until(lambda: not w.proxy.running, "the proxy stops")


def saved(w):
    """A file with two flows."""
    get(w)
    path = w.folder / "two.mitm"
    last_flow(w.proxy)  # all of it is there
    w.proxy.flows[0].response.headers["x"] = "y"
    files.save([*w.proxy.flows, *w.proxy.flows], path)
    w.script.program.addons[0].PATH = str(path)
    return get(w, "/other")


def replayed(w):
    answer = get(w)
    wait_until(lambda: any(f.request.path == "/again" and f.response for f in w.proxy.flows))
    return answer


def upload(w):
    """A request with a body, which the origin sends back."""
    origin = w.make_origin(answering(lambda message: response(message.body)))
    with w.connect(w.proxy) as wire:
        wire.send(
            b"POST %b/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"7\r\none two\r\n0\r\n\r\n" % origin.url.encode()
        )
        return wire.answer()


def count(number):
    return lambda w, _: len(w.proxy.flows) == number


def body(content):
    return lambda w, answer: answer.body == content


def source(release, code, hook="request", head=""):
    parameters = "context, flow" if eras.parse(release).has_context else "flow"
    body = "".join(f"    {line}\n" for line in dedent(code).strip().splitlines())
    return f"{dedent(head)}\ndef {hook}({parameters}):\n{body}"


def on(releases, code, says=None, drive=get, then=None, **more):
    return [
        Live(release, source(release, code, **more), says, drive, then)
        for release in releases.split()
    ]
