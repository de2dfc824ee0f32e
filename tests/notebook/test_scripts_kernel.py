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
        with opener.open(f"{site.http_url}{path}", timeout=60) as answer:
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
        f"print(opener.open('{site.http_url}/', timeout=60).headers['seen'])\n"
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


VIEWS = """
from pathlib import Path
from mitmproxy import contentviews
class Shout(contentviews.Contentview):
    def prettify(self, data, metadata):
        print("asked")
        while GATE.exists(): pass
        return metadata.flow.request.path.upper()
    def render_priority(self, data, metadata): return 2
class Broken(contentviews.Contentview):
    def prettify(self, data, metadata): return data.nothing
contentviews.add(Shout)
contentviews.add(Broken)
"""
RENDER = "flow = nbproxy.flows[0]\nprint(contentviews.render(flow.response, flow=flow).text())"


def test_views_of_a_cells_script(notebook, ask, tmp_path):
    ask("/?first")
    notebook.execute("from nbproxy import contentviews")
    gate = tmp_path / "gate"
    cell = notebook.start_cell(f"%%nbscript\n{VIEWS}\nGATE = Path({str(gate)!r})")
    notebook.finish(cell).check()
    assert "/?FIRST" in notebook.execute(RENDER).check().stdout
    notebook.wait_stdout(cell, "asked")
    broken = notebook.execute(RENDER.replace("response,", "response, 'broken',")).check().stdout
    assert "It cannot be shown as Broken: AttributeError" in broken
    notebook.wait_until(cell, lambda result: "return data.nothing" in result.stderr)
    assert "return data.nothing" in notebook.execute("nbproxy.log.filter('error')[-1].text").value
    notebook.execute("nbproxy.unload()")
    assert "Shout" not in notebook.execute("contentviews.names(flow.response)").value


def test_traffic_passes_while_a_view_takes_its_time(notebook, ask, tmp_path):
    ask("/?first")
    gate = tmp_path / "gate"
    gate.touch()
    notebook.execute(f"%%nbscript\n{VIEWS}\nGATE = Path({str(gate)!r})").check()
    notebook.execute(
        "from nbproxy import contentviews\nfrom nbproxy.scripts import bodyviews\n"
        "bodyviews.LAY_OUT_S = 600.0"
    ).check()
    cell = notebook.start_cell(RENDER)
    ask("/?second")
    gate.unlink()
    assert "/?FIRST" in notebook.finish(cell).check().stdout
