"""`nbproxy.scripts`: order, table, replacement, unloading, stored flows."""

import pytest

from nbproxy.errors import ScriptError

MARK = """
    def request(flow):
        flow.comment += "{0} "
    def done():
        from mitmproxy import ctx
        ctx.log("done {0}")
"""


def test_scripts_run_in_the_order_of_loading(idle, write, make_flow):
    for name in "abc":
        idle.load(write(f"{name}.py", MARK.format(name)))
    flow = make_flow()
    idle.handlers.fire("request", flow)
    assert flow.comment == "a b c "
    assert [script.file.stem for script in idle.scripts] == ["a", "b", "c"]


def test_the_same_command_again_replaces_in_place(idle, write, make_flow, texts):
    path = write("a.py", MARK.format("a"))
    first = idle.load(path)
    idle.load(write("b.py", MARK.format("b")))
    path.write_text("def request(flow): flow.comment += 'new '")
    assert idle.load(path) is first
    flow = make_flow()
    idle.handlers.fire("request", flow)
    assert flow.comment == "new b "
    assert (first.reloads, len(idle.scripts)) == (1, 2)
    assert texts(idle) == ["done a"]


def test_the_same_script_with_other_arguments_is_another(idle, write):
    path = write("a.py", MARK.format("a"))
    idle.load(f"{path} x")
    idle.load(f"{path} y")
    assert len(idle.scripts) == 2
    assert idle.unload(path) == 2


def test_a_new_hook_keeps_the_place(idle, write, make_flow):
    path = write("a.py", "def response(flow): pass")
    script = idle.load(path)
    idle.load(write("b.py", MARK.format("b")))
    path.write_text("def request(flow): flow.comment += 'a '")
    idle.scripts.reload(script)
    flow = make_flow()
    idle.handlers.fire("request", flow)
    assert flow.comment == "a b "


def test_a_broken_new_version_leaves_the_old_one(idle, write, make_flow, texts):
    path = write("a.py", MARK.format("a"))
    script = idle.load(path)
    for broken in ("def request(flow:", "1 / 0"):
        path.write_text(broken)
        with pytest.raises(ScriptError):
            idle.load(path)
        assert not idle.scripts.reload(script)
    flow = make_flow()
    idle.handlers.fire("request", flow)
    assert flow.comment == "a "
    assert "done a" not in texts(idle)
    assert any("Error reloading" in text for text in texts(idle, "error"))


def test_a_start_that_refuses_revives_the_old_one(idle, write, texts):
    path = write("a.py", "def start(ctx, argv): ctx.log('old')\ndef done(ctx): ctx.log('done')")
    script = idle.load(path)
    path.write_text("def start(ctx, argv): raise ValueError('Usage')")
    assert not idle.scripts.reload(script)
    assert texts(idle, "info")[:3] == ["old", "done", "old"]
    idle.unload()
    assert texts(idle)[-1] == "done"


def test_text_is_replaced_by_its_key(idle, make_flow):
    load = idle.scripts.load_text
    first = load("def request(flow): flow.comment += 'one'", label="<In [1]>", key="cell")
    again = load("def request(flow): flow.comment += 'two'", label="<In [2]>", key="cell")
    assert again is first
    flow = make_flow()
    idle.handlers.fire("request", flow)
    assert flow.comment == "two"
    with pytest.raises(ScriptError):
        load("1 / 0", label="<In [3]>", key="cell")
    assert first.label == "<In [2]>"
    assert len(idle.scripts) == 1


def test_unloading(idle, write, texts):
    paths = [write(f"{name}.py", MARK.format(name)) for name in "abcd"]
    scripts = [idle.load(path) for path in paths]
    assert idle.unload(paths[0]) == 1
    assert idle.unload("b.py") == 1
    assert idle.unload(scripts[2]) == 1
    with pytest.raises(ValueError, match=r"there is no script 'x.py'; there are: .*d.py"):
        idle.unload("x.py")
    assert idle.unload() == 1
    assert texts(idle) == ["done a", "done b", "done c", "done d"]
    assert len(idle.handlers) == 0
    assert idle.unload() == 0


