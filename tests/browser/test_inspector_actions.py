"""What the inspector's buttons do: replay, edit, intercept, new cells; while a cell blocks, too."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.desk import open_desk

INTERCEPT = "hold = nbproxy.intercept('~u users', on='request')"
BLOCKING = "print(get('/api/users?page=2').json()['page'])"
BLOCKING_ANSWER = (
    "hold.off()\nhold = nbproxy.intercept('~u users', on='response')\nprint(get('/api/users').text)"
)
DROPPED = """
try:
    get("/api/users")
except requests.RequestException as error:
    print(type(error).__name__)
"""
ANSWERED = "answer = get('/api/users')\nprint(answer.status_code, answer.text)"
OFF = "hold.off()"
THREADS = """
from threading import Thread

nbproxy.intercept("~u held", on="request", timeout=1000)
tasks = globals().get("tasks", [])
for number in range({first}, {first} + 3):
    tasks.append(Thread(target=get, args=(f"/held/{{number}}",), daemon=True))
    tasks[-1].start()
"""
DONE = "for task in tasks: task.join()"
CURL = """
from pathlib import Path
url = f"{site.https_url}/slow?seconds=0.2"
while not Path("seen").exists():  # until the page shows it
    !curl -s -o /dev/null -x {nbproxy.url} --cacert {nbproxy.ca_file} {url}
"""
HANDLER = """
@nbproxy.on("response", "~u teapot")
def stamp(flow):
    flow.response.headers["x-seen"] = "1"

