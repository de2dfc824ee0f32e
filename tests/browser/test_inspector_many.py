"""A hundred thousand flows: how long it takes to see them, printed, and that all are there."""

import re

import pytest
from playwright.sync_api import expect

from nbproxy.notebook.widgets import esm
from nbproxy.notebook.widgets.inspector import Inspector
from tests.browser.desk import MOUNT, SETUP, Desk
from tests.support.inspecting import EARLY, FILL, HOME, PAINT, SCROLL, SMOOTH

COUNT = 100_000
ALL = f"{COUNT:,}"
SMALL_BATCHES = """
from nbproxy.notebook.widgets import feed
feed.BATCH_ROWS = feed.BUSY_ROWS = 200
"""
SHOW = "ins = nbproxy.inspect()\nins"


@pytest.fixture(scope="module")
def notebook(lab, new_page):
    """The flows are there; nothing shows them."""
    cells = (SETUP, FILL.format(count=COUNT), SHOW, "ins.close()", "print(len(ins.selected))")
    cells += (SMALL_BATCHES,)
    notebook = lab.open(new_page(), *cells)
    notebook.run(0)
    notebook.run(1)
    yield notebook
    notebook.shutdown()


@pytest.fixture
def desk(notebook):
    notebook.paint = notebook.page.evaluate(PAINT, [2, COUNT])
    yield Desk(notebook, 2)
    notebook.run(3)


def test_a_hundred_thousand_flows(desk, picture, capsys):
    first, whole = desk.notebook.paint
    places = [0, 0.5, 0.123, 0.99, 0.3, 0.7, 0.01, 1]
    jumps = desk.page.evaluate(SCROLL, places)
    frames, longest = desk.page.evaluate(SMOOTH)
    desk.filter.click()
    took = {}
    for expression in ("~c 500", "~u items/1234 & ~m POST"):
        desk.filter.fill(expression)
        began = desk.page.evaluate("() => performance.now()")
        expect(desk.counts).to_contain_text(f" of {ALL} flows")
        expect(desk.root.locator(".nbi-progress")).to_be_empty()
        took[expression] = desk.page.evaluate("() => performance.now()") - began
        desk.filter.fill("")
        expect(desk.counts).to_have_text(re.compile(f"^{ALL} flows"))
    desk.grid.get_by_role("button", name="Took").click()
    expect(desk.rows.first).to_contain_text(" s")
    picture(desk.root)
    with capsys.disabled():
        print(
            f"\n{ALL} flows: first rows after {first:.0f} ms, all after {whole:.0f} ms; "
            f"scrolling anywhere {max(jumps):.0f} ms at most, {frames:.0f} frames a second, "
            f"the longest {longest:.0f} ms; filters: "
            + ", ".join(f"{name} {ms:.0f} ms" for name, ms in took.items())
        )
    assert desk.grid.get_attribute("aria-rowcount") == str(COUNT + 1)
    desk.grid.focus()
    desk.page.keyboard.press("ControlOrMeta+a")
    expect(desk.counts).to_contain_text(f"{ALL} selected")
    desk.notebook.run_until(4, f"{COUNT}\n")


def test_what_is_scrolled_to_comes_before_the_rest(notebook, capsys):
    notebook.run(5)  # so that most of the rows are still to come, however slow the page is
    took, progress = notebook.page.evaluate(EARLY, [2, COUNT])
    notebook.run(3)  # a kernel that ends in the midst of a message may garble it
    with capsys.disabled():
        print(f"\nscrolled to rows that had not come: there after {took:.0f} ms, {progress}")
    left = re.search(r"([\d,]+) rows to come", progress)
    assert left
    assert int(left[1].replace(",", "")) > 0.4 * COUNT  # these come from the end, one after another


def test_a_key_goes_to_rows_that_have_not_come(notebook):
    was_there, progress = notebook.page.evaluate(HOME, [2, COUNT])
    notebook.run(3)
    assert not was_there
    assert "rows to come" in progress


MILLION = """(() => {
  const count = 1_000_000;
  const data = new DataView(Uint32Array.from({ length: count }, (_, id) => id).buffer);
  const columns = [["id", "u4"], ["method", "t2", 1], ["status", "u2", 200]];
  const snapshot = { count, total: count, columns, strings: ["", "GET"], data };
  return { ...given, snapshot, height: 520, static_id: "" };
})()"""

REACH = """async share => {
  const grid = document.querySelector('.nbi-grid');
  grid.scrollTop = share * (grid.scrollHeight - grid.clientHeight);
  for (let frames = 0; frames < 3; frames += 1) await new Promise(requestAnimationFrame);
  const { top, bottom } = grid.getBoundingClientRect();
  return [...grid.querySelectorAll('.nbi-rows .nbi-row:not([hidden])')]
    .map(row => [row.getBoundingClientRect(), Number(row.querySelector('.nbi-cell').textContent)])
    .filter(([box]) => box.top >= top + 25 && box.bottom <= bottom + 1)
    .sort(([a], [b]) => a.top - b.top).map(([, id]) => id);
}"""


def test_a_million_rows_can_be_reached(new_page):
    """Browsers know no element of 23 million pixels: a pixel of scrolling is more than that."""
    page = new_page()
    page.evaluate(MOUNT.format(values=MILLION), {"_esm": esm.joined(), "_css": Inspector._css})
    expect(page.locator(".nbi-counts")).to_contain_text("1,000,000 flows")
    for share in (0, 0.25, 0.5, 0.999, 1):
        ids = page.evaluate(REACH, share)
        assert len(ids) > 15
        assert ids == list(range(ids[0], ids[0] + len(ids)))  # without gaps or doubles
        assert abs(ids[0] - share * (1_000_000 - len(ids))) <= 2
    page.locator(".nbi-grid").focus()
    page.keyboard.press("Home")
    expect(page.locator(".nbi-row[aria-selected=true]")).to_contain_text("0")
    page.keyboard.press("End")
    expect(page.locator(".nbi-row[aria-selected=true]")).to_contain_text("999999")
    page.keyboard.press("Shift+Home")
    expect(page.locator(".nbi-counts")).to_contain_text("1,000,000 selected")
