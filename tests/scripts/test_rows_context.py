"""Context objects, `ctx`, the host behind them, and what a script does to a live flow, by era."""

import contextlib
import threading
from textwrap import dedent

import pytest

from nbproxy import saved as saved_flows
from nbproxy.scripts import eras
from tests.scripts.rows import uncovered
from tests.support.proxies import answering, response, wait_until

TABLE = {
    # the context object
    "log": "ABC",
    "any attribute": "ABC",
    "duplicate_flow": "ABC",
    "replay_request": "ABC",
    "replay_request: refused": "ABC",
    "kill_flow": "BC",
    "app_registry": "BC",
    "add_contentview, remove_contentview": "C",
    "_master": "ABC",
    # ctx
    "ctx.log": "DEFG",
    "ctx.master": "DEFG",
    "ctx.options": "FG",
    "ctx in threads": "DEFG",
    "logging": "G",
    "print": "ABCDEFG",
    # the host
    "master.state": "ABCD",
    "master.load_flow": "ABCDEFG",
    "master.load_flows_file": "ABCDEF",
    "master.load_script": "ABC",
    "master.create_request": "ABCDEF",
    "master.add_event, add_log": "ABCDEF",
    "master.apps": "ABCD",
    "master.view": "EF",
    "master.replay_request": "DEF",
    "master.addons": "FG",
    "master.commands": "FG",
    "master.shutdown": "ABCDEFG",
    # filters
    "filt.parse": "ABC",
    "flowfilter": "DEFG",
    # control
    "live": "ABCDEFG",
    "reply: answer": "ABCDEFG",
    "reply: kill": "ABCDEFG",
    "intercept, resume": "ABCDEFG",
    "concurrent": "ABCDEFG",
    "stream": "BCDEFG",
    "stream: callable": "BCDEFG",
    "request.stream": "FG",
}


def source(release, code, hook="request", head=""):
    parameters = "context, flow" if eras.parse(release).has_context else "flow"
    body = "".join(f"    {line}\n" for line in dedent(code).strip().splitlines())
    return f"{dedent(head)}\ndef {hook}({parameters}):\n{body}"


class Case:
    """A script, what is done, what it says and what comes of it."""

    def __init__(self, release, text, says=None, drive=None, then=None):
        self.release, self.text, self.says = release, text, says
        self.drive, self.then = drive, then

    @property
    def era(self):
        return eras.parse(self.release)


def on(releases, code, says=None, drive=None, then=None, **more):
    return [
        Case(release, source(release, code, **more), says, drive or get, then)
        for release in releases.split()
    ]


def script(releases, text, says=None, drive=None, then=None):
    return [Case(each, dedent(text), says, drive, then) for each in releases.split()]


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
        thread.join(20)
    return answers


def stops(w):
    with contextlib.suppress(ConnectionError, AssertionError):  # it may be gone before it answers
        get(w)
    wait_until(lambda: not w.proxy.running, "the proxy stops")


def saved(w):
    """A file with two flows."""
    get(w)
    path = w.folder / "two.mitm"
    w.proxy.flows[0].response.headers["x"] = "y"
    saved_flows.save([*w.proxy.flows, *w.proxy.flows], path)
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


def elsewhere(w):
    """A request to a name that the script sends to another server."""
    origin = w.make_origin(answering(lambda _: response(b"elsewhere")))
    w.script.program.addons[0].PORT = origin.port
    with w.connect(w.proxy) as wire:
        return wire.get("http://nowhere.test/")


def count(number):
    return lambda w, _: len(w.proxy.flows) == number


def status(code):
    return lambda w, answer: answer.status == code


def body(content):
    return lambda w, answer: answer.body == content