get("/teapot").status_code
"""
CLEAR = "nbproxy.off()\nnbproxy.clear()"


@pytest.fixture(scope="module")
def page(new_page):
    """A page for one notebook after the other: to load JupyterLab takes longer than most tests."""
    return new_page(permissions=["clipboard-write"])


@pytest.fixture
def desk(lab, page, request):
    """Each test has a notebook and a kernel of its own, and cells 3 and on."""
    found = open_desk(lab, page, *request.param)
    yield found
    found.notebook.shutdown()


def cells(*more):
    return pytest.mark.parametrize("desk", [more], indirect=True, ids=["cells"])


def held(desk):
    return desk.root.locator(".nbi-held-item")


@cells(CURL)
def test_the_table_grows_while_curl_runs(desk, lab):
    """In a cell that blocks the kernel; rows come one after the other, not at its end."""
    seen = lab.notebooks / "seen"
    seen.unlink(missing_ok=True)
    desk.notebook.start(3)
    expect(desk.rows.filter(has_text="/slow").nth(1)).to_be_visible()
    seen.touch()
    desk.notebook.finish(3)
    expect(desk.row("/slow")).to_contain_text("200")


@cells(INTERCEPT, BLOCKING, BLOCKING_ANSWER, DROPPED, ANSWERED, OFF)
def test_intercepting_while_a_cell_waits_for_it(desk, picture):
    notebook = desk.notebook
    notebook.run(3)
    notebook.start(4)
    expect(held(desk)).to_contain_text("/api/users?page=2")
    expect(desk.row("held")).to_contain_text("page=2")
    picture(desk.root, "held")
    held(desk).get_by_role("button", name="Edit…").click()
    form = desk.root.get_by_role("form", name="Edit the held request")
    url = form.get_by_label("URL")
    url.fill(url.input_value().replace("page=2", "page=3"))
    picture(desk.root, "editor")
    desk.button("Resume with this").click()
    notebook.finish(4)
    assert notebook.text(4) == "3\n"
    expect(held(desk)).to_have_count(0)

    notebook.start(5)  # the response is held, and the client gets another one
    expect(held(desk)).to_contain_text("response")
    held(desk).get_by_role("button", name="Edit…").click()
    form = desk.root.get_by_role("form", name="Edit the held response")
    form.get_by_label("Body").fill('{"users": []}')
    desk.page.keyboard.press("ControlOrMeta+Enter")
    notebook.finish(5)
    assert notebook.text(5) == '{"users": []}\n'

    notebook.start(6)
    held(desk).get_by_role("button", name="Drop").click()
    notebook.finish(6)
    assert re.fullmatch(r"(ConnectionError|ProxyError|SSLError)\n", notebook.text(6))

    notebook.start(7)
    held(desk).get_by_role("button", name="Answer…").click()
    form = desk.root.get_by_role("form", name="Answer with")
    form.get_by_label("Status").fill("418")
    form.get_by_label("Reason").fill("Teapot")
    form.get_by_label("Body").fill("short and stout")
    desk.button("Answer").click()
    notebook.finish(7)
    assert notebook.text(7) == "418 short and stout\n"


@cells(THREADS.format(first=0), THREADS.format(first=3), "nbproxy.intercepts.resume_all()", DONE)
def test_the_queue_by_keyboard_alone(desk, picture):
    """The focus goes from one held flow to the next; those that come do not disturb it."""
    notebook, keys = desk.notebook, desk.page.keyboard
    notebook.run(3)
    expect(held(desk)).to_have_count(3)
    urls = held(desk).locator(".nbi-held-url").all_inner_texts()
    resume = held(desk).nth(0).get_by_role("button", name="Resume")
    desk.grid.focus()
    for _ in range(30):  # some columns and buttons are on the way
        keys.press("Shift+Tab")
        if resume.evaluate("button => button === document.activeElement"):
            break
    expect(resume).to_be_focused()
    desk.page.evaluate("() => { window.pressed = document.activeElement; }")
    notebook.run_in_background(4)
    expect(held(desk)).to_have_count(6)
    assert desk.page.evaluate("() => window.pressed === document.activeElement")
    keys.press("Enter")
    expect(held(desk)).to_have_count(5)
    expect(held(desk).first).to_contain_text(urls[1])
    expect(held(desk).first.get_by_role("button", name="Resume")).to_be_focused()
    keys.press("Tab")
    keys.press("Enter")
    form = desk.root.get_by_role("form", name="Edit the held request")
    expect(form).to_be_visible()
    notebook.run_in_background(5)  # somebody else lets them all go
    expect(held(desk)).to_have_count(0)
    expect(form.get_by_role("alert")).to_contain_text("not held any more")
    expect(desk.button("Resume with this")).to_be_disabled()
    picture(desk.root)
    keys.press("Escape")
    expect(form).to_be_hidden()
    notebook.run(6)


@cells(
    "task = __import__('threading').Thread(target=lambda: get('/style.css')); task.start()",
    "for each in nbproxy.intercepts: nbproxy.intercepts.extend(each.flow, 0.01)",
)
def test_intercepting_from_the_page(desk):
    desk.button("Intercept").click()
    desk.root.get_by_role("textbox", name="Filter", exact=True).fill("~u style")
    desk.root.get_by_role("dialog").get_by_role("button", name="Intercept").click()
    button = desk.root.locator(".nbi-intercept")
    expect(button).to_have_attribute("aria-pressed", "true")
    desk.notebook.run(3)
    expect(held(desk)).to_contain_text("/style.css")
    expect(held(desk)).to_contain_text("request")
    assert int(held(desk).locator(".nbi-held-left").inner_text().removesuffix(" s")) > 30
    held(desk).get_by_role("button", name="Resume").click()
    expect(held(desk)).to_contain_text("response")
    desk.notebook.run(4)  # its time is up
    desk.toast("Flow 8 went on unchanged: the time was up")
    expect(held(desk)).to_have_count(0)
    desk.expect_count("9 flows")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    desk.button("Intercept").click()
    desk.root.get_by_role("textbox", name="Filter", exact=True).fill("~zz")
    desk.root.get_by_role("dialog").get_by_role("button", name="Intercept").click()
    desk.toast("no operator")
    desk.button("Intercept").click()
    desk.root.get_by_role("textbox", name="Filter", exact=True).fill("~u style & ~s")
    desk.root.get_by_role("dialog").get_by_role("button", name="Intercept").click()
    expect(button).to_have_attribute("aria-pressed", "true")
    desk.notebook.run(3)
    expect(held(desk)).to_contain_text("response")  # the request was not held, as is said there
    desk.notebook.run(4)
    expect(held(desk)).to_have_count(0)


@cells()
def test_sending_again(desk):
    desk.row("/missing").click()
    desk.button("↻ Replay").click()
    desk.expect_count("9 flows")
    expect(desk.root.locator(".nbi-headline")).to_contain_text("replayed")
    assert desk.paths()[-1] == "/missing"
    desk.row("/submit").click()
    desk.page.keyboard.press("e")
    form = desk.root.get_by_role("form", name="Edit and replay")
    body = form.get_by_label("Body")
    assert body.input_value().startswith("name=Ada&password=***")
    body.fill(body.input_value().replace("Ada", "Grace"))
    desk.button("Send").click()
    desk.expect_count("10 flows")
    expect(desk.tab("Response")).to_contain_text("Grace")
    desk.tab("Request")
    desk.button("Reveal").click()
    expect(desk.panel).to_contain_text("hunter2")  # the secret was sent, unseen


@cells()
def test_an_editor_says_what_cannot_be_sent(desk):
    desk.row("/missing").click()
    desk.page.keyboard.press("e")
    form = desk.root.get_by_role("form", name="Edit and replay")
    form.get_by_label("Headers").fill("no colon here")
    desk.button("Send").click()
    expect(form.get_by_role("alert")).to_contain_text("name: value")
    form.get_by_label("Headers").fill("host: x")
    form.get_by_label("URL").fill("nowhere")
    desk.button("Send").click()
    expect(form.get_by_role("alert")).not_to_contain_text("name: value")
    expect(form.get_by_role("alert")).to_be_visible()


@cells("pass")
@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_to_a_new_cell_that_runs(desk, library):
    desk.row("page=2").click()
    desk.menu("To cell", library)
    desk.toast("new cell")
    notebook = desk.notebook
    assert notebook.count() == 5
    source = notebook.source(2)
    assert f"import {library}" in source
    assert "abcdefgh12345678" not in source
    notebook.run(2)
    assert "200" in notebook.outputs(2)[0]["data"]["text/plain"]
    desk.expect_count("9 flows")
    desk.root.locator("[role=row]", has_text="page=2").last.click()
    desk.tab("Request")
    desk.button("Reveal").click()
    expect(desk.panel).to_contain_text("Bearer abcdefgh12345678")


@cells(HANDLER)
def test_what_handlers_changed(desk):
    desk.notebook.run(3)
    desk.row("/teapot").click()
    panel = desk.tab("Changes")
    expect(panel).to_contain_text("stamp")
    expect(panel).to_contain_text('response.headers["x-seen"]')


@cells(CLEAR)
def test_forgetting(desk):
    desk.row("/missing").click()
    desk.menu("More", "Remove from the flows")
    desk.expect_count("7 flows")
    desk.notebook.run(3)
    desk.expect_count("0 flows")
    expect(desk.root.locator(".nbi-empty")).to_contain_text("Nothing has passed yet")
    desk.notebook.run(2)
    desk.expect_count("8 flows")


@cells("get('/style.css')\nprint(ins)")
def test_a_restarted_kernel(desk, lab, picture):
    desk.row("/missing").click()
    desk.notebook.restart_kernel()
    expect(desk.root.locator(".nbi-banner")).to_contain_text("The kernel was restarted")
    expect(desk.root.locator(".nbi-where")).to_have_text("kernel restarted")
    desk.row("/error").click()
    expect(desk.panel).to_contain_text("is gone")
    picture(desk.root)
    desk.notebook.run(0)
    desk.notebook.run(1)
    expect(desk.root.locator(".nbi-where")).to_contain_text("127.0.0.1:")
    desk.notebook.run(2)
    desk.expect_count("8 flows")


@cells("print(len(nbproxy.flows))")
def test_a_page_that_is_loaded_again(desk):
    """The widget is alive in the kernel: a new page gets all of it, the filter too."""
    desk.type_filter("~c 404")
    desk.expect_count("1 of 8")
    desk.row("/missing").click()
    desk.notebook.command("docmanager:save")
    expect(desk.page.locator(".jp-mod-dirty")).to_have_count(0)
    desk.page.reload()
    desk.notebook.wait_ready()
    desk.root.wait_for()
    desk.expect_count("1 of 8 flows")
    assert desk.filter.input_value() == "~c 404"
    expect(desk.root.locator(".nbi-url")).to_contain_text("/missing")
    desk.notebook.shutdown()
    desk.page.goto("about:blank")  # the next test gets a JupyterLab that has restored nothing


@cells("nbproxy.stop()", "nbproxy.start();", "%unload_ext nbproxy")
def test_a_stopped_proxy(desk):
    where = desk.root.locator(".nbi-where")
    desk.notebook.run(3)
    expect(where).to_have_text("proxy stopped")
    desk.row("/missing").click()
    desk.button("↻ Replay").click()
    desk.toast("stopped")
    desk.notebook.run(4)
    expect(where).to_contain_text("127.0.0.1:")
    desk.notebook.run(5)
    expect(desk.root.locator(".nbi-banner")).to_contain_text("unloaded")
