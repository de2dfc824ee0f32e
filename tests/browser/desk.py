"""An inspector in a notebook, and what people do with it."""

from __future__ import annotations

import re

from playwright.sync_api import expect

SETUP = """
config = get_ipython().config.NbProxy
config.port, config.intercept_timeout = 0, 1000
from site_server import Site
site = Site().__enter__()
config.ssl_verify_upstream_trusted_ca = site.ca_file
%load_ext nbproxy
import requests

def get(path, method="GET", **more):
    more = {"proxies": nbproxy.proxies, "verify": nbproxy.ca_file, "timeout": 600} | more
    return requests.request(method, site.https_url + path, **more)
"""

TRAFFIC = """
for path in ["/", "/style.css", "/image.png", "/api/users?page=1&api_key=sk-live-4711"]:
    get(path)
get("/missing")
get("/error")
get("/submit", "POST", data={"name": "Ada", "password": "hunter2"})
get("/api/users?page=2", headers={"Authorization": "Bearer abcdefgh12345678"})
"""

CELLS = (SETUP, "ins = nbproxy.inspect()\nins", TRAFFIC)
"""Cell 0 sets up, cell 1 shows the inspector, cell 2 makes eight flows."""

MOUNT = """async given => {{
  const values = {values};
  const model = {{
    get: name => values[name],
    set() {{}}, on() {{}}, off() {{}}, send() {{}}, save_changes() {{}},
  }};
  const url = URL.createObjectURL(new Blob([values._esm], {{ type: "text/javascript" }}));
  const widget = (await import(url)).default();
  widget.initialize({{ model }});
  const style = document.createElement("style");
  style.textContent = values._css;
  const el = document.createElement("div");
  document.body.append(style, el);
  widget.render({{ model, el }});
}}"""
"""Puts a widget into a page without Jupyter; `values` is an expression of its state."""


LISTEN = """() => {
  window.toasts = [];
  new MutationObserver(changes => {
    for (const { addedNodes } of changes) for (const node of addedNodes)
      if (node.classList?.contains('nbi-toast')) window.toasts.push(node.textContent);
  }).observe(document, { childList: true, subtree: true });
}"""
"""Keeps the short messages of a page, which are in sight for seconds only."""

HEARD = """text => {
  const place = window.toasts.findIndex(each => each.includes(text));
  window.toasts.splice(0, place + 1);
  return place >= 0;
}"""
"""Whether one of them says this; it and those before are done with."""


class Desk:
    """The inspector in a cell.

    Args:
        notebook: Where.
        cell: Which cell shows it.
    """

    def __init__(self, notebook, cell=1):
        self.notebook = notebook
        self.page = notebook.page
        shown = self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        self.root = shown.locator(".jp-CodeCell").nth(cell).locator(".nbi")
        self.root.wait_for()
        self.grid = self.root.get_by_role("grid", name="Flows")
        self.filter = self.root.get_by_role("combobox", name="Filter flows")
        self.panel = self.root.get_by_role("tabpanel")
        self.counts = self.root.locator(".nbi-counts")
        self.problem = self.root.locator(".nbi-filter .nbi-problem")

    @property
    def rows(self):
        """The rows in sight, from above."""
        return self.root.locator(".nbi-rows .nbi-row:not([hidden])")

    def row(self, text):
        """The first row that says this."""
        return self.rows.filter(has_text=text).first

    def paths(self):
        """The paths in sight, from above, once what is due was painted."""
        found = self.root.evaluate(
            """async root => {
            for (let frames = 0; frames < 3; frames += 1) await new Promise(requestAnimationFrame);
            return [...root.querySelectorAll('.nbi-rows .nbi-row:not([hidden])')]
            .map(row => [Number(row.getAttribute('aria-rowindex')),
                         row.querySelector('.nbi-c-path').firstChild.nodeValue])
            .sort((a, b) => a[0] - b[0]).map(([, path]) => path); }"""
        )
        return list(found)

    def expect_count(self, text):
        """Wait until the footer counts so, from its first word on."""
        expect(self.counts).to_have_text(re.compile(rf"^\s*{re.escape(text)}\b"))

    def tab(self, name):
        """Choose a tab of the details."""
        self.root.get_by_role("tab", name=name).click()
        return self.panel

    def button(self, name, exact=True):
        """A button by its word."""
        return self.root.get_by_role("button", name=name, exact=exact)

    def type_filter(self, text):
        """Write a filter into the box, in place of what stands there."""
        self.filter.click()
        self.filter.fill(text)

    def toast(self, text):
        """Wait for a short message, or take one that has come and gone since the one before."""
        self.page.wait_for_function(HEARD, arg=text)

    def menu(self, opener, item):
        """Choose from a menu."""
        self.button(opener).click()
        self.root.get_by_role("menuitem", name=item, exact=True).click()


def open_desk(server, page, *cells, traffic=True):
    """A notebook with an inspector in it, and eight flows."""
    notebook = server.open(page, *CELLS, *cells)
    notebook.run(0)
    notebook.run(1)
    desk = Desk(notebook)
    if traffic:
        notebook.run(2)
        desk.expect_count("8 flows")
    return desk