AGAIN = """
if flow.request.path != "/again":
    f = context.duplicate_flow(flow)
    f.request.path = "/again"
    print(context.replay_request(f), WAITED)
"""
APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"app " + environ["PATH_INFO"].encode()]
"""


def at_app(w):
    with w.connect(w.proxy) as wire:
        return wire.get("http://proxapp/x")


REPLY = {
    "0.8": (
        "from libmproxy.flow import Response, ODictCaseless",
        "flow.request._ack(Response(flow.request, 418, 'T', ODictCaseless(), 'mine', None))",
    ),
    "0.9": (
        "from libmproxy.flow import Response, ODictCaseless",
        (
            "flow.request.reply(Response(flow.request, (1, 1), 418, 'T', ODictCaseless(), 'mine', "
            "None))"
        ),
    ),
    "0.12": (
        "from libmproxy.protocol.http import HTTPResponse",
        "flow.reply(HTTPResponse((1, 1), 418, 'T', [], 'mine')); flow.reply()",
    ),
    "0.15": (
        "from libmproxy.models import HTTPResponse, Headers",
        "flow.reply(HTTPResponse(b'HTTP/1.1', 418, 'T', Headers(), 'mine'))",
    ),
    "0.17": (
        "from mitmproxy.models import HTTPResponse, Headers",
        "flow.response = HTTPResponse(b'HTTP/1.1', 418, 'T', Headers(), 'mine')",
    ),
    "0.18": (
        "from mitmproxy.models import HTTPResponse",
        "flow.reply.send(HTTPResponse.make(418, b'mine'))",
    ),
    "2.0": ("from mitmproxy import http", "flow.response = http.HTTPResponse.make(418, b'mine')"),
    "6.0": ("from mitmproxy import http", "flow.response = http.HTTPResponse.make(418, b'mine')"),
    "7.0": ("from mitmproxy import http", "flow.response = http.Response.make(418, b'mine')"),
    "12": ("from mitmproxy import http", "flow.response = http.Response.make(418, b'mine')"),
}
KILL = {
    "0.8": "flow.request._ack(None)",
    "0.10": "from libmproxy.proxy import KILL; flow.request.reply(KILL)",
    "0.12": "from libmproxy.protocol import KILL; flow.reply(KILL)",
    "0.13": "context.kill_flow(flow)",
    "0.15": "from libmproxy.protocol import Kill; flow.reply(Kill)",
    "0.17": "flow.kill(context._master)",
    "0.18": "flow.reply.kill()",
    "2.0": "flow.reply.kill(force=True)",
    "6.0": "flow.kill()",
    "7.0": "flow.reply.kill()",
    "12": "flow.kill()",
}
HOLD = {
    "0.8": "flow.intercept()",
    "0.12": "flow.intercept(context._master)",
    "0.17": "flow.intercept(context._master)",
    "0.18": "flow.intercept(ctx.master)",
    "2.0": "flow.intercept()",
    "6.0": "flow.intercept()",
    "7.0": "flow.intercept()",
    "12": "flow.intercept()",
}
FREE = "if flow.request.headers.get('x-free'): return\n"
MODIFY = """
def change(chunks):
    for chunk in chunks:
        yield chunk.replace("two", "TWO")
