"""The inspector elsewhere: Notebook 7, the older ipykernel, a remote server, no kernel at all."""

import re
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient
from playwright.sync_api import expect

from tests.browser.desk import CELLS, MOUNT, TRAFFIC, open_desk
from tests.support.jupyter import PYTHONPATH

INTERCEPT = "hold = nbproxy.intercept('~u page=2', on='request')"
BLOCKING = "print(get('/api/users?page=2').json()['page'])"
COUNT = "print(len(nbproxy.flows))"
SECRETS = ("sk-live-4711", "hunter2", "abcdefgh12345678")
LOST = re.compile("Loading widget|Error displaying widget")  # what JupyterLab says
WRITTEN = """() => {
  const { outputs } = window.jupyterapp.shell.currentWidget.content.widgets[1].model;
  return String(outputs.get(1).data['text/html']).includes('/submit');
}"""


def resume_while_blocked(desk, first):
    """Cells `first` and the next one: hold, and wait for somebody to resume."""
    desk.notebook.run(first)
    held = block(desk, first + 1)
    resume(desk, first + 1, held)


def block(desk, cell):
    """Start a cell that waits for what is held now; the entry of it in the queue."""
    desk.notebook.start(cell)
    held = desk.root.locator(".nbi-held-item")
    expect(held).to_contain_text("page=2")
    return held


def resume(desk, cell, held):
    """Let go what a cell waits for."""
    held.get_by_role("button", name="Resume").click()
    desk.notebook.finish(cell)
    assert desk.notebook.text(cell) == "2\n"


def test_notebook_7(notebook7, new_page, picture):
    desk = open_desk(notebook7, new_page(), INTERCEPT, BLOCKING, COUNT)
    notebook = desk.notebook
    picture(desk.page)
    cells = notebook.count()
    desk.grid.focus()
    keys = desk.page.keyboard
    keys.press("Home")
    for _ in range(2):
        keys.press("ArrowDown")  # which Notebook takes for itself unless it is kept from that
    expect(desk.root.locator(".nbi-url")).to_contain_text("/image.png")
    for key in ("b", "a", "d", "d", "x", "m"):
        keys.press(key)
    assert notebook.count() == cells
    keys.press("/")
    keys.type("~c 404")
    desk.expect_count("1 of 8")
    keys.press("Escape")
    desk.expect_count("8 flows")
    resume_while_blocked(desk, 3)
    desk.row("/missing").click()
    desk.menu("To cell", "httpx")
    desk.toast("new cell")
    notebook.run(2)
    assert "404" in notebook.outputs(2)[0]["data"]["text/plain"]
    notebook.restart_kernel()
    expect(desk.root.locator(".nbi-banner")).to_contain_text("The kernel was restarted")
    notebook.shutdown()


def test_an_older_kernel_hears_it_over_the_proxys_port(lab6, new_page):
    page = new_page()
    asked = []
    page.on("response", lambda response: asked.append((response.url, response.status)))
    desk = open_desk(
        lab6, page, INTERCEPT, BLOCKING, BLOCKING, "import ipykernel; print(ipykernel.__version__)"
    )
    assert desk.notebook.run(6) == "6.31.0\n"
    resume_while_blocked(desk, 3)
    knocks = [(url, status) for url, status in asked if "/-/nbproxy/" in url]
    assert knocks
    assert {status for _, status in knocks} == {204}
    assert all(url.startswith("http://127.0.0.1:") for url, _ in knocks)
    held = block(desk, 5)  # details, too, come while a cell blocks
    desk.row("/missing").click()
    expect(desk.panel).to_contain_text("TeapotShop")
    assert desk.notebook.text(5) == ""
    resume(desk, 5, held)
    desk.expect_count("10 flows")  # and knocking is no traffic
    desk.notebook.shutdown()