def test_the_table(idle, write, make_flow):
    assert repr(idle.scripts) == "<Scripts: none loaded>"
    assert "no scripts" in idle.scripts._repr_html_()
    path = write("a.py", "def request(ctx, flow): flow.request.headers['x'] = [1/0]")
    idle.load(f"{path} '<x>'")
    idle.handlers.fire("request", make_flow())
    (row,) = idle.scripts.rows()
    assert row["path"] == str(path)
    assert row["era"] == "B (0.11 - 0.13)"
    assert (row["hooks"], row["calls"], row["errors"], row["reloads"]) == ("request", 1, 1, 0)
    assert "&lt;x&gt;" in idle.scripts._repr_html_()
    assert "0.11 - 0.13" in repr(idle.scripts)
    assert idle.scripts[0] is idle.scripts["a.py"]


def test_the_table_as_a_frame(idle, write, make_flow):
    empty = idle.scripts.df
    assert len(empty) == 0
    idle.load(write("a.py", "def request(flow): flow.marked = 1 / 0\ndef response(flow): pass"))
    path = write("b.py", "def response(ctx, flow): pass")
    idle.load(f"{path} 'x y'", era="0.11")
    for _ in range(2):
        idle.handlers.fire("request", make_flow())
    frame = idle.scripts.df
    assert frame.to_dict("records") == idle.scripts.rows()
    assert list(frame.dtypes) == list(empty.dtypes)
    assert list(frame.columns) == list(empty.columns)
    assert list(frame[frame.errors > 0].calls) == [2]
    assert frame.path.str.endswith("b.py").tolist() == [False, True]
    assert frame.arguments[1] == "'x y'"


def test_an_era_can_be_given(idle, write):
    script = idle.load(write("a.py", "def response(flow): pass"), era="7.0")
    assert script.era == "G"
    with pytest.raises(ValueError, match="is no era"):
        idle.load(write("b.py", ""), era="soon")


def test_one_flow_and_several_eras(idle, write, make_flow):
    """Views of one flow: what one script writes, the next one reads."""
    idle.load(write("b.py", 'def response(ctx, f): f.response.headers["x"] = ["1", "2"]'))
    idle.load(
        write("c.py", 'def response(context, f): f.response.headers["x"] += ", 3"'), era="0.15"
    )
    idle.load(write("e.py", "def response(f): f.response.replace('hello', 'hi')"), era="2.0")

    @idle.on("response")
    def mine(flow):
        flow.comment = flow.response.headers["x"] + flow.response.text

    idle.load(write("h.py", "def response(f): f.response.headers['y'] = f.comment"))
    flow = make_flow()
    idle.handlers.fire("response", flow)
    assert flow.response.headers["y"] == "1, 2, 3hi"


# -- stored flows

SEEN = {
    "A": "request response",
    "B": "request responseheaders response",
    "C": "request responseheaders response",
    "D": "requestheaders request responseheaders response",
    "E": "requestheaders request responseheaders response",
    "F": "requestheaders request responseheaders response",
    "G": "requestheaders request responseheaders response",
    "H": "requestheaders request responseheaders response",
}


@pytest.mark.parametrize("era", SEEN)
def test_stored_flows_are_played_in_the_eras_order(idle, write, make_flow, era):
    parameters = "c, flow" if era <= "C" else "flow"
    hooks = ["requestheaders", "request", "responseheaders", "response", "error", "done"]
    source = "\n".join(
        f"def {name}({parameters}): flow.request.path += ',{name}'" for name in hooks[:-1]
    )
    (flow,) = idle.scripts.run(write("a.py", source), [make_flow("http://a/")], era=era)
    assert flow.request.path == f"/,{SEEN[era].replace(' ', ',')}"