"""

CASES = {
    "log": on(
        "0.8 0.11 0.13 0.14 0.17",
        "context.log('odd', 'error'); context.log('so')",
        lambda log: [(e.level, e.text) for e in log] == [("error", "odd"), ("info", "so")],
    )
    + on("0.11 0.17", "context.log('much', 'debug')", lambda log: log[0].level == "debug"),
    "any attribute": [
        *script(
            "0.8",
            """
            def start(ctx): ctx.secure = set()
            def request(ctx, flow): ctx.secure.add(flow)
            def response(ctx, flow): ctx.log(flow in ctx.secure)
            """,
            ["True"],
            get,
        ),
        *script(
            "0.11 0.17",
            """
            def start(context, argv): context.secure = set()
            def request(context, flow): context.secure.add(flow)
            def response(context, flow): context.log(flow in context.secure)
            """,
            ["True"],
            get,
        ),
    ],
    "duplicate_flow": on(
        "0.8 0.11 0.13 0.14 0.17",
        "f = context.duplicate_flow(flow); print(f is flow, f.request.path == flow.request.path)",
        ["False True"],
        then=count(2),
    ),
    "replay_request": [
        *on("0.8 0.10", AGAIN.replace("WAITED", "None"), ["None None"], replayed),
        *on("0.12 0.13", AGAIN.replace("WAITED", "f.response.code"), ["None 404"], replayed),
        *on("0.14 0.17", AGAIN.replace("WAITED", "f.response.status_code"), ["None 404"], replayed),
    ],
    "replay_request: refused": [
        *on("0.8 0.10", "print(bool(context.replay_request(flow)))", ["True"]),
        *on("0.12 0.17", "print(context.replay_request(flow))", ["Can't replay live flow."]),
        *on(
            "0.12 0.17",
            "f = flow.copy(); f.request.content = None; print(context.replay_request(f))",
            ["Can't replay request with missing content..."],
        ),
        *on(
            "0.12 0.17",
            "f = flow.copy(); f.request.port = 1; f.request.host = '127.0.0.1'\n"
            "print(context.replay_request(f), f.response, bool(f.error))",
            ["None None True"],
        ),
    ],
    "kill_flow": on("0.12 0.14 0.17", "context.kill_flow(flow)", None, cut),
    "app_registry": [
        *script(
            "0.11 0.13 0.14 0.17",
            APP + "def start(context, argv):\n    context.app_registry.add(app, 'proxapp', 80)",
            None,
            at_app,
            body(b"app /x"),
        ),
        *on(
            "0.12 0.17",
            "print(context.app_registry.get(flow.request) is None)",
            ["True"],
        ),
    ],
    "add_contentview, remove_contentview": script(
        "0.15 0.17",
        """
        try:
            from libmproxy import contentviews
        except ImportError:
            from mitmproxy import contentviews
        class Mine(contentviews.View):
            name, prompt, content_types = "mine", ("mine", "m"), ["text/plain"]
            def __call__(self, data, **metadata):
                return "mine", contentviews.format_text(data)
        view = Mine()
        def start(context, argv): context.add_contentview(view)
        def done(context): context.remove_contentview(view)
        """,
        None,
        lambda w: (
            w.proxy.scripts.contentviews.get("mine") is not None,
            w.proxy.unload(),
            w.proxy.scripts.contentviews.views,
        ),
        lambda w, seen: seen == (True, 1, {}),
    ),
    "_master": on(
        "0.8 0.11 0.17",
        "print(context._master.duplicate_flow(flow).request.path, context._master is not None)",
        ["/api/users True"],
    ),
    "ctx.log": [
        *on(
            "0.18 2.0 6.0 7.0 12",
            "ctx.log('a'); ctx.log('b', 'warn'); ctx.log.debug('c'); ctx.log.info('d')\n"
            "ctx.log.warn('e'); ctx.log.error(5)",
            lambda log: (
                [(e.level, e.text) for e in log]
                == [*zip(["info", "warn", "debug", "info", "warn", "error"], "abcde5", strict=True)]
            ),
            head="from mitmproxy import ctx",
        ),
        *on("3.0 6.0 12", "ctx.log.alert('look')", ["look"], head="from mitmproxy import ctx"),
        *on("0.18", "mitmproxy.ctx.log('so')", ["so"], head="import mitmproxy"),
        *on(
            "4.0 12",
            "ctx.log.info(flow)",
            lambda log: "HTTPFlow" in log[0].text,
            head="from mitmproxy import ctx",
        ),
    ],
    "ctx.master": on(
        "0.18 2.0 6.0 7.0 12",
        "print(ctx.master.options.listen_host)",
        ["127.0.0.1"],
        head="from mitmproxy import ctx",
    ),
    "ctx.options": on(
        "3.0 6.0 7.0 12",
        "print(ctx.options.listen_host, 'mode' in ctx.options, 'mode' in ctx.options.keys())\n"
        "ctx.options.update(hint_slow_handlers=0.5); print(ctx.options.hint_slow_handlers)",
        ["127.0.0.1 True True", "0.5"],
        head="from mitmproxy import ctx",
    ),
    "ctx in threads": on(
        "0.18 2.0 4.0 7.0 12",
        "ctx.log.info('in a thread'); print(ctx.master is not None)",
        ["in a thread", "True"],
        head="from mitmproxy import ctx\nfrom mitmproxy.script import concurrent\n@concurrent",
    ),
    "logging": on(
        "9.0 12",
        "logging.info('a %s', 1); logging.getLogger('x').warning('b'); logging.log(ALERT, 'c')",
        lambda log: (
            [(e.level, e.text) for e in log] == [("info", "a 1"), ("warn", "b"), ("alert", "c")]
        ),
        head="import logging\nfrom mitmproxy.log import ALERT",
    ),
    "print": on("0.8 0.11 0.17 0.18 2.0 6.0 7.0 12", "print('said')", ["said"]),
    "master.state": [
        *on(
            "0.8 0.11 0.17",
            "print(len(context._master.state.flows), context._master.state.flows[0] is flow)\n"
            "context._master.state.delete_flow(context._master.duplicate_flow(flow))",
            ["1 True"],
            then=count(1),
        ),
        *on(
            "0.18",
            "print(len(ctx.master.state.flows)); ctx.master.state.add_flow(flow.copy())",
            ["1"],
            then=count(2),
            head="from mitmproxy import ctx",
        ),
    ],
    "master.load_flow": [
        *on("0.8 0.11 0.17", "context._master.load_flow(flow.copy())", None, then=count(2)),
        *on(
            "0.18 2.0 3.0",
            "ctx.master.load_flow(flow.copy())",
            None,
            then=count(2),
            head="from mitmproxy import ctx",
        ),
        *script(
            "4.0 7.0 12",
            """
            from mitmproxy import ctx
            async def request(flow): await ctx.master.load_flow(flow.copy())
            """,
            None,
            get,
            count(2),
        ),
    ],
    "master.load_flows_file": [
        *on(
            "0.12 0.17",
            "if flow.request.path == '/other': print(context._master.load_flows_file(PATH))",
            ["2"],
            saved,
            count(4),
        ),
        *on(
            "0.9",
            "from libmproxy.flow import FlowReader\n"
            "if flow.request.path == '/other':\n"
            "    with open(PATH, 'rb') as f: context._master.load_flows(FlowReader(f))",
            None,
            saved,
            count(4),
        ),
        *on(
            "0.18 2.0 3.0",
            "if flow.request.path == '/other': print(ctx.master.load_flows_file(PATH))",
            ["2"],
            saved,
            count(4),
            head="from mitmproxy import ctx",
        ),
    ],
    "master.load_script": on(
        "0.8 0.11 0.17",
        "print(context._master.load_script('nowhere.py') is None, len(context._master.scripts))",
        ["False 1"],
    ),
    "master.create_request": [
        *on(
            "0.8 0.12 0.17",
            "f = context._master.create_request('GET', 'http', 'a.test', 80, '/x')\n"
            "print(f.request.method, f.request.host, f.request.path)",
            ["GET a.test /x"],
        ),
        *on(
            "0.18 2.0 3.0",
            "f = ctx.master.create_request('GET', 'http', 'a.test', 80, '/x')\n"
            "print(f.request.method, f.request.host, f.request.path)",
            ["GET a.test /x"],
            head="from mitmproxy import ctx",
        ),
    ],
    "master.add_event, add_log": [
        *on("0.8 0.11 0.17", "context._master.add_event('so', 'error')", ["so"]),
        *on(
            "0.18 2.0 3.0",
            "ctx.master.add_log('so', 'error')",
            ["so"],
            head="from mitmproxy import ctx",
        ),
    ],
    "master.apps": [
        *script(
            "0.8 0.11 0.17",
            APP
            + "def start(context, argv=None):\n    context._master.apps.add(app, 'proxapp', 80)",
            None,
            at_app,
            body(b"app /x"),
        ),
        *script(
            "0.18",
            "from mitmproxy import ctx\n"
            + dedent(APP)
            + "def start():\n    ctx.master.apps.add(app, 'proxapp', 80)",
            None,
            at_app,
            body(b"app /x"),
        ),
    ],
    "master.view": on(
        "1.0 2.0 3.0",
        "ctx.master.view.add(flow.copy())",
        None,
        then=count(2),
        head="from mitmproxy import ctx",
    ),
    "master.replay_request": on(
        "0.18 2.0 3.0",
        """
        if not flow.request.is_replay:
            f = flow.copy()
            f.request.path = "/again"
            thread = ctx.master.replay_request(f)
            print(thread.is_alive())
            try:
                ctx.master.replay_request(flow)
            except ReplayException as error:
                print(error)
        """,
        ["True", "Can't replay live flow."],
        replayed,
        head="from mitmproxy import ctx\nfrom mitmproxy.exceptions import ReplayException",
    ),
    "master.addons": script(
        "3.0 6.0 7.0 12",
        """
        from mitmproxy import ctx
        class One:
            def custom(self, number): print("custom", number)
            def done(self): print("bye")
        class Two:
            name = "other"
            def request(self, flow):
                one = ctx.master.addons.get("one")
                print("one" in ctx.master.addons, ctx.master.addons.get("other") is self)
                ctx.master.addons.trigger("custom", 5)
                ctx.master.addons.remove(one)
                print(ctx.master.addons.get("one"))
                ctx.master.addons.add(one)
                print(ctx.master.addons.get("one") is one)
        addons = [One(), Two()]
        """,
        ["True True", "custom 5", "bye", "None", "True"],
        get,
    ),
    "master.commands": [
        *script(
            "3.0 6.0 7.0 12",
            """
            import typing
            from mitmproxy import command, ctx, flow
            class Adder:
                @command.command("my.add")
                def add(self, flows: typing.Sequence[flow.Flow], n: int) -> str:
                    return "%d %d" % (len(flows), n + 1)
                def request(self, flow):
                    print(ctx.master.commands.call("my.add", [flow], 1))
                    print(ctx.master.commands.call_strings("my.add", ["@all", "5"]))
                    print(ctx.master.commands.execute("my.add '~u users' 7"))
            addons = [Adder()]
            """,
            ["1 2", "1 6", "1 8"],
            get,
        ),
        *on(
            "4.0 7.0 12",
            """
            if not (flow.is_replay if hasattr(flow, "is_replay") else flow.request.is_replay):
                f = flow.copy()
                f.request.path = "/again"
                ctx.master.commands.call("replay.client", [f])
                print(f.response)
            """,
            ["None"],
            replayed,
            head="from mitmproxy import ctx",
        ),
    ],
    "master.shutdown": [
        *on("0.8 0.11 0.17", "context._master.shutdown()", None, stops),
        *on(
            "0.18 2.0 6.0 7.0 12",
            "ctx.master.shutdown()",
            None,
            stops,
            head="from mitmproxy import ctx",
        ),
    ],
    "filt.parse": [
        *on(
            "0.8 0.11 0.14",
            "f = filt.parse('~u users'); print(f(flow), flow.match(f), filt.parse('~x ('))",
            ["True True None"],
            head="from libmproxy import filt",
        ),
        *on(
            "0.17",
            "f = filt.parse('~u users'); print(f(flow), flow.match(f), filt.parse('~x ('))",
            ["True True None"],
            head="from mitmproxy import filt",
        ),
    ],
    "flowfilter": [
        *on(
            "0.18 2.0 6.0 7.0 12",
            "f = flowfilter.parse('~u users')\n"
            "print(flowfilter.match(f, flow), flowfilter.match(flow, f), flowfilter.match('~m "
            "POST', flow))",
            ["True True False"],
            head="from mitmproxy import flowfilter",
        ),
        *on(
            "0.18 2.0 6.0 7.0",
            "print(flowfilter.parse('~x ('))",
            ["None"],
            head="from mitmproxy import flowfilter",
        ),
        *on(
            "9.0 12",
            """
            for text in ("~x (", ""):
                try:
                    flowfilter.parse(text)
                except ValueError:
                    print("ValueError")
            """,
            ["ValueError", "ValueError"],
            head="from mitmproxy import flowfilter",
        ),
    ],
    "live": [
        *on("0.10", "print(flow.request.is_live())", ["True"]),
        *on(
            "0.11 0.13",
            "print(bool(flow.live), flow.live.c.client_conn.address.host)",
            ["True 127.0.0.1"],
        ),
        *on("0.14 0.17 0.18 2.0 6.0", "print(bool(flow.live))", ["True"]),
        *on("7.0 12", "print(flow.live)", ["True"]),
        *on(
            "0.11 0.13",
            "flow.live.change_server(('127.0.0.1', PORT), ssl=False)",
            None,
            elsewhere,
            body(b"elsewhere"),
        ),
        *on(
            "0.14 0.18 2.0 6.0",
            "flow.live.set_server(('127.0.0.1', PORT))",
            None,
            elsewhere,
            body(b"elsewhere"),
        ),
        *on(
            "0.16 0.18 6.0",
            """
            try:
                flow.live.change_upstream_proxy_server(('a', 1))
            except NotImplementedError as error:
                print(error)
            """,
            lambda log: "set flow.request.host and .port" in log[0].text,
        ),
    ],
    "reply: answer": [
        case
        for release, (head, code) in REPLY.items()
        for case in on(release, code, None, then=body(b"mine"), head=head)
    ],
    "reply: kill": [
        case for release, code in KILL.items() for case in on(release, code, None, cut, head="")
    ],
    "intercept, resume": [
        case
        for release, code in HOLD.items()
        for case in on(
            release,
            FREE + code,
            None,
            held,
            status(200),
            head="from mitmproxy import ctx" if release == "0.18" else "",
        )
    ],
    "concurrent": [
        *on(
            "0.10 0.11 0.16",
            "meet.wait(10)",
            None,
            two_at_once,
            lambda w, answers: [answer.status for answer in answers] == [200, 200],
            head="from libmproxy.script import concurrent\n@concurrent",
        ),
        *on(
            "0.17 0.18 2.0 6.0 7.0 12",
            "meet.wait(10)",
            None,
            two_at_once,
            lambda w, answers: [answer.status for answer in answers] == [200, 200],
            head="from mitmproxy.script import concurrent\n@concurrent",
        ),
        *script(
            "3.0 7.0 12",
            """
            from mitmproxy.script import concurrent
            class A:
                @concurrent
                def request(self, flow): meet.wait(10)
            addons = [A()]
            """,
            None,
            two_at_once,
            lambda w, answers: [answer.status for answer in answers] == [200, 200],
        ),
        *script(
            "8.1 12",
            """
            from mitmproxy.script import concurrent
            @concurrent
            async def request(flow): meet.wait(10)
            """,
            None,
            two_at_once,
            lambda w, answers: [answer.status for answer in answers] == [200, 200],
        ),
    ],
    "stream": [
        *on(
            "0.11 0.17 0.18 2.0 6.0 7.0 12",
            "flow.response.stream = True",
            None,
            lambda w: get(w, "/chunked"),
            lambda w, answer: (
                answer.body == b"one, two, three.\n" and w.proxy.flows[0].response.stream is True
            ),
            hook="responseheaders",
        ),
        *script(
            "0.11 0.13",
            """
            from libmproxy.protocol.http import CONTENT_MISSING
            def responseheaders(context, flow): flow.response.stream = True
            def response(context, flow): print(flow.response.content == CONTENT_MISSING)
            """,
            None,
            lambda w: get(w, "/chunked"),
            status(200),
        ),
    ],
    "stream: callable": [
        *on(
            "0.12 0.13 0.14 0.17 0.18 2.0 6.0",
            "flow.response.stream = change",
            None,
            lambda w: get(w, "/chunked"),
            body(b"one, TWO, three.\n"),
            head=MODIFY,
            hook="responseheaders",
        ),
        *on(
            "7.0 12",
            "flow.response.stream = lambda chunk: chunk.replace(b'two', b'TWO')",
            None,
            lambda w: get(w, "/chunked"),
            body(b"one, TWO, three.\n"),
            hook="responseheaders",
        ),
        *on(
            "7.0 12",
            "flow.response.stream = lambda chunk: [chunk.upper(), b'!' if not chunk else b'']",
            None,
            lambda w: get(w, "/chunked"),
            body(b"ONE, TWO, THREE.\n!"),
            hook="responseheaders",
        ),
    ],
    "request.stream": [
        *on(
            "3.0 6.0",
            "flow.request.stream = change",
            None,
            upload,
            body(b"one TWO"),
            head=MODIFY,
            hook="requestheaders",
        ),
        *on(
            "7.0 12",
            "flow.request.stream = lambda chunk: chunk.replace(b'two', b'TWO')",
            None,
            upload,
            body(b"one TWO"),
            hook="requestheaders",
        ),
    ],
}


class World:
    """What a case drives."""

    def __init__(self, proxy, site, connect, make_origin, folder):
        self.proxy, self.site, self.connect = proxy, site, connect
        self.make_origin, self.folder = make_origin, folder


def test_every_cell_has_a_case():
    assert uncovered(TABLE, CASES) == []


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{row}-{case.release}-{number}")
        for row, found in CASES.items()
        for number, case in enumerate(found)
    ],
)
def test_cell(case, proxy, site, connect, make_origin, write, tmp_path):
    world = World(proxy, site, connect, make_origin, tmp_path)
    loaded = world.script = proxy.load(write("a.py", case.text), era=case.release)
    outcome = case.drive(world) if case.drive is not None else None
    log = proxy.log

    def as_wanted():
        if case.says is None:
            return True
        if callable(case.says):
            return len(log) > 0 and case.says(log)
        return [entry.text for entry in log] == case.says

    with contextlib.suppress(AssertionError):
        wait_until(lambda: as_wanted() or loaded.errors)
    assert loaded.last_error == ""
    assert as_wanted(), list(log)
    if case.then is not None:
        assert case.then(world, outcome)
