"""Views of bodies that scripts add, in the details: chosen, failing, changed, gone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.desk import open_desk

SCRIPT = r"""
%%writefile views.py
from mitmproxy import contentviews

class Outline(contentviews.Contentview):
    syntax_highlight = "yaml"
    def prettify(self, data, metadata):
        import json
        user = json.loads(data)["users"][0]
        lines = [f"{name}: {value}" for name, value in user.items()]
        return "\n".join([f"# {metadata.flow.request.path.partition('?')[0]}", *lines])
    def render_priority(self, data, metadata):
        return 2 if metadata.content_type == "application/json" else 0

class Hostile(contentviews.View):
    name = "hostile"
    def __call__(self, data, **metadata):
        attack = "<img src=x onerror=\"canary='dead'\"></pre><script>canary='dead'</script>"
        return attack, [[("header", attack), ("text", "\x1b[31m")]]

class Broken(contentviews.Contentview):
    def prettify(self, data, metadata):
        return {}["nothing"]

for each in (Outline, Hostile, Broken):
    contentviews.add(each)
"""
LOAD = "%nbproxy load views.py"
CHANGE = """
from pathlib import Path
text = Path("views.py").read_text().replace('f"{name}: {value}"', 'f"{name}: changed"')
_ = Path("views.py").write_text(text)
"""
UNLOAD = "nbproxy.unload()"
ADDED = ["Outline", "Hostile", "Broken"]


@pytest.fixture(scope="module")
def desk(lab, new_page):
    found = open_desk(lab, new_page(), SCRIPT.strip(), LOAD, CHANGE, UNLOAD)
    yield found
    found.notebook.shutdown()


def test_views_of_a_script_come_change_and_go(desk, picture):
    desk.page.evaluate("() => { window.canary = 'alive'; }")
    desk.row("page=1").click()
    panel = desk.tab("Response")
    switches = panel.get_by_role("group", name="View of the body").get_by_role("button")
    pressed = panel.locator(".nbi-switch[aria-pressed=true]")
    text = panel.locator(".nbi-content pre")
    expect(switches).to_have_text(["JSON", "Source", "Text", "Hex", "Raw"])

    desk.notebook.run(3)
    desk.notebook.run(4)  # what is open comes anew by itself
    expect(switches).to_have_text(
        ["Outline", "JSON", "Source", "Text", "Hex", "Raw", "Hostile", "Broken"]
    )
    expect(pressed).to_have_text("Outline")
    expect(text).to_contain_text("email: alan.lovelace@shop.test")
    expect(text.locator(".nbi-j-key").first).to_contain_text("id")
    by = panel.get_by_text("Outline, by views.py.")
    by.scroll_into_view_if_needed()
    picture(desk.root, "chosen")
    desk.root.evaluate("root => { root.style.width = '420px'; }")
    expect(switches.last).to_be_in_viewport()
    by.scroll_into_view_if_needed()
    picture(desk.root, "narrow")
    desk.root.evaluate("root => { root.style.width = ''; }")

    panel.get_by_role("button", name="Hostile").click()
    expect(text).to_contain_text("<img src=x onerror=")
    expect(text).to_contain_text("\\x1b[31m")
    assert panel.locator(".nbi-body img, .nbi-body script").count() == 0
    assert desk.page.evaluate("() => window.canary") == "alive"

    panel.get_by_role("button", name="Broken").click()
    problem = panel.get_by_role("status")
    expect(problem).to_contain_text("It cannot be shown as Broken: KeyError: 'nothing' (views.py, ")
    expect(panel.get_by_text("It cannot be shown")).to_have_count(1)
    expect(text).to_contain_text('{"page": 1')  # the text in its place
    problem.scroll_into_view_if_needed()
    picture(desk.root, "failed")
    panel.get_by_role("button", name="JSON").click()
    expect(panel.locator(".nbi-tree")).to_contain_text("alan.lovelace")

    panel.get_by_role("button", name="Outline").click()
    expect(text).to_contain_text("email: alan")
    desk.notebook.run(5)  # the file is watched
    expect(text).to_contain_text("email: changed")
    expect(pressed).to_have_text("Outline")

    panel.get_by_role("button", name="Text").click()
    desk.row("/style.css").click()
    expect(pressed).to_have_text("CSS")
    expect(switches).to_have_text(["CSS", "Text", "Hex", "Raw", *ADDED])
    desk.row("page=1").click()
    expect(pressed).to_have_text("Outline")

    desk.notebook.run(6)
    expect(switches).to_have_text(["JSON", "Source", "Text", "Hex", "Raw"])
    expect(pressed).to_have_text("JSON")
    expect(panel.locator(".nbi-tree")).to_contain_text("alan.lovelace")
