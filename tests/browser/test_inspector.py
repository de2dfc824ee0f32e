"""The inspector in JupyterLab, used as people do."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.desk import Desk, open_desk
from tests.support.proxies import wait_until

SEEN = (
    "print(sorted(flow.request.path.partition('?')[0] for flow in ins.selected), repr(ins.filter))"
)
FRAME = "print(len(ins.df), ins.df.path.tolist()[:2])"
FILTER = "ins.filter = '~m POST'"


@pytest.fixture(scope="module")
def desk(lab, new_page):
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    found = open_desk(lab, page, SEEN, FRAME, FILTER)
    yield found
    found.notebook.shutdown()


@pytest.fixture(autouse=True)
def _from_the_start(desk):
    """Each test begins with no filter, nothing selected, no sorting."""
    page = desk.page
    if desk.filter.input_value():
        desk.root.get_by_role("button", name="Remove the filter").click()
    desk.grid.focus()
    for _ in range(4):
        page.keyboard.press("Escape")
    expect(desk.root.locator(".nbi-detail")).to_be_hidden()
    desk.notebook.run_until(3, "[] ''\n")


def test_what_has_passed(desk, picture):
    assert desk.paths()[:3] == ["/", "/style.css", "/image.png"]
    assert desk.grid.get_attribute("aria-rowcount") == "9"
    expect(desk.row("/missing")).to_contain_text("404")
    expect(desk.row("/submit")).to_contain_text("POST")
    assert "sk-live-4711" not in desk.root.inner_text()
    expect(desk.root.locator(".nbi-where")).to_contain_text("127.0.0.1:")
    desk.expect_count("8 flows")
    picture(desk.root)


def test_the_filter(desk, picture):
    desk.type_filter("~c 4xx | ~m POST")
    desk.expect_count("2 of 8 flows")
    assert desk.paths() == ["/missing", "/submit"]
    desk.notebook.run_until(3, "[] '~c 4xx | ~m POST'\n")
    desk.type_filter("~c 4xx | ~zz")
    expect(desk.problem).to_contain_text("no operator ~zz")
    assert desk.root.locator(".nbi-filter-mark b").text_content() == "~zz"
    assert desk.filter.get_attribute("aria-invalid") == "true"
    assert len(desk.paths()) == 2  # what was understood last still holds
    picture(desk.root, "error")
    desk.filter.press("Escape")
    desk.expect_count("8 flows")


def test_completion_and_history(desk, picture):
    desk.filter.click()
    desk.page.keyboard.type("~c 404 & ~repl")
    choices = desk.root.get_by_role("listbox", name="Completions")
    expect(choices.get_by_role("option").first).to_contain_text("~replay")
    desk.page.keyboard.press("ArrowDown")
    assert desk.filter.get_attribute("aria-activedescendant")
    picture(desk.root)
    desk.page.keyboard.press("Enter")
    assert desk.filter.input_value() == "~c 404 & ~replay"
    desk.filter.fill("~c 404")
    desk.filter.press("Enter")
    desk.expect_count("1 of 8")
    desk.type_filter("")
    desk.expect_count("8 flows")
    desk.filter.press("ArrowUp")
    assert desk.filter.input_value() == "~c 404"
    desk.filter.fill("")
    desk.filter.press("ArrowDown")
    expect(choices).to_contain_text("used before")


def test_what_was_chosen_stays_chosen_while_typing_goes_on(desk):
    desk.filter.click()
    desk.page.keyboard.type("~re")
    options = desk.root.get_by_role("listbox", name="Completions").get_by_role("option")
    expect(options.first).to_contain_text("~replay")
    desk.page.keyboard.press("ArrowDown")
    desk.page.keyboard.press("ArrowDown")
    chosen = options.and_(desk.root.locator("[aria-selected=true]"))
    expect(chosen).to_contain_text("~replayq")
    desk.page.keyboard.type("playq")
    expect(options).to_have_count(1)
    desk.expect_count("0 of 8 flows")  # the kernel has answered
    expect(chosen).to_contain_text("~replayq")
    assert desk.filter.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    desk.page.keyboard.press("Enter")
    assert desk.filter.input_value() == "~replayq"


def test_python_sets_the_filter(desk):
    desk.notebook.run(5)
    desk.expect_count("1 of 8 flows")
    assert desk.filter.input_value() == "~m POST"
    assert desk.paths() == ["/submit"]


def test_what_is_selected_is_seen_by_python(desk):
    desk.row("/style.css").click()
    desk.notebook.run_until(3, "['/style.css'] ''\n")
    desk.row("/missing").click(modifiers=["ControlOrMeta"])
    desk.notebook.run_until(3, "['/missing', '/style.css'] ''\n")
    desk.notebook.run_until(4, "2 ['/style.css', '/missing']\n")
    desk.row("/style.css").click()
    desk.row("/api/users").click(modifiers=["Shift"])
    desk.notebook.run_until(3, "['/api/users', '/image.png', '/style.css'] ''\n")
    expect(desk.rows.and_(desk.root.locator("[aria-selected=true]"))).to_have_count(3)


def test_all_rows_are_selected_by_a_key(desk, picture):
    keys, cells = desk.page.keyboard, desk.notebook.count()
    desk.grid.focus()
    keys.press("ControlOrMeta+a")
    expect(desk.counts).to_contain_text("8 selected")
    expect(desk.root.locator(".nbi-detail")).to_be_hidden()
    picture(desk.root)
    desk.notebook.run_until(4, "8 ['/', '/style.css']\n")
    desk.type_filter("~c 4xx | ~m POST")
    desk.expect_count("2 of 8 flows")
    desk.row("/submit").click()
    expect(desk.panel).to_contain_text("Ada")
    keys.press("ControlOrMeta+a")
    expect(desk.counts).to_contain_text("2 selected")
    expect(desk.panel).to_contain_text("Ada")  # what was looked at stays
    expect(desk.root.locator(".nbi-detail")).to_contain_text("and 1 more selected")
    desk.notebook.run_until(3, "['/missing', '/submit'] '~c 4xx | ~m POST'\n")
    assert desk.page.evaluate("() => getSelection().toString()") == ""
    assert desk.notebook.count() == cells


def test_details(desk, picture):
    desk.row("page=1").click()
    expect(desk.tab("Response")).to_contain_text("application/json")
    expect(desk.panel).to_contain_text('email: "alan.lovelace@shop.test"')
    picture(desk.root, "response")
    desk.panel.get_by_role("button", name="Text").click()
    expect(desk.panel.locator("pre")).to_contain_text('{"page": 1')
    desk.panel.get_by_role("button", name="Hex").click()
    expect(desk.panel.locator("pre")).to_contain_text("00000000  7b")
    desk.panel.get_by_role("button", name="Source").click()
    expect(desk.panel.locator("pre .nbi-j-key").first).to_have_text('"page"')
    desk.panel.get_by_role("button", name="JSON").click()
    expect(desk.panel.get_by_text("alan.lovelace")).to_be_visible()
    desk.panel.get_by_role("button", name="Fold").nth(1).click()
    expect(desk.panel.get_by_text("alan.lovelace")).to_be_hidden()
    request = desk.tab("Request")
    expect(request).to_contain_text("python-requests")
    expect(request).to_contain_text("api_key")
    for name, text in (
        ("Timing", "response complete"),
        ("Connection", "TLSv1.3"),
        ("Cookies", "No cookies"),
        ("Changes", "No handler is known"),
    ):
        expect(desk.tab(name)).to_contain_text(text)
        picture(desk.root, name)
    assert desk.root.get_by_role("tab", name="Messages").count() == 0
    expect(desk.root.locator(".nbi-headline")).to_contain_text("asked by cell 3, line 2, in get()")


def test_an_image_is_shown(desk):
    desk.row("/image.png").click()
    image = desk.tab("Response").locator("img")
    expect(image).to_be_visible()
    expect(image).to_have_js_property("naturalWidth", 64)  # it may be there before it is decoded


def test_secrets_are_shown_when_somebody_asks(desk):
    desk.row("page=2").click()
    panel = desk.tab("Request")
    expect(panel).to_contain_text("Bearer ***")
    desk.button("Reveal").click()
    expect(panel).to_contain_text("Bearer abcdefgh12345678")
    desk.row("/submit").click()  # of another flow they are masked
    expect(panel).to_contain_text("***")
    expect(panel).not_to_contain_text("hunter2")


def test_sorting_and_columns(desk, picture):
    desk.grid.get_by_role("button", name="Size").click()
    expect(desk.grid.get_by_role("columnheader", name="Size")).to_have_attribute(
        "aria-sort", "descending"
    )
    assert desk.paths()[0] == "/image.png"
    desk.grid.get_by_role("button", name="Path").click()
    assert desk.paths() == sorted(desk.paths())
    for _ in range(2):
        desk.grid.get_by_role("button", name="Path").click()
    assert desk.paths()[0] == "/"
    desk.button("Columns").click()
    desk.root.get_by_role("menuitemcheckbox", name="Server").click()
    expect(desk.grid.get_by_role("columnheader", name="Server")).to_be_visible()
    picture(desk.root)
    desk.root.get_by_role("menuitem", name="The usual ones").click()
    expect(desk.grid.get_by_role("columnheader", name="Server")).to_be_hidden()


def test_a_column_is_dragged_wider(desk):
    header = desk.grid.get_by_role("columnheader", name="Host")
    before = header.bounding_box()
    handle = header.locator(".nbi-handle").bounding_box()
    x, y = handle["x"] + 4, handle["y"] + 10
    desk.page.mouse.move(x, y)
    desk.page.mouse.down()
    desk.page.mouse.move(x + 40, y, steps=4)
    desk.page.mouse.up()
    assert header.bounding_box()["width"] == pytest.approx(before["width"] + 40, abs=2)
    header.locator(".nbi-handle").dblclick()
    assert header.bounding_box()["width"] == pytest.approx(before["width"], abs=2)


def test_by_keyboard_alone(desk):
    keys = desk.page.keyboard
    desk.row("/error").click()
    desk.tab("Response")
    desk.grid.focus()
    keys.press("Home")
    expect(desk.panel).to_contain_text("TeapotShop")
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    expect(desk.root.locator(".nbi-url")).to_contain_text("/image.png")
    keys.press("Shift+ArrowDown")
    desk.notebook.run_until(3, "['/api/users', '/image.png'] ''\n")
    desk.grid.focus()
    keys.press("End")
    expect(desk.root.locator(".nbi-url")).to_contain_text("page=2")
    assert desk.grid.get_attribute("aria-activedescendant")
    keys.press("Escape")
    expect(desk.root.locator(".nbi-detail")).to_be_hidden()
    keys.press("/")
    keys.type("~c 500")
    desk.expect_count("1 of 8")
    keys.press("Enter")
    keys.press("ArrowDown")
    expect(desk.root.locator(".nbi-url")).to_contain_text("/error")
    keys.press("e")
    expect(desk.root.get_by_role("form", name="Edit and replay")).to_be_visible()
    keys.press("Escape")
    keys.press("i")
    expect(desk.root.get_by_role("dialog")).to_be_visible()
    keys.press("Escape")
    expect(desk.root.get_by_role("dialog")).to_be_hidden()
    for _ in range(4):
        keys.press("Escape")
    desk.expect_count("8 flows")
    assert desk.notebook.count() == 6  # no shortcut of the notebook's has been at work


def test_copying(desk):
    desk.row("page=2").click()
    desk.menu("Copy", "as curl")
    desk.toast("Copied as curl")
    text = desk.page.evaluate("() => navigator.clipboard.readText()")
    assert text.startswith("curl ")
    assert "Bearer abcdefgh12345678" in text
    desk.menu("Copy", "URL")
    desk.toast("URL copied")
    assert desk.page.evaluate("() => navigator.clipboard.readText()").endswith("page=2")


def test_marking_and_commenting(desk):
    desk.row("/style.css").click()
    desk.button("Mark").click()
    expect(desk.row("/style.css")).to_contain_text("/style.css★")
    expect(desk.root.locator(".nbi-headline")).to_contain_text("★")
    desk.menu("More", "Comment…")
    desk.root.get_by_role("textbox", name="Comment").fill("look here")
    desk.page.keyboard.press("Enter")
    expect(desk.row("/style.css")).to_contain_text("look here")
    expect(desk.root.locator(".nbi-headline")).to_contain_text("look here")

    desk.menu("More", "Comment…")  # lines are kept
    comment = desk.root.get_by_role("textbox", name="Comment")
    expect(comment).to_have_value("look here")
    comment.press("End")
    comment.press("Shift+Enter")
    comment.press_sequentially("and there")
    comment.press("Enter")
    expect(comment).to_have_count(0)
    expect(desk.row("/style.css")).to_contain_text("and there")
    desk.menu("More", "Comment…")
    expect(comment).to_have_value("look here\nand there")
    comment.press("Enter")
    expect(comment).to_have_count(0)

    desk.button("Mark").click()
    expect(desk.row("/style.css")).not_to_contain_text("★")


def test_the_menu_of_a_row(desk, picture):
    """By the right button, in place of JupyterLab's; it is for all that are selected."""
    menu = desk.root.get_by_role("menu", name="Flow")
    desk.row("/style.css").click(button="right")
    expect(menu).to_be_visible()
    assert desk.page.locator(".lm-Menu").count() == 0
    expect(desk.root.locator(".nbi-detail")).to_be_hidden()  # nothing jumps under the pointer
    picture(desk.root)
    box, frame = menu.bounding_box(), desk.root.bounding_box()
    assert box["y"] + box["height"] <= frame["y"] + frame["height"]
    desk.page.keyboard.press("Escape")
    expect(menu).to_have_count(0)
    desk.notebook.run_until(3, "['/style.css'] ''\n")

    desk.row("/missing").click(modifiers=["ControlOrMeta"])
    desk.row("/missing").click(button="right")
    menu.get_by_role("menuitem", name="Mark 2 flows").click()
    for path in ("/style.css", "/missing"):
        expect(desk.row(path)).to_contain_text("★")
    desk.grid.focus()
    desk.page.keyboard.press("ContextMenu")
    desk.page.keyboard.press("End")
    desk.page.keyboard.press("ArrowUp")
    expect(menu.get_by_role("menuitem", name="Save 2 flows…")).to_be_focused()
    menu.get_by_role("menuitem", name="Unmark 2 flows").press("Enter")
    expect(desk.row("/style.css")).not_to_contain_text("★")
    expect(desk.grid).to_be_focused()

    desk.row("/error").click(button="right")  # which is not among the selected ones
    menu.get_by_role("menuitem", name="Copy URL").click()
    desk.page.wait_for_function(
        "async () => (await navigator.clipboard.readText()).endsWith('/error')"
    )
    desk.row("page=2").click(button="right")
    menu.get_by_role("menuitem", name="Edit and replay…").click()
    expect(desk.root.get_by_role("form", name="Edit and replay")).to_be_visible()
    desk.page.keyboard.press("Escape")


