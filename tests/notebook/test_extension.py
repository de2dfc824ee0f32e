"""`%load_ext nbproxy` in real kernels of both lines, with traffic to the local site."""

import contextlib
import re
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest

LOAD = "%load_ext nbproxy"
GET = (
    "import requests\n"
    "requests.get({url!r}, proxies=nbproxy.proxies, verify=nbproxy.ca_file, timeout=60).status_code"
)
LEFTOVERS = """
import threading, gc, asyncio, psutil, os, time
ip = get_ipython()
ours = lambda: [t.name for t in threading.enumerate() if t.name.startswith("nbproxy")]
ends_at = time.monotonic() + 60
while ours() and time.monotonic() < ends_at:  # a flow that went just now may be written still
    time.sleep(0.05)
print(ours())
print([c for c in psutil.Process().net_connections() if c.laddr and c.laddr.port == {port}])
print("nbproxy" in ip.user_ns, "nbproxy" in ip.magics_manager.magics["line"])
print([c for c in ip.configurables if type(c).__name__ == "NbProxy"])
print(["nbproxy" in getattr(m, "matcher_identifier", "") for m in ip.Completer.custom_matchers])
print([cb for e in ("pre_run_cell", "post_run_cell") for cb in ip.events.callbacks[e]
       if "nbproxy" in getattr(cb, "__module__", "")])
print("do_shutdown" in vars(ip.kernel))
print([k for k in ip.display_formatter.ipython_display_formatter.type_printers
       if "nbproxy" in k.__module__])
"""
NOTHING_LEFT = "[]\n[]\nFalse False\n[]\n[]\n[]\nFalse\n[]\n"


@pytest.fixture
def loaded(notebook):
    notebook.execute(LOAD, cell_id="load")
    return notebook


def port_of(kernel):
    return int(kernel.execute("nbproxy.url").value.rpartition(":")[2].strip("'"))


def get_from_outside(port, url):
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{port}"})
    )
    with opener.open(url, timeout=300) as response:
        return response.status


# -- the first five minutes


