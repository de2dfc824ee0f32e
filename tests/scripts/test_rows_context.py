"""Context objects, `ctx` and the host behind them, by era, on live traffic."""

import pytest

from tests.scripts.rows import parameters, uncovered
from tests.scripts.worlds import (
    World,
    body,
    count,
    cut,
    get,
    live,
    on,
    replayed,
    run_live,
    saved,
    stops,
)

# Rows, and the eras that have something there. G stands for G and H.
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
}


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


CASES = {
    "log": on(
        "0.8 0.11 0.13 0.14 0.17",
        "context.log('odd', 'error'); context.log('so')",
        lambda log: [(e.level, e.text) for e in log] == [("error", "odd"), ("info", "so")],
    )
    + on("0.11 0.17", "context.log('much', 'debug')", lambda log: log[0].level == "debug"),
    "any attribute": [
        *live(
            "0.8",
            """
            def start(ctx): ctx.secure = set()
            def request(ctx, flow): ctx.secure.add(flow)
            def response(ctx, flow): ctx.log(flow in ctx.secure)
            """,
            ["True"],
            get,
        ),
        *live(
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
        *live(
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
    "add_contentview, remove_contentview": live(
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
        *live(
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
        *live(
            "0.8 0.11 0.17",
            APP
            + "def start(context, argv=None):\n    context._master.apps.add(app, 'proxapp', 80)",
            None,
            at_app,
            body(b"app /x"),
        ),
        *live(
            "0.18",
            "from mitmproxy import ctx\n"
            + APP
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
    "master.addons": live(
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
        *live(
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
}


def test_every_cell_has_a_case():
    assert uncovered(TABLE, CASES) == []


@pytest.mark.parametrize("case", parameters(CASES))
def test_cell(case, proxy, site, connect, make_origin, tmp_path):
    run_live(case, World(proxy, site, connect, make_origin, tmp_path), tmp_path / "a.py")
