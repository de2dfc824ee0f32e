"""Scripts in real kernels: where their words appear, and reloading while the kernel is idle."""

import urllib.request

import pytest

SCRIPT = """
def load(loader): print("loaded")
def response(flow):
    print("{0}", flow.request.path)
    flow.response.headers["seen"] = "{0}"
"""


@pytest.fixture
def ask(notebook, site):
    """Asks through the kernel's proxy, from outside of the kernel."""
    notebook.execute("%load_ext nbproxy")
    url = notebook.execute("nbproxy.url").value.strip("'")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": url}))

    def get(path):
        with opener.open(f"{site.http_url}{path}", timeout=20) as answer:
            answer.read()
            return answer.headers["seen"]

    yield get
    notebook.execute("nbproxy.unload()", silent=True)


def test_output_lands_under_the_cell_that_loaded_it(notebook, ask, tmp_path):
    path = tmp_path / "a.py"
    path.write_text(SCRIPT.format("one"))
    cell = notebook.start_cell(f"%nbproxy load {path}", cell_id="script")
    assert "loaded" in notebook.finish(cell).check().stdout
    assert ask("/?first") == "one"
    notebook.wait_stdout(cell, "one /?first")
    path.write_text(SCRIPT.format("again"))
    notebook.wait_stdout(cell, "reloaded.")
    assert ask("/?second") == "again"
    notebook.wait_stdout(cell, "again /?second")


def test_a_cells_script_is_replaced(notebook, ask):
    cell = notebook.start_cell(f"%%nbscript\n{SCRIPT.format('one')}", cell_id="script")
    notebook.finish(cell).check()
    again = notebook.start_cell(f"%%nbscript\n{SCRIPT.format('two')}", cell_id="script")
    assert "loaded again" in notebook.finish(again).check().stdout
    assert ask("/?x") == "two"
    notebook.wait_stdout(again, "two /?x")
    assert notebook.execute("len(nbproxy.scripts)").value == "1"


def test_a_blocking_cell_and_its_script(notebook, ask, site):
    notebook.execute(f"%%nbscript\n{SCRIPT.format('one')}")
    code = (
        "import urllib.request\n"
        "opener = urllib.request.build_opener(urllib.request.ProxyHandler(nbproxy.proxies))\n"
        f"print(opener.open('{site.http_url}/', timeout=20).headers['seen'])\n"
    )
    assert "one" in notebook.execute(code).stdout


@pytest.mark.parametrize(
    "body", ["import nowhere_at_all", "from mitmproxy import nothing", "1 / 0"]
)
def test_what_fails_is_shown_with_the_cells_own_lines(notebook, ask, body):
    cell = notebook.start_cell(f"%%nbscript\n{body}\n")
    shown = "\n".join(notebook.finish(cell).reply["traceback"])
    assert "nbproxy/notebook" not in shown
    assert "nbproxy/scripts" not in shown
    assert "Error" in shown