def test_saving(desk, lab):
    desk.row("/style.css").click()
    desk.menu("More", "Save…")
    desk.root.get_by_role("textbox", name="File").fill("one.har")
    desk.button("Save").click()
    desk.toast("1 flow saved to one.har")
    har = json.loads((lab.notebooks / "one.har").read_text())
    assert har["log"]["entries"][0]["request"]["url"].endswith("/style.css")


def test_labels_and_roles(desk):
    """What people hear who do not see it."""
    desk.row("/style.css").click()
    expect(desk.tab("Response")).to_contain_text("text/css")
    nameless = desk.root.evaluate(
        """root => [...root.querySelectorAll('button, input, textarea, [role=grid], [role=tab]')]
        .filter(e => e.offsetParent && !(e.getAttribute('aria-label') || e.textContent.trim()
          || e.title || e.labels?.length)).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert not nameless
    loud = desk.root.evaluate(
        """root => [...root.querySelectorAll('button, input, textarea, select, [tabindex]')]
        .filter(e => e.dataset.lmSuppressShortcuts !== 'true').map(e => e.outerHTML.slice(0, 90))"""
    )
    assert not loud
    assert desk.grid.get_attribute("aria-colcount") == "9"
    row = desk.row("/style.css")
    assert row.get_attribute("aria-rowindex") == "3"
    assert row.get_by_role("gridcell").count() == 9
    tabs = desk.root.get_by_role("tablist", name="Details")
    assert tabs.get_by_role("tab", selected=True).count() == 1
    assert desk.panel.get_attribute("aria-labelledby")


def test_dark_and_narrow(desk, picture):
    background = "element => getComputedStyle(element).backgroundColor"

    def light():
        return sum(map(int, re.findall(r"\d+", desk.root.evaluate(background))[:3]))

    desk.row("/missing").click()
    expect(desk.tab("Response")).to_contain_text("TeapotShop")
    assert light() > 600
    picture(desk.root, "light")
    change = "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})"
    desk.page.evaluate(change, "JupyterLab Dark")
    try:
        expect(desk.page.locator("body")).to_have_attribute("data-jp-theme-light", "false")
        wait_until(lambda: light() < 200)
        picture(desk.root, "dark")
    finally:
        desk.page.evaluate(change, "JupyterLab Light")
    expect(desk.page.locator("body")).to_have_attribute("data-jp-theme-light", "true")
    desk.button("Details below or beside the table").click()
    picture(desk.root, "beside")
    desk.button("Details below or beside the table").click()
    desk.page.set_viewport_size({"width": 640, "height": 900})
    try:
        expect(desk.root).to_have_class(re.compile("nbi-narrow"))
        width = desk.root.bounding_box()["width"]
        assert desk.root.evaluate("root => root.scrollWidth") <= width
        expect(desk.button("Details below or beside the table")).to_be_hidden()  # only below
        picture(desk.root, "narrow")
    finally:
        desk.page.set_viewport_size({"width": 1280, "height": 900})


def test_two_views_of_one_widget(desk):
    """A view in a tab of its own is another view of the same model."""
    desk.page.evaluate(
        "() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1; }"
    )
    desk.notebook.command("notebook:create-output-view")
    other = desk.page.locator(".jp-LinkedOutputView .nbi")
    expect(other.locator(".nbi-counts")).to_contain_text("8 flows")
    try:
        desk.page.evaluate("() => 0")
        other.locator(".nbi-row:not([hidden])", has_text="/missing").first.click()
        selected = desk.root.locator("[role=row][aria-selected=true]")
        expect(selected).to_have_count(1)
    finally:
        desk.page.evaluate(
            """() => { for (const widget of window.jupyterapp.shell.widgets('main'))
              if (widget.node.querySelector('.jp-LinkedOutputView')) widget.close(); }"""
        )
    assert Desk(desk.notebook).paths()
