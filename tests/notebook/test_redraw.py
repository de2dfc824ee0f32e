"""`nbproxy.live(...)` in real kernels: redrawn under its cell while traffic passes."""

import base64
import urllib.request

import pytest


@pytest.fixture
def ask(notebook, site):
    notebook.execute("%load_ext nbproxy").check()
    notebook.execute("import matplotlib; matplotlib.use('agg')", silent=True)
    url = notebook.execute("nbproxy.url").value.strip("'")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": url}))

    def get(path):
        with opener.open(f"{site.http_url}{path}", timeout=60) as answer:
            return answer.read()

    return get


def last(result):
    """What stands under a cell now."""
    return result.updates[-1]["data"] if result.updates else result.displays[-1]


def test_a_plot_follows_the_flows(notebook, ask):
    cell = notebook.start_cell(
        "h = nbproxy.live(lambda df: df.groupby('path').size().plot.barh())\nh", cell_id="plot"
    )
    shown = notebook.finish(cell).check()
    assert shown.value is None  # the handle shows nothing of its own
    assert "no flows" in last(shown)["text/plain"]
    ask("/?one")
    shown = notebook.wait_until(cell, lambda result: "image/png" in last(result))
    first = last(shown)["image/png"]
    assert base64.b64decode(first).startswith(b"\x89PNG")
    ask("/?two")
    notebook.wait_until(cell, lambda result: last(result).get("image/png") != first)
    assert notebook.execute("matplotlib.pyplot.get_fignums()").value == "[]"
    notebook.execute("h.off()").check()
    count = len(notebook.outputs_of(cell).updates)
    ask("/?three")
    assert notebook.execute("len(nbproxy.flows), h.error").value == "(3, None)"
    assert len(notebook.outputs_of(cell).updates) == count


def test_a_table_while_a_cell_blocks(notebook, ask, site):
    ask("/?first")
    cell = notebook.start_cell(
        "nbproxy.live(lambda df: df.groupby('path').size().to_frame('n'))", cell_id="table"
    )
    assert "n" in last(notebook.finish(cell).check())["text/plain"]
    blocking = notebook.start_cell(
        "import urllib.request, time\n"
        "o = urllib.request.build_opener(urllib.request.ProxyHandler(nbproxy.proxies))\n"
        f"o.open('{site.http_url}/?second').read()\n"
        "while 'done' not in globals(): time.sleep(0.02)\n",
    )

    def is_redrawn():
        # by its display id: ipykernel 6 sends it on behalf of the cell that runs
        sent = [update for each in (cell, blocking) for update in notebook.outputs_of(each).updates]
        return any("second" in update["data"].get("text/html", "") for update in sent)

    notebook.wait_for(is_redrawn)
    notebook.interrupt_cell(blocking)


def test_what_fails_later_is_said_and_the_last_picture_stays(notebook, ask):
    ask("/?fine")
    cell = notebook.start_cell(
        "nbproxy.live(lambda df: df[['path']] if len(df) < 2 else 1 / 0)", cell_id="fails"
    )
    notebook.finish(cell).check()
    ask("/?fails")
    shown = notebook.wait_until(
        cell, lambda result: "ZeroDivisionError" in last(result).get("text/html", "")
    )
    assert "fine" in last(shown)["text/html"]


def test_what_fails_at_once_is_the_cells_error(notebook, ask):
    ask("/")
    failed = notebook.finish(notebook.start_cell("nbproxy.live(lambda df: 1 / 0)"))
    assert failed.error_name == "ZeroDivisionError"
    assert "redraw.py" not in failed.traceback


def test_what_it_prints_is_under_its_own_cell(notebook, ask):
    cell = notebook.start_cell("nbproxy.live(lambda df: print(len(df), 'rows'))", cell_id="prints")
    notebook.finish(cell).check()
    waiting = notebook.start_cell("import time\nwhile 'done' not in globals(): time.sleep(0.02)")
    ask("/")
    notebook.wait_stdout(cell, "1 rows")
    assert "rows" not in notebook.interrupt_cell(waiting).stdout


def test_mistakes(notebook, ask):
    for call, words in (
        ("5", "takes a function of the frame, not int"),
        ("len, nbproxy.df", "follows flows such as nbproxy.flows, not DataFrame"),
    ):
        failed = notebook.finish(notebook.start_cell(f"nbproxy.live({call})"))
        assert (failed.error_name, words in failed.error_text) == ("TypeError", True)