def test_loading_shows_where_it_listens(notebook):
    result = notebook.execute(LOAD)
    assert len(result.displays) == 1
    card = result.displays[0]
    url = notebook.execute("nbproxy.url").value.strip("'")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
    assert f"listening on {url}" in card["text/plain"]
    assert url in card["text/html"]
    assert "<script" not in card["text/html"]
    assert "on the kernel's event loop" in card["text/plain"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_blocking_client_in_the_same_kernel(loaded, site, scheme):
    base = site.http_url if scheme == "http" else site.https_url
    assert loaded.execute(GET.format(url=f"{base}/api/users")).value == "200"
    assert loaded.execute("len(nbproxy.flows)").value == "1"


def test_curl_from_a_cell(loaded, site):
    loaded.execute(f"target = {site.https_url + '/api/users'!r}")
    result = loaded.execute("!curl -s -x {nbproxy.url} --cacert {nbproxy.ca_file} {target}")
    assert "users" in result.stdout or "{" in result.stdout
    assert loaded.execute("nbproxy.flows[-1].response.status_code").value == "200"


def test_the_frame_is_current(loaded, site):
    for _ in range(2):
        loaded.execute(GET.format(url=site.http_url + "/api/users"))
    shown = loaded.execute("nbproxy.df.groupby('host').response_bytes.sum().index[0]").value
    assert shown == "'127.0.0.1'"
    assert loaded.execute("len(nbproxy.df)").value == "2"


def test_a_handler_changes_traffic_and_prints_under_its_cell(loaded, site):
    defining = loaded.start_cell(
        "@nbproxy.on('response', '~u users')\n"
        "def stamp(flow):\n"
        "    flow.response.headers['x-seen'] = '1'\n"
        "    print('seen', flow.response.status_code)\n",
        cell_id="handler",
    )
    loaded.finish(defining).check()
    request = GET.format(url=site.http_url + "/api/users").replace(
        ".status_code", ".headers['x-seen']"
    )
    using = loaded.start_cell(request, cell_id="use")
    assert loaded.finish(using).check().value == "'1'"
    loaded.wait_stdout(defining, "seen 200")
    assert "seen" not in loaded.outputs_of(using).stdout


def test_traffic_from_outside_prints_under_the_defining_cell(loaded, site):
    defining = loaded.start_cell(
        "@nbproxy.on('response')\ndef tell(flow): print('told')", cell_id="handler"
    )
    loaded.finish(defining).check()
    loaded.execute("1 + 1", cell_id="later")
    assert get_from_outside(port_of(loaded), site.http_url + "/api/users") == 200
    loaded.wait_stdout(defining, "told")


def test_running_a_cell_again_replaces_its_handlers(loaded, site):
    code = "@nbproxy.on('response')\ndef {name}(flow): print('{text}')"
    first = loaded.start_cell(code.format(name="tell", text="one"), cell_id="handler")
    loaded.finish(first).check()
    again = loaded.start_cell(code.format(name="tell", text="two"), cell_id="handler")
    loaded.finish(again).check()
    loaded.execute(GET.format(url=site.http_url + "/api/users"))
    loaded.wait_stdout(again, "two")
    assert loaded.outputs_of(first).stdout == ""
    loaded.execute(code.format(name="renamed", text="three"), cell_id="handler")
    assert loaded.execute("[h.name for h in nbproxy.handlers]").value == "['renamed']"


def test_a_cell_run_inside_a_cell_keeps_the_handlers_of_both(loaded):
    loaded.execute(
        "@nbproxy.on('response')\ndef one(flow): pass\n"
        "get_ipython().run_cell('1 + 1')\n"
        "@nbproxy.on('response')\ndef two(flow): pass",
        cell_id="handler",
    )
    assert loaded.execute("[h.name for h in nbproxy.handlers]").value == "['one', 'two']"
    loaded.execute("%%capture\n@nbproxy.on('response')\ndef one(flow): pass", cell_id="handler")
    assert loaded.execute("[h.name for h in nbproxy.handlers]").value == "['one']"


def test_a_failing_handler_is_shown_once_under_its_cell(loaded, site):
    defining = loaded.start_cell(
        "@nbproxy.on('response')\ndef broken(flow):\n    return flow.response.nonsense",
        cell_id="handler",
    )
    loaded.finish(defining).check()
    for _ in range(3):
        using = loaded.start_cell(GET.format(url=site.http_url + "/api/users"), cell_id="use")
        assert loaded.finish(using).check().value == "200"
        assert loaded.outputs_of(using).stderr == ""
    shown = loaded.wait_until(defining, lambda result: "nonsense" in result.stderr)
    loaded.wait_idle()
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown.stderr).count("AttributeError: ") == 1
    assert "broken (response, In [" in shown.stderr
    assert "return" in shown.stderr, "with the cell's own lines"
    assert "nbproxy/handlers" not in shown.stderr
    assert loaded.execute("[h.errors for h in nbproxy.handlers]").value == "[3]"


def test_handlers_of_the_cell_that_loads(notebook, site):
    code = f"{LOAD}\n@nbproxy.on('response')\ndef tell(flow): print('told')"
    loading = notebook.start_cell(code, cell_id="all")
    notebook.finish(loading).check()
    notebook.execute(GET.format(url=site.http_url + "/api/users"))
    notebook.wait_stdout(loading, "told")
    assert notebook.execute("[h.source.key for h in nbproxy.handlers]").value == "['all']"


def test_a_subshells_cell_keeps_to_itself(loaded, site):
    if loaded.line == "ipykernel6":
        assert not hasattr(loaded, "subshell"), "there are none"
        return
    subshell = loaded.create_subshell()
    main = loaded.start_cell(
        "import time\nwhile 'go' not in globals(): time.sleep(0.01)", cell_id="main"
    )
    inner = loaded.start_cell(
        "@nbproxy.on('response')\ndef tell(flow): print('told')\ngo = True",
        cell_id="inner",
        subshell=subshell,
    )
    loaded.finish(inner).check()
    loaded.finish(main).check()
    assert loaded.execute("[h.source.key for h in nbproxy.handlers]").value == "['inner']"
    assert get_from_outside(port_of(loaded), site.http_url + "/api/users") == 200
    loaded.wait_stdout(inner, "told")


def test_interrupting_an_awaiting_cell_takes_effect_and_the_proxy_goes_on(loaded, site):
    cell = loaded.start_cell("import asyncio\nprint('in', flush=True)\nawait asyncio.sleep(600)")
    loaded.wait_stdout(cell, "in")
    result = loaded.interrupt_cell(cell)
    assert result.status == "error"
    assert loaded.execute(GET.format(url=site.http_url + "/api/users")).value == "200"


