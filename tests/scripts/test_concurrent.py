"""`@concurrent` in scripts, on live traffic: what waits, what goes on, and clean ends."""

import threading

import pytest

from tests.support.proxies import answering, response, wait_until

NAMES = {
    "0.10": "from libmproxy.script import concurrent",
    "0.13": "from libmproxy.script import concurrent",
    "0.16": "from libmproxy.script import concurrent",
    "0.17": "from mitmproxy.script import concurrent",
    "0.18": "from mitmproxy.script import concurrent",
    "2.0": "from mitmproxy.script import concurrent",
    "6.0": "from mitmproxy.script import concurrent",
    "8.1": "from mitmproxy.script import concurrent",
    "12": "from mitmproxy.script import concurrent",
}
CLASSIC = ["request", "response", "error", "clientconnect", "serverconnect", "clientdisconnect"]
# Hooks that a release allowed, of those that a plain request brings about.
ALLOWED = {
    **dict.fromkeys(("0.10", "0.13", "0.16", "0.17"), CLASSIC),
    "0.18": [*CLASSIC, "requestheaders", "responseheaders"],
    "2.0": [*CLASSIC, "requestheaders", "responseheaders", "http_connect"],
    "6.0": [*CLASSIC, "requestheaders", "responseheaders", "http_connect"],
    "8.1": ["request", "response", "requestheaders", "client_connected", "server_connect"],
    "12": ["request", "response", "responseheaders", "client_disconnected", "server_connected"],
}
CONTEXT = {"0.10", "0.13", "0.16", "0.17"}


class Gate:
    """What a handler waits at, and who is there."""

    def __init__(self):
        self.open = threading.Event()
        self.lock = threading.Lock()
        self.inside = self.most = self.passed = 0

    def wait(self):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.open.wait(120)
        with self.lock:
            self.inside -= 1
            self.passed += 1


WAITING = """
from mitmproxy.script import concurrent
@concurrent
def request(flow):
    if flow.request.path == "/held":
        GATE.wait()
        flow.comment = "slow"
"""


@pytest.fixture
def waiting(write):
    """Loads a script whose handler waits at a gate; gives script and gate."""
    gates = []

    def load(proxy, source=WAITING, **options):
        script = proxy.load(write("slow.py", source), **options)
        gate = script.program.addons[0].GATE = Gate()
        gates.append(gate)
        return script, gate

    yield load
    for gate in gates:
        gate.open.set()


def handler_threads():
    return [t for t in threading.enumerate() if t.name.startswith("nbproxy-handler")]


@pytest.mark.parametrize(
    ("release", "hook"), [(release, hook) for release in ALLOWED for hook in ALLOWED[release]]
)
def test_on_every_hook_that_a_release_allowed(proxy, connect, site, write, release, hook):
    parameters = "context, x" if release in CONTEXT else "x"
    path = write("a.py", f"{NAMES[release]}\n@concurrent\ndef {hook}({parameters}): SEEN(x)\n")
    script = proxy.load(path, era=release)
    names = []
    script.program.addons[0].SEEN = lambda _: names.append(threading.current_thread().name)
    with connect(proxy) as wire:
        if hook == "error":
            assert wire.get("http://127.0.0.1:1/").status == 502
        elif hook == "http_connect":
            connect(proxy, tunnel=int(site.http_url.rpartition(":")[2]))
        else:
            assert wire.get(f"{site.http_url}/").status == 200
    wait_until(lambda: names, "the handler is called")
    assert names[0].startswith("nbproxy-handler")
    assert script.last_error == ""


def test_nbproxys_own_decorator_on_functions_and_methods(proxy, fetch, site, write):
    script = proxy.load(
        write(
            "a.py",
            """
            import nbproxy, threading
            def where(): return threading.current_thread().name[:15]
            @nbproxy.concurrent
            def request(flow): flow.comment += where() + " "
            class Addon:
                @nbproxy.concurrent
                def request(self, flow): flow.comment += where()
            addons = [Addon()]
            """,
        )
    )
    fetch(f"{site.http_url}/")
    assert proxy.flows[0].comment == "nbproxy-handler nbproxy-handler"
    assert script.last_error == ""


def test_other_flows_go_on_and_the_order_of_hooks_is_kept(proxy, connect, site, waiting, texts):
    script, gate = waiting(
        proxy,
        WAITING
        + """
def requestheaders(flow): note(flow, "requestheaders")
def responseheaders(flow): note(flow, "responseheaders")
def response(flow): note(flow, "response")
def note(flow, name):
    if flow.request.path == "/held":
        from mitmproxy import ctx
        ctx.log.info(name + " " + (flow.comment or "-"))
""",
    )
    slow = connect(proxy)
    slow.ask(f"{site.http_url}/held")
    wait_until(lambda: gate.inside == 1)
    for _ in range(3):
        assert connect(proxy).get(f"{site.http_url}/").status == 200
    assert texts(proxy) == ["requestheaders -"]
    gate.open.set()
    assert slow.answer().status == 404
    wait_until(lambda: len(texts(proxy)) == 3)
    assert texts(proxy)[1:] == ["responseheaders slow", "response slow"]
    assert script.last_error == ""


