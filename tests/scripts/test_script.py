"""The life of a script: loading, errors, replacement, unloading."""

import pytest

from nbproxy.errors import ScriptError

LIFE = """
    from mitmproxy import ctx
    class Addon:
        def load(self, loader): ctx.log.info("load")
        def configure(self, updated): ctx.log.info("configure %s" % ("listen_port" in updated))
        def running(self): ctx.log.info("running")
        def done(self): ctx.log.info("done")
    addons = [Addon()]
"""


def test_life_since_8(proxy, write, texts):
    proxy.load(write("a.py", LIFE), era="H")
    assert texts(proxy) == ["load", "configure True", "running"]
    assert proxy.unload() == 1
    assert texts(proxy)[3:] == ["done"]


def test_life_until_7(proxy, write, texts):
    proxy.load(write("a.py", LIFE), era="6.0")
    assert texts(proxy) == ["load", "running", "configure True"]


def test_running_is_told_once_when_the_proxy_starts(idle, write, texts):
    idle.load(write("a.py", LIFE))
    assert texts(idle) == ["load", "configure True"]
    idle.start()
    assert texts(idle)[2:] == ["running"]
    idle.stop()
    idle.start()
    idle.close()
    assert texts(idle)[3:] == ["done"]


def test_start_may_return_a_replacement(idle, write, make_flow, texts):
    path = write(
        "a.py",
        """
        from mitmproxy import ctx
        class Other:
            def start(self): ctx.log("its start")
            def configure(self, options, updated): ctx.log("conf %s" % len(updated & {"mode"}))
            def request(self, flow): flow.request.headers["x"] = "other"
            def done(self): ctx.log("its done")
        def start(): return Other()
        def request(flow): flow.request.headers["x"] = "module"
        def done(): ctx.log("module's done")
        """,
    )
    idle.load(path, era="1.0")
    flow = make_flow()
    idle.handlers.fire("request", flow)
    assert flow.request.headers["x"] == "other"
    idle.unload(path)
    assert texts(idle) == ["its start", "conf 1", "its done"]


@pytest.mark.parametrize("signature", ["ctx", "ctx, argv"])
def test_start_with_and_without_argv(idle, write, texts, signature):
    path = write("a.py", f"def start({signature}): ctx.log('hi')\ndef done(ctx): ctx.log('bye')")
    idle.load(path)
    idle.unload()
    assert texts(idle) == ["hi", "bye"]


def test_a_context_keeps_any_attribute(idle, write, make_flow):
    path = write(
        "a.py",
        """
        def start(context, argv):
            context.seen = []
        def request(context, flow):
            context.seen.append(flow)
            assert context.seen[0] is flow
        def response(context, flow):
            assert context.seen[0] is flow
        """,
    )
    script = idle.load(path)
    flow = make_flow()
    idle.handlers.fire("request", flow)
    idle.handlers.fire("response", flow)
    assert script.errors == 0
    assert len(script.program.context.seen) == 1


def test_module_and_addons_both_get_events_in_order(idle, write, make_flow):
    path = write(
        "a.py",
        """
        def request(flow): flow.comment += "module "
        class One:
            def request(self, flow): flow.comment += "one "
        class Inner:
            name = "inner"
            def request(self, flow): flow.comment += "inner "
        class Two:
            addons = [Inner()]
            def request(self, flow): flow.comment += "two "
        addons = [One(), Two()]
        """,
    )
    idle.load(path)
    flow = make_flow()
    idle.handlers.fire("request", flow)
    assert flow.comment == "module one two inner "


def test_two_addons_of_one_name_are_refused(idle, write):
    path = write("a.py", "class A:\n    pass\naddons = [A(), A()]")
    with pytest.raises(ScriptError, match='An addon called "a" already exists'):
        idle.load(path)
    assert len(idle.scripts) == 0


# -- errors


def test_a_body_that_fails_is_refused(idle, write):
    path = write("a.py", "def request(flow): pass\nx = 1 / 0\n")
    with pytest.raises(ScriptError) as caught:
        idle.load(path)
    assert (caught.value.line, str(caught.value.__cause__)) == (2, "division by zero")
    assert len(idle.scripts) == len(idle.handlers) == 0


def test_usage_errors_of_context_eras_refuse_the_script(idle, write):
    path = write(
        "a.py",
        "def start(ctx, argv):\n    if len(argv) != 2: raise ValueError('Usage: -s \"a.py X\"')",
    )
    with pytest.raises(ScriptError, match="Usage: -s") as caught:
        idle.load(path)
    assert caught.value.line == 2
    assert idle.load(f"{path} X").state == "active"


def test_a_start_that_fails_later_leaves_the_module(idle, write, make_flow, texts):
    path = write(
        "a.py", "def start(): 1 / 0\ndef request(flow): flow.request.headers['x'] = 'still'"
    )
    script = idle.load(path)
    flow = make_flow()
    idle.handlers.fire("request", flow)
    assert flow.request.headers["x"] == "still"
    assert script.errors == 1
    assert "ZeroDivisionError" in texts(idle, "error")[0]