def test_a_runaway_handler_can_be_interrupted(loaded, site):
    defining = loaded.start_cell(
        "@nbproxy.on('response')\n"
        "def runaway(flow):\n    print('runs', flush=True)\n    while True: pass",
        cell_id="handler",
    )
    loaded.finish(defining).check()
    client = threading.Thread(
        target=get_from_outside, args=(port_of(loaded), site.http_url + "/api/users")
    )
    loaded.wait_idle()
    client.start()
    loaded.wait_stdout(defining, "runs")
    loaded.interrupt_until(defining, lambda result: "was interrupted" in result.stderr)
    client.join()


# -- loading, unloading, reloading


def test_loading_twice_is_quiet_and_harmless(loaded):
    port = port_of(loaded)
    again = loaded.execute(LOAD)
    assert again.displays == []
    assert "already loaded" in again.stdout
    direct = loaded.execute("nbproxy.load_ipython_extension(get_ipython())")
    assert direct.displays == []
    assert direct.stdout.count("\n") == 1
    assert port_of(loaded) == port


def test_unloading_leaves_nothing(loaded, site):
    loaded.execute(GET.format(url=site.https_url + "/api/users"))
    loaded.execute("nbproxy.flows")
    port = port_of(loaded)
    loaded.execute("%unload_ext nbproxy")
    assert loaded.execute(LEFTOVERS.format(port=port)).stdout == NOTHING_LEFT
    missing = loaded.finish(loaded.start_cell("%nbproxy status"))
    assert "not found" in missing.stderr + missing.error_text
    assert loaded.execute("import nbproxy; len(nbproxy.flows)").value == "1", "flows stay"


def test_unloading_does_not_take_a_name_that_is_not_ours(loaded):
    loaded.execute("nbproxy = 'mine'")
    loaded.execute("%unload_ext nbproxy")
    assert loaded.execute("nbproxy").value == "'mine'"


def test_reloading_keeps_port_flows_and_handlers(loaded, site):
    loaded.execute("@nbproxy.on('response')\ndef tell(flow): print('told')", cell_id="handler")
    loaded.execute(GET.format(url=site.http_url + "/api/users"))
    port = port_of(loaded)
    loaded.execute("%reload_ext nbproxy", cell_id="reload")
    assert port_of(loaded) == port
    assert loaded.execute("len(nbproxy.flows), len(nbproxy.handlers)").value == "(1, 1)"
    assert loaded.execute(GET.format(url=site.http_url + "/api/users")).value == "200"
    assert loaded.execute("len(nbproxy.flows)").value == "2"


def test_autoreload_does_no_harm(loaded, site):
    loaded.execute("%load_ext autoreload\n%autoreload 2")
    assert loaded.execute(GET.format(url=site.http_url + "/api/users")).value == "200"
    loaded.execute("%autoreload 0\n%unload_ext autoreload")


def test_a_proxy_that_runs_already_is_taken_over(notebook, site):
    notebook.execute("import nbproxy\nnbproxy.options.listen_port = 0\nnbproxy.start()")
    port = port_of(notebook)
    notebook.execute(LOAD)
    assert port_of(notebook) == port


def test_if_the_usual_port_is_taken_the_next_free_one_is_said(notebook):
    notebook.execute("get_ipython().config.NbProxy.pop('port')", silent=True)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # somebody else has it: as good
            stack.enter_context(socket.create_server(("127.0.0.1", 8080)))
        card = notebook.execute(LOAD).displays[0]["text/plain"]
    port = int(re.search(r"listening on http://127\.0\.0\.1:(\d+)", card)[1])
    assert 8080 < port <= 8180


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(notebook, listening):
    notebook.execute(f"get_ipython().config.NbProxy.port = {listening}", silent=True)
    failed = notebook.finish(notebook.start_cell(LOAD))
    assert failed.status == "error"
    assert f"cannot listen on 127.0.0.1:{listening}" in failed.stderr
    assert failed.stderr.strip().count("\n") == 0
    left = LEFTOVERS.replace("{port}", "0")
    assert notebook.execute(left).stdout == NOTHING_LEFT


def test_the_loop_may_be_a_thread(notebook, site):
    notebook.execute("get_ipython().config.NbProxy.loop = 'thread'", silent=True)
    try:
        card = notebook.execute(LOAD).displays[0]["text/plain"]
        assert "on a thread of its own" in card
        assert notebook.execute(GET.format(url=site.https_url + "/api/users")).value == "200"
    finally:
        notebook.execute("get_ipython().config.NbProxy.pop('loop')", silent=True)