def test_running_changes_copies_and_ends_with_done(idle, write, make_flow, texts):
    path = write(
        "a.py",
        """
        import asyncio
        from mitmproxy import ctx
        from mitmproxy.script import concurrent
        @concurrent
        def request(flow): flow.comment += "in place "
        async def response(flow):
            await asyncio.sleep(0)
            flow.comment += "awaited"
        def done(): ctx.log.info("done")
        """,
    )
    flow = make_flow()
    (changed,) = idle.scripts.run(path, [flow])
    assert (flow.comment, changed.comment) == ("", "in place awaited")
    assert changed.id != flow.id
    (same,) = idle.scripts.run(path, [flow], in_place=True)
    assert same is flow
    assert flow.comment == "in place awaited"
    assert texts(idle) == ["done", "done"]
    assert len(idle.scripts) == len(idle.handlers) == 0


async def test_running_inside_a_running_loop(idle, write, make_flow):
    path = write("a.py", "async def request(flow): flow.comment = 'x'")
    (flow,) = idle.scripts.run(path, [make_flow()])
    assert flow.comment == "x"


def test_in_era_a_there_is_no_response_before_its_event(idle, write, make_flow):
    path = write(
        "a.py",
        """
        def start(ctx): pass
        def request(ctx, flow): ctx.before = flow.response
        def response(ctx, flow): flow.request.path = "/%s/%s" % (ctx.before, flow.response.code)
        """,
    )
    (flow,) = idle.scripts.run(path, [make_flow()])
    assert flow.request.path == "/None/200"


def test_a_failure_is_logged_and_the_rest_goes_on(idle, write, make_flow, texts, capsys):
    path = write("a.py", "def request(f): 1/0\ndef response(f): f.comment = 'on'")
    (flow,) = idle.scripts.run(path, [make_flow()])
    assert flow.comment == "on"
    (text,) = texts(idle, "error")
    shown = capsys.readouterr().err
    for told in (text, shown):
        files = {line.split('"')[1] for line in told.splitlines() if line.startswith("  File")}
        assert files == {str(path)}  # the script's own lines and no others
    assert "failed in request; later ones here are in the log only" in shown


@pytest.mark.parametrize("what", [5, None, ["a.py", "x"], b"a.py", object(), object])
def test_what_is_no_script_is_refused(idle, what):
    with pytest.raises(TypeError, match=r"a path with arguments.* or an object with methods"):
        idle.load(what)
    assert len(idle.scripts) == 0


def test_a_function_is_a_handler_and_no_script(idle):
    with pytest.raises(TypeError, match=r'a function and has none.*nbproxy\.on\("response"\)'):
        idle.load(lambda flow: None)


class OnlyLives:
    def running(self):
        """Needs no events."""


class OnlyHasAddons:
    addons = (OnlyLives(),)


@pytest.mark.parametrize("addon", [OnlyLives, OnlyLives(), OnlyHasAddons()])
def test_an_addon_needs_no_function_for_an_event(idle, addon):
    assert idle.load(addon).state == "active"


def test_a_script_of_the_table_is_loaded_again(idle, write, make_flow, texts):
    path = write("a.py", MARK.format("a"))
    script = idle.load(f"{path} x", era="7.0")
    idle.load(write("b.py", MARK.format("b")))
    path.write_text("def request(flow): flow.comment += 'new '")
    assert idle.load(idle.scripts[0]) is script
    flow = make_flow()
    idle.handlers.fire("request", flow)
    assert flow.comment == "new b "
    assert (script.reloads, script.argv, script.era.value, len(idle.scripts)) == (1, ["x"], "G", 2)
    assert texts(idle) == ["done a"]


def test_a_script_that_was_unloaded_is_loaded_again(idle, write, make_flow):
    script = idle.load(write("a.py", MARK.format("a")))
    idle.unload(script)
    again = idle.load(script)
    assert (again.state, script.state, list(idle.scripts)) == ("active", "removed", [again])
    flow = make_flow()
    idle.handlers.fire("request", flow)
    assert flow.comment == "a "