FAILS = {
    "B": 'def response(ctx, flow):\n    flow.response.headers["x"] = ["1"]\n    1 / 0',
    "E": 'def response(flow):\n    flow.response.headers["x"] = "1"\n    1 / 0',
    "H": 'async def response(flow):\n    flow.response.headers["x"] = "1"\n    1 / 0',
}


@pytest.mark.parametrize("era", FAILS)
def test_a_hook_that_fails(proxy, fetch, site, write, texts, capsys, era):
    """What it did before stays, the flow goes on, the next script runs."""
    script = proxy.load(write("a.py", FAILS[era]), era=era)
    proxy.load(write("b.py", "def response(flow): flow.response.headers['y'] = '2'"))
    answer = fetch(f"{site.http_url}/api/users")
    assert (answer.status, answer.headers["x"], answer.headers["y"]) == (200, "1", "2")
    (text,) = texts(proxy, "error")
    assert text.startswith("Addon error" if era == "H" else "Script error")
    assert 'a.py", line 3, in response' in text
    assert script.errors == 1
    assert "ZeroDivisionError" in script.last_error
    assert "line 3" in capsys.readouterr().err


@pytest.mark.parametrize("code", ["import sys; sys.exit(3)", "raise SystemExit(3)"])
def test_exit_in_a_hook_is_logged_not_obeyed(proxy, fetch, site, write, texts, code):
    proxy.load(write("a.py", f"def start(): pass\ndef request(flow):\n    {code}"))
    assert fetch(f"{site.http_url}/").status == 200
    assert texts(proxy, "error") == ["Script exited with code 3 (in request)"]


def test_wrong_number_of_parameters_is_an_error_of_the_hook(idle, write, make_flow, texts):
    idle.load(write("a.py", "def request(): pass\ndef response(flow): flow.comment = 'x'"))
    flow = make_flow()
    idle.handlers.fire("request", flow)
    idle.handlers.fire("response", flow)
    assert "TypeError" in texts(idle, "error")[0]
    assert flow.comment == "x"


@pytest.mark.parametrize("name", ["load", "configure", "done"])
def test_async_life_cycle_functions_are_refused(idle, write, texts, name):
    argument = "" if name == "done" else "x"
    idle.load(write("a.py", f"async def {name}({argument}): pass\naddons = []"))
    idle.unload()
    assert f"{name} must be a plain function" in texts(idle, "error")[0]


def test_what_is_called_like_a_hook_and_is_none(idle, write, make_flow, texts):
    path = write(
        "a.py",
        """
        from socket import error
        import json as response
        class Addon:
            request = 5
        addons = [Addon()]
        """,
    )
    idle.load(path)
    assert len(idle.handlers) == 0
    assert "request of addon is not callable" in texts(idle, "error")[0]


def test_unknown_functions_are_ignored(idle, write):
    script = idle.load(write("a.py", "def intercept(flow): pass\ndef stop(): pass"))
    assert script.hooks == []


def test_hooks_are_looked_up_at_each_call(idle, write, make_flow):
    path = write(
        "a.py",
        """
        def response(context, flow):
            global response
            flow.request.path = "/first"
            def response(context, flow):
                flow.request.path = "/second"
        """,
    )
    idle.load(path)
    flows = [make_flow(), make_flow()]
    for flow in flows:
        idle.handlers.fire("response", flow)
    assert [flow.request.path for flow in flows] == ["/first", "/second"]


# -- addon objects


def test_addon_objects_get_flows_as_they_are(idle, make_flow, texts):
    seen = []

    class Addon:
        def load(self, loader):
            loader.add_option("shout", bool, True, "whether to shout")

        def request(self, flow):
            seen.append(flow)

        def done(self):
            seen.append("done")

    addon = Addon()
    script = idle.load(addon)
    flow = make_flow()
    idle.handlers.fire("request", flow)
    assert seen[0] is flow
    assert idle.scripts.options.shout is True
    assert script.hooks == ["request"]
    assert idle.unload(addon) == 1
    assert seen[1:] == ["done"]


def test_addon_objects_of_an_era_get_views(idle, make_flow):
    class Addon:
        def request(self, flow):
            flow.request.replace("path", "road")

    idle.load(Addon, era="2.0")
    flow = make_flow()
    idle.handlers.fire("request", flow)
    assert flow.request.path == "/road?a=1"


@pytest.mark.parametrize("release", ["0.11", "2.0", "12"])
def test_a_function_that_takes_something_else_shows_no_lines_of_ours(
    idle, write, make_flow, capsys, release
):
    first = "context, " if release == "0.11" else ""
    source = f"def request(self, {first}flow): pass\n"
    idle.load(write("a.py", source), era=release)
    idle.handlers.fire("request", make_flow())
    idle.scripts.play(make_flow())
    told = "\n".join(entry.text for entry in idle.log.filter(level="error"))
    for shown in (told, capsys.readouterr().err):
        assert "TypeError: request() missing 1 required positional argument" in shown
        assert "program.py" not in shown