def test_not_more_threads_than_concurrent_limit(make_proxy, connect, site, waiting):
    proxy = make_proxy(concurrent_limit=2)
    _, gate = waiting(proxy)
    before = set(handler_threads())
    wires = [connect(proxy) for _ in range(5)]
    for wire in wires:
        wire.ask(f"{site.http_url}/held")
    wait_until(lambda: gate.inside == 2)
    # those that wait for a thread hold up nobody who needs none
    wait_until(lambda: len(proxy.flows) == 5)
    proxy.unload()
    assert connect(proxy).get(f"{site.http_url}/").status == 200
    assert len(set(handler_threads()) - before) == 2
    gate.open.set()
    assert [wire.answer().status for wire in wires] == [404] * 5
    assert (gate.most, gate.passed) == (2, 5)


@pytest.mark.parametrize("release", ["0.16", "12"])
def test_an_exception_is_reported_like_any_other(proxy, fetch, site, write, texts, capsys, release):
    parameters = "context, flow" if release in CONTEXT else "flow"
    source = f"{NAMES[release]}\n@concurrent\ndef request({parameters}):\n    flow.x = 1 / 0\n"
    script = proxy.load(write("a.py", source), era=release)
    assert fetch(f"{site.http_url}/").status == 200
    wait_until(lambda: script.errors)
    (text,) = texts(proxy, "error")
    assert 'a.py", line 4, in request' in text
    assert "ZeroDivisionError" in script.last_error
    printed = []

    def told():
        printed.append(capsys.readouterr().err)
        return "line 4" in "".join(printed)

    wait_until(told)


def test_killing_the_flow_while_the_handler_runs(proxy, connect, site, waiting, texts):
    script, gate = waiting(proxy)
    wire = connect(proxy)
    wire.ask(f"{site.http_url}/held")
    wait_until(lambda: gate.inside == 1)
    (flow,) = proxy.flows
    flow.kill()
    assert wire.is_closed  # at once: the client does not wait for the handler
    assert connect(proxy).get(f"{site.http_url}/").status == 200
    gate.open.set()
    wait_until(lambda: gate.passed == 1 and not flow.live)
    assert str(flow.error) == "killed by a handler"
    assert flow.response is None
    assert texts(proxy) == []
    assert script.last_error == ""


def test_killing_it_in_the_handler_itself(proxy, connect, site, write, texts):
    source = f"{NAMES['12']}\n@concurrent\ndef request(flow): flow.kill()\n"
    script = proxy.load(write("a.py", source))
    wire = connect(proxy)
    wire.ask(f"{site.http_url}/")
    assert wire.is_closed
    wait_until(lambda: not proxy.flows[0].live)
    assert (texts(proxy), script.last_error) == ([], "")


def test_a_client_that_leaves_while_the_handler_runs(proxy, connect, site, waiting, texts):
    script, gate = waiting(proxy)
    wire = connect(proxy)
    wire.ask(f"{site.http_url}/held")
    wait_until(lambda: gate.inside == 1)
    wire.close()
    gate.open.set()
    wait_until(lambda: gate.passed == 1 and not proxy.flows[0].live)
    assert connect(proxy).get(f"{site.http_url}/").status == 200
    assert (texts(proxy), script.last_error) == ([], "")


@pytest.mark.parametrize("end", ["stop", "close"])
def test_stopping_the_proxy_while_the_handler_runs(make_proxy, connect, site, waiting, end):
    proxy = make_proxy()
    script, gate = waiting(proxy)
    wire = connect(proxy)
    wire.ask(f"{site.http_url}/held")
    wait_until(lambda: gate.inside == 1)
    getattr(proxy, end)()  # returns although the handler still waits
    assert gate.passed == 0
    assert wire.is_closed
    assert not proxy.running
    (flow,) = proxy.flows
    assert not flow.live
    assert "stopped" in str(flow.error)
    gate.open.set()
    wait_until(lambda: gate.passed == 1)
    assert script.last_error == ""
    if end == "stop":
        proxy.start()
        assert connect(proxy).get(f"{site.http_url}/").status == 200
    proxy.close()
    wait_until(lambda: not handler_threads(), "its threads end")


def test_unloading_the_script_while_the_handler_runs(proxy, connect, site, waiting):
    script, gate = waiting(proxy)
    wire = connect(proxy)
    wire.ask(f"{site.http_url}/held")
    wait_until(lambda: gate.inside == 1)
    proxy.unload()
    assert connect(proxy).get(f"{site.http_url}/held").status == 404  # nobody holds it any more
    gate.open.set()
    assert wire.answer().status == 404
    assert (proxy.flows[0].comment, script.last_error) == ("slow", "")


def test_replaying_inside_of_a_hook_waits_and_others_go_on(
    proxy, connect, site, make_origin, write
):
    """A context's `replay_request` gives the response, and blocks nobody else meanwhile."""
    gate = Gate()

    def answer(message):
        if message.target == b"/again":
            gate.wait()
        return response(message.target)

    origin = make_origin(answering(answer))
    script = proxy.load(
        write(
            "a.py",
            """
            def request(context, flow):
                if flow.request.path == "/first":
                    f = context.duplicate_flow(flow)
                    f.request.path = "/again"
                    assert context.replay_request(f) is None
                    flow.request.path = "/" + f.response.content.strip("/")
            """,
        ),
        era="0.16",
    )
    first = connect(proxy)
    first.ask(f"{origin.url}/first")
    wait_until(lambda: gate.inside == 1)
    proxy.load(write("b.py", "def response(flow): flow.response.headers['x-b'] = '1'"))
    assert connect(proxy).get(f"{site.http_url}/")[b"x-b"] == b"1"
    gate.open.set()
    answer = first.answer()
    assert (answer.body, answer[b"x-b"], script.last_error) == (b"/again", b"1", "")
    assert [flow.request.path for flow in proxy.flows] == ["/again", "/again", "/"]