def test_a_remote_server_leads_it_there(lab6, new_page):
    """As on a hub: this machine's ports cannot be reached, the Jupyter server's can."""
    page = new_page()
    page.route(re.compile(r"^http://127\.0\.0\.1:\d+/-/nbproxy/"), lambda route: route.abort())
    asked = []
    page.on("response", lambda response: asked.append((response.url, response.status)))
    desk = open_desk(lab6, page, INTERCEPT, BLOCKING)
    resume_while_blocked(desk, 3)
    knocks = [(url, status) for url, status in asked if "/-/nbproxy/" in url]
    assert {status for _, status in knocks} == {204}
    assert all(url.startswith(f"{lab6.url}/proxy/") for url, _ in knocks)
    desk.notebook.shutdown()


def test_a_saved_notebook(lab, new_page, picture):
    """Opened again when its kernel is gone: the plain table stands there."""
    page = new_page()
    desk = open_desk(lab, page)
    table = page.locator("[class^=nbp-static]")
    expect(table).to_have_count(1)
    expect(table).to_be_hidden()
    page.wait_for_function(WRITTEN)
    desk.notebook.command("docmanager:save")
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)
    desk.notebook.shutdown()
    saved = nbformat.read(lab.notebooks / desk.notebook.name, 4)
    outputs = repr(saved.cells[1].outputs) + repr(saved.metadata)
    assert "/submit" in outputs
    for secret in (*SECRETS, "token"):
        assert secret not in outputs
    page.goto(lab.address(desk.notebook.name))
    desk.notebook.wait_ready()
    expect(page.locator("[class^=nbp-static]").first).to_contain_text("/submit")
    lost = page.locator(".jp-OutputArea-output", has_text=LOST)
    expect(lost).to_have_count(1)
    expect(lost).to_be_hidden()
    picture(page)
    desk.notebook.shutdown()


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A notebook that was run without a front end, its widgets' state in it, as HTML."""
    folder = tmp_path_factory.mktemp("executed")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in (CELLS[0], TRAFFIC, "nbproxy.inspect()")]
    )
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder))
        patch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
        patch.setenv("PYTHONPATH", PYTHONPATH)
        client.execute()
    path = folder / "executed.ipynb"
    nbformat.write(notebook, path)
    subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "html", "--log-level=ERROR", str(path)],
        check=True,
        timeout=600,
    )
    return path.with_suffix(".html")


def test_a_page_made_by_nbconvert(executed, new_page, picture):
    """Without a network, as on a plane: the plain table is useful all the same."""
    page = new_page(offline=True)
    page.route(re.compile("^https?://"), lambda route: route.abort())
    page.goto(executed.as_uri())
    table = page.locator("[class^=nbp-static]")
    expect(table).to_be_visible()
    for text in ("/submit", "/missing", "404", "8 flows"):
        expect(table).to_contain_text(text)
    for secret in SECRETS:
        assert secret not in table.inner_text()
    picture(page)


def test_the_widget_in_a_page_without_a_kernel(executed, new_page, picture):
    """What a saved notebook keeps is enough for the widget itself to show its last rows."""
    state = re.search(
        r'<script type="application/vnd.jupyter.widget-state\+json">\s*(.*?)\s*</script>',
        executed.read_text(),
        re.DOTALL,
    )
    page = new_page()
    page.goto("about:blank")
    page.evaluate(MOUNT.format(values=SAVED), state[1])
    root = page.locator(".nbi")
    expect(root.locator(".nbi-counts")).to_contain_text("8 flows")
    expect(root.locator(".nbi-banner")).to_contain_text("when it was saved")
    expect(root.locator(".nbi-row:not([hidden])", has_text="/submit")).to_be_visible()
    picture(root)


SAVED = """(() => {
  const { state } = JSON.parse(given);
  const found = Object.values(state).find(({ state }) => state._esm);
  const values = { ...found.state };
  for (const { path, data } of found.buffers ?? []) {
    const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
    let place = values;
    for (const name of path.slice(0, -1)) place = place[name];
    place[path.at(-1)] = new DataView(bytes.buffer);
  }
  return values;
})()"""
