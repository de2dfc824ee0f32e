"""Scripts and handlers on flows that are over."""

import asyncio
import functools
import gc
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest

import nbproxy
from nbproxy import Proxy, concurrent, saved
from nbproxy.errors import ScriptError
from nbproxy.model.flow import Error, HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.websocket import TEXT, WebSocketData, WebSocketMessage
from nbproxy.offline import copies
from nbproxy.scripts import progress
from nbproxy.store.changes import compare
from nbproxy.store.view import Flows
from tests.formats import made


def flow_to(path, status=200):
    return made.answered(made.new_flow(url=f"http://a.test/{path}"), status)


@pytest.fixture
def flows(tmp_path):
    saved.save([flow_to(str(n), 200 + n) for n in range(3)], tmp_path / "x.mitm")
    return nbproxy.open(tmp_path / "x.mitm")


@pytest.fixture
def write(tmp_path):
    def script(text, name="script.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return path

    return script


@pytest.fixture
def proxy(tmp_path):
    proxy = Proxy(port=0, confdir=tmp_path)
    for number in range(60):
        flow = flow_to(str(number))
        proxy.store.opened(flow)
        proxy.store.closed(flow)
    yield proxy
    proxy.close()


def _mark(mark, flow):
    flow.marked = mark


def rows(frame):
    assert list(frame.columns) == ["flow", "field", "before", "after"]
    return [tuple(row) for row in frame.itertuples(index=False)]


# -- scripts


def test_a_script_on_saved_flows(flows, write, tmp_path):
    path = write(
        """
        import sys
        def start(context, argv): context.word = argv[1]
        def response(context, flow):
            if flow.response.code == 201:
                flow.response.headers["X-Word"] = [context.word]
        """
    )
    done = flows.run(f"{path} hello", era="0.11")
    assert isinstance(done, Flows)
    assert rows(done.changes()) == [(flows[1].id, 'response.headers["X-Word"]', None, "hello")]
    assert done.originals == list(flows)
    assert not {flow.id for flow in flows} & {flow.id for flow in done}
    assert "X-Word" not in flows[1].response.headers
    assert done[1].response.headers["X-Word"] == "hello"
    assert len(done.filter("~hs X-Word")) == 1
    assert list(done.df.status) == [200, 201, 202]
    assert done.save(tmp_path / "out.mitm") == 3
    assert len(flows) == 3


@pytest.mark.parametrize("way", ["run", "preview"])
def test_flows_that_are_over_are_copied_once(proxy, way):
    def count():  # those of other tests go when they like
        gc.collect()
        return sum(
            isinstance(each, HTTPFlow) and each.comment == "of this test"
            for each in gc.get_objects()
        )

    flows = list(proxy.flows)
    for flow in flows:
        flow.comment = "of this test"
    before, seen = count(), []

    def response(flow):
        flow.marked = "x"
        if flow.request.path == "/59":
            seen.append(count())

    if way == "run":
        changed = proxy.flows.run(response).changes()
    else:
        changed = proxy.preview(response, flows)
    assert rows(changed) == [(flow.id, "marked", "", "x") for flow in flows]
    assert seen == [before + len(flows)]


def test_a_live_flow_may_go_on_meanwhile(proxy):
    class Control:
        def resume(self): ...
        def kill(self): ...

    flow = proxy.flows[0]
    flow._control = Control()

    def response(copied):
        flow.comment = "went on"
        copied.marked = "x"

    assert rows(proxy.preview(response, [flow])) == [(flow.id, "marked", "", "x")]
    assert rows(proxy.flows[:1].run(response).changes()) == [(flow.id, "marked", "", "x")]
    flow._control = None


def test_one_flow_alone(flows, proxy, write):
    path = write("def response(flow): flow.response.headers['X-One'] = '1'")
    for flow in (flows[1], proxy.flows[3]):
        done = flow.run(str(path))
        assert done.response.headers["X-One"] == "1"
        assert done.id != flow.id
        assert "X-One" not in flow.response.headers


def test_a_long_run_says_how_far_it_is(flows, monkeypatch, capsys):
    clock = iter(range(100))
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert list(progress.progress(list(range(40)), "flows")) == list(range(40))
    shown = capsys.readouterr().err
    assert "16 of 40 flows" in shown
    assert shown.endswith("40 of 40 flows\n")


def test_an_addon_object(flows):
    class Later:
        async def request(self, flow):
            flow.request.method = "PUT"

    changes = rows(flows[:1].run(Later()).changes())
    assert changes == [(flows[0].id, "request.method", "GET", "PUT")]


def test_a_function(flows):
    def request(flow):  # for the hook of its name
        flow.request.method = "PUT"

    assert rows(flows[:1].run(request).changes()) == [(flows[0].id, "request.method", "GET", "PUT")]
    done = flows[:1].run(lambda flow: flow.response.headers.update({"x": "y"}))  # for `response`
    assert rows(done.changes()) == [(flows[0].id, 'response.headers["x"]', None, "y")]
    done = flows[:1].run(functools.partial(_mark, "seen"))
    assert rows(done.changes()) == [(flows[0].id, "marked", "", "seen")]


@pytest.mark.parametrize("what", [7, None, object(), {"response": print}, b"script.py"])
def test_what_is_neither_a_script_nor_an_addon_nor_a_function(flows, what):
    for run in (flows.run, flows[0].run):
        with pytest.raises(TypeError, match=r"run takes a script's path.* addon .* or a function"):
            run(what)


def test_no_proxy_is_needed(flows, write, tmp_path):
    path = write("def request(flow): flow.request.method = 'PUT'\n")
    program = f"""
import nbproxy
print(len(nbproxy.open({str(tmp_path / "x.mitm")!r}).run({str(path)!r}).changes()))
"""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


def test_nothing_changed(flows, write):
    frame = flows.run(write("def response(flow): pass\n")).changes()
    assert rows(frame) == []
    assert frame["flow"].dtype == "int64"


def test_tasks_of_a_script_where_no_loop_runs(proxy, write):
    path = write(
        """
        import asyncio
        from mitmproxy import ctx
        tasks = []
        async def wait(flow):
            flow.comment = "began"
            try:
                await asyncio.Event().wait()
            finally:
                ctx.log.info("ended")
        def request(flow):
            tasks.append(asyncio.create_task(wait(flow)))
        async def response(flow):
            await asyncio.sleep(0)
            flow.marked = "x"
        def done():
            asyncio.get_running_loop().call_soon(ctx.log.info, "over")
        """
    )
    done = proxy.flows[:2].run(str(path))
    assert [flow.marked for flow in done] == ["x", "x"]
    assert {entry.level for entry in proxy.log} <= {"info"}
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_who_has_no_loop_may_run_one(proxy, write):
    text = "import asyncio\ndef response(flow): asyncio.run(asyncio.sleep(0)); flow.marked = 'x'"
    assert proxy.flows[0].run(str(write(text)), era="2.0").marked == "x"

    def response(flow):
        asyncio.run(asyncio.sleep(0))
        flow.marked = "x"

    assert proxy.flows[0].run(response).marked == "x"
    assert not len(proxy.log)


def test_options_and_log_are_those_of_the_proxy(proxy, write):
    path = write("from mitmproxy import ctx\ndef request(flow): ctx.log.warn(flow.request.path)\n")
    done = proxy.flows[:2].run(path)
    assert len(done) == 2
    assert [entry.text for entry in proxy.log][-2:] == ["/0", "/1"]
    assert len(proxy.flows) == 60
    assert len(proxy.scripts) == 0


def test_a_script_that_cannot_be_loaded(flows, write):
    with pytest.raises(ScriptError):
        flows.run(write("1 / 0\n"))
    with pytest.raises(ValueError, match="era"):
        flows.run(write("x = 1\n"), era="nonsense")


@pytest.mark.parametrize("name", ["flows", "proxy"])
def test_a_failure_to_load_shows_no_lines_of_ours(request, write, name):
    source = request.getfixturevalue(name)
    some = source if name == "flows" else source.flows
    for run in (some.run, some[0].run):
        with pytest.raises(ScriptError) as refused:
            run(write("1 / 0\n"))
        hidden = [frame.locals.get("__tracebackhide__") for frame in refused.traceback[1:]]
        assert hidden
        assert all(hidden)
        assert isinstance(refused.value.__cause__, ZeroDivisionError)


def test_preview_of_a_script_says_what_to_do(proxy, write):
    path = write("def request(flow): pass\n")
    for script in (path, str(path)):
        with pytest.raises(TypeError, match=r"flows\.run\('.*script\.py'\)\.changes\(\)"):
            proxy.preview(script)


async def test_a_script_that_fails_is_shown_once(proxy, write, capsys):
    path = write(
        """
        def request(flow): 1 / 0
        async def response(flow): flow.response.headers["no"].upper()
        """
    )
    assert rows(proxy.flows[:3].run(path).changes()) == []
    shown = capsys.readouterr().err
    assert shown.count("ZeroDivisionError: ") == shown.count("KeyError: ") == 1
    failures = [entry for entry in proxy.log if entry.level == "error"]
    assert len(failures) == 6


def test_what_flows_share_is_not_touched(flows):
    flow = flows[0]
    flow.error = Error("it broke")
    flow.metadata["list"] = [1]
    flow.metadata["odd"] = odd = (n for n in ())  # cannot be copied
    address = flow.server_conn.address

    class Rude:
        def request(self, flow):
            flow.metadata["list"].append(2)
            flow.server_conn.address = ("elsewhere.test", 1)

        def error(self, flow):
            flow.error.msg = "nothing"

    done = flows[:1].run(Rude())
    assert rows(done.changes()) == [
        (flow.id, "error", "it broke", "nothing"),
        (flow.id, "metadata['list']", [1], [1, 2]),
    ]
    assert (flow.error.msg, flow.metadata["list"]) == ("it broke", [1])
    assert flow.server_conn.address == address
    assert done[0].metadata["odd"] is odd


# -- handlers


def test_preview_looks_at_the_last_fifty(proxy):
    def response(flow):
        flow.response.headers["x-new"] = flow.request.path

    found = rows(proxy.preview(response))
    assert found[0] == (proxy.flows[10].id, 'response.headers["x-new"]', None, "/10")
    assert len(found) == 50
    assert all("x-new" not in flow.response.headers for flow in proxy.flows)
    assert len(proxy.preview(response, proxy.flows[:2])) == 2


def test_preview_of_registered_ones(proxy):
    @proxy.on("request", "~u /5$")
    @proxy.on("response", "~u /7$")
    def stamp(flow):
        flow.comment = "seen"

    flows = proxy.flows[:10]
    assert [row[0] for row in rows(proxy.preview(stamp, flows))] == [flows[5].id, flows[7].id]
    number = next(iter(proxy.handlers)).number
    assert len(proxy.preview(number, flows)) == 1
    assert [handler.calls for handler in proxy.handlers] == [0, 0]


def test_preview_for_a_hook(proxy):
    def any_name(flow):
        flow.comment = "without" if flow.response is None else "with"

    assert len(proxy.preview(any_name, proxy.flows[:3])) == 3
    assert rows(proxy.preview(any_name, proxy.flows[:3], hook="error")) == []
    with pytest.raises(ValueError, match="clientconnect does not come"):
        proxy.preview(any_name, hook="client_connected")
    with pytest.raises(ValueError, match="there is no hook 'responce'"):
        proxy.preview(any_name, hook="responce")
    with pytest.raises(ValueError, match="nothing here is a hook"):
        proxy.preview(object())


async def test_preview_of_all_kinds_with_a_loop_running(proxy):
    async def request(flow):
        flow.request.path = "/async"

    @concurrent
    def response(flow):
        flow.response.text = "concurrent"

    class Both:
        pass

    Both.request, Both.response = staticmethod(request), staticmethod(response)
    (flow,) = proxy.flows[:1]
    was = flow.response.text
    assert rows(proxy.preview(request, [flow])) == [(flow.id, "request.path", "/0", "/async")]
    found = rows(proxy.preview(response, [flow]))
    assert (flow.id, "response.content", was, "concurrent") in found
    assert {row[1] for row in rows(proxy.preview(Both, [flow]))} >= {
        "request.path",
        "response.content",
    }


def test_preview_of_one_that_fails(proxy, capsys):
    def response(flow):
        flow.marked = "x"
        raise KeyError(flow.request.path)

    first, second = flows = proxy.flows[:2]
    second.metadata["handler_errors"] = ["of then"]
    changes = rows(proxy.preview(response, flows))
    assert changes == [(flow.id, "marked", "", "x") for flow in flows]  # and nothing else
    assert "KeyError" in capsys.readouterr().err
    assert not first.metadata
    assert second.metadata == {"handler_errors": ["of then"]}


@pytest.mark.parametrize("kind", ["sync", "async", "thread"])
def test_preview_of_one_that_kills(proxy, capsys, kind):
    seen = []

    class Addon:
        def request(self, flow):
            flow.intercept()
            if flow.request.path != "/1":
                flow.kill()
                flow.kill()

        def response(self, flow):
            seen.append(("response", flow.id))

        def error(self, flow):
            seen.append(("error", flow.id))

    class AsyncAddon(Addon):
        async def request(self, flow):
            Addon.request(self, flow)

    class ThreadAddon(Addon):
        @concurrent
        def request(self, flow):
            Addon.request(self, flow)

    some = proxy.flows[:3]
    addon = {"sync": Addon, "async": AsyncAddon, "thread": ThreadAddon}[kind]
    killed = rows(proxy.preview(addon, some))
    assert killed == [(some[n].id, "error", None, Error.KILLED_MESSAGE) for n in (0, 2)]
    assert seen == list(zip(("error", "response", "error"), (f.id for f in some), strict=True))
    assert not any(flow.error or flow.live or flow.intercepted for flow in some)
    assert capsys.readouterr().err == ""


def test_preview_names_the_flows_that_one_knows(proxy, capsys):
    def response(flow):
        raise KeyError(flow.id)

    proxy.preview(response, proxy.flows[5:6])
    shown = capsys.readouterr().err
    assert f"failed on flow {proxy.flows[5].id};" in shown
    assert f"KeyError: {proxy.flows[5].id}\n" in shown


# -- what is different


def changed(change, flow=None):
    before = flow or flow_to("x")
    (after,) = copies([before])
    change(after)
    return [tuple(each[1:]) for each in compare(before, after)]


def test_attributes_and_headers():
    def change(flow):
        flow.request.method = "POST"
        flow.request.headers["B"] = "2"
        flow.request.headers.set_all("A", ["1", "2"])
        flow.response.reason = "Fine"
        flow.marked = True

    flow = flow_to("x")
    flow.request.headers = Headers({"a": "0", "c": "3"})
    assert changed(change, flow) == [
        ("request.method", flow.request.method, "POST"),
        ('request.headers["A"]', "0", "1, 2"),
        ('request.headers["B"]', None, "2"),
        ("response.reason", flow.response.reason, "Fine"),
        ("marked", "", ":default:"),
    ]


def test_order_of_headers_and_trailers():
    flow = flow_to("x")
    flow.request.headers = Headers({"a": "0", "b": "3"})

    def change(flow):
        flow.request.headers = Headers({"b": "3", "a": "0"})
        flow.response.trailers = Headers({"t": "1"})

    assert [(field, before is None) for field, before, _ in changed(change, flow)] == [
        ("request.headers", False),
        ("response.trailers", True),
    ]
    flow.request.trailers = Headers({"t": "1"})

    def again(flow):
        flow.request.trailers["t"] = "2"

    assert changed(again, flow) == [('request.trailers["t"]', "1", "2")]


def test_bodies():
    def binary(flow):
        flow.response.raw_content = b"\0\1"

    def none(flow):
        flow.response.raw_content = None

    def coded(flow):
        flow.response.encode("gzip")

    flow = flow_to("x")
    flow.response.content = b"text"
    assert changed(binary, flow) == [("response.content", "text", b"\0\1")]
    assert changed(none, flow) == [("response.content", "text", None)]
    found = {field: (before, after) for field, before, after in changed(coded, flow)}
    assert found['response.headers["content-encoding"]'] == (None, "gzip")
    assert found["response.raw_content"][0] == b"text"
    assert "response.content" not in found


def test_responses_that_come_and_go():
    def gone(flow):
        flow.response = None

    ((field, before, after),) = changed(gone)
    assert (field, "200" in before, after) == ("response", True, None)

    def nonsense(flow):
        flow.response = "no response"

    assert [(field, after) for field, _, after in changed(nonsense)] == [
        ("response", "'no response'")
    ]


def test_websockets():
    flow = flow_to("x")
    flow.websocket = WebSocketData([WebSocketMessage(TEXT, from_client=True, content=b"a")])

    def change(flow):
        flow.websocket.messages[0].content = b"b"
        flow.websocket.messages[0].drop()
        flow.websocket.messages.append(WebSocketMessage(TEXT, from_client=False, content=b"c"))

    assert changed(change, flow) == [
        ("websocket.messages[0].dropped", False, True),
        ("websocket.messages[0].content", b"a", b"b"),
        ("websocket.messages[1]", None, b"c"),
    ]

    def gone(flow):
        flow.websocket = None

    assert changed(gone, flow) == [("websocket.messages[0]", b"a", None)]


def test_metadata_that_cannot_be_compared():
    class Odd:
        def __eq__(self, other):
            raise RuntimeError

        __hash__ = None

    def change(flow):
        flow.metadata["odd"] = Odd()

    flow = flow_to("x")
    flow.metadata["odd"] = Odd()
    ((field, _, _),) = changed(change, flow)
    assert field == "metadata['odd']"