def test_the_loop_can_be_moved(loaded, site):
    port = port_of(loaded)
    loaded.execute("@nbproxy.on('response')\ndef tell(flow): print('told')", cell_id="handler")
    for loop, words in (("thread", "on a thread of its own"), ("mounted", "on the kernel's")):
        card = loaded.execute(f"%nbproxy start --loop {loop}").displays[0]["text/plain"]
        assert words in card
        assert "1 handler" in card
        assert port_of(loaded) == port
        assert loaded.execute(GET.format(url=site.http_url + "/api/users")).value == "200"


def test_a_wrong_option_is_one_line(loaded):
    failed = loaded.finish(loaded.start_cell("%nbproxy start --prot 3"))
    assert failed.stderr.strip().count("\n") == 0
    assert "did you mean --port?" in failed.stderr


def test_completion_through_the_kernel(loaded):
    assert "status" in loaded.complete("%nbproxy sta")
    assert "responseheaders" in loaded.complete("@nbproxy.on('responseh")
    assert "--port" in loaded.complete("%nbproxy start --p")


def test_config_lists_and_sets_options(loaded):
    assert "NbProxy.ssl_insecure" in loaded.execute("%config NbProxy").stdout
    loaded.execute("%config NbProxy.ssl_insecure = True")
    assert loaded.execute("%config NbProxy.ssl_insecure").value == "True"
    wrong = loaded.finish(loaded.start_cell("%config NbProxy.ssl_insecure = 'perhaps'"))
    assert "true or false" in wrong.stdout + wrong.stderr + wrong.error_text
    loaded.execute("get_ipython().config.NbProxy.pop('ssl_insecure')", silent=True)


def test_a_proxy_is_shown_as_a_card(loaded):
    card = loaded.execute("nbproxy.Proxy(port=0)").displays[0]
    assert "stopped" in card["text/plain"]
    assert "text/html" in card


# -- the end of a kernel


@pytest.fixture
def fresh(fresh_kernel, site, tmp_path, free_port):
    fresh_kernel.execute(
        "c = get_ipython().config.NbProxy\n"
        f"c.confdir = {str(tmp_path / 'confdir')!r}\nc.port = {free_port}\ndel c",
    )
    fresh_kernel.execute(LOAD)
    return fresh_kernel


def test_a_restarted_kernel_takes_the_same_port_at_once(fresh, site, tmp_path, free_port):
    fresh.execute(GET.format(url=site.http_url + "/api/users"))
    fresh.restart()
    fresh.execute(
        "c = get_ipython().config.NbProxy\n"
        f"c.confdir = {str(tmp_path / 'confdir')!r}\nc.port = {free_port}",
    )
    fresh.execute(LOAD)
    assert port_of(fresh) == free_port
    assert fresh.execute("len(nbproxy.flows)").value == "0"


def test_shutting_down_is_clean_while_a_cell_runs(fresh):
    # not one long sleep: a signal that comes just before it begins does not end it (CPython)
    cell = fresh.start_cell("import time\nprint('in', flush=True)\nwhile True: time.sleep(0.01)")
    fresh.wait_stdout(cell, "in")
    fresh.shutdown()
    assert fresh.process.returncode == 0
    assert "nbproxy" not in fresh.log
    assert "Task was destroyed" not in fresh.log


def test_a_killed_kernel_frees_its_port(fresh, tmp_path, free_port):
    fresh.kill9()
    fresh.start()
    fresh.execute(
        "c = get_ipython().config.NbProxy\n"
        f"c.confdir = {str(tmp_path / 'confdir')!r}\nc.port = {free_port}",
    )
    fresh.execute(LOAD)
    assert port_of(fresh) == free_port


# -- without a kernel


def test_a_plain_shell_gets_text_and_a_thread(shell, capsys):
    shell.run(LOAD)
    said = capsys.readouterr().out
    assert "listening on http://127.0.0.1:" in said
    assert "on a thread of its own" in said
    assert "<div" not in said
    shell.run("%unload_ext nbproxy")
    assert "nbproxy" not in shell.user_ns


def test_loading_imports_nothing_heavy():
    program = (
        "import sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "before = set(sys.modules)\n"
        "import nbproxy.notebook.extension\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    heavy = {"pandas", "numpy", "pyarrow", "ipywidgets", "anywidget", "requests"}
    assert not heavy & {name.partition(".")[0] for name in loaded}
