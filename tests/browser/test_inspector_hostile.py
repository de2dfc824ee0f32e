"""Captured content never runs: whatever stands in a flow, the page's canary stays alive."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from tests.browser.desk import SETUP, Desk
from tests.notebook.inert import HOSTILE

ATTACKS = [
    *HOSTILE,
    "<script>window.canary = 'dead'</script>",
    "<img src=x onerror=\"window.canary='dead'\">",
    "<svg xmlns='http://www.w3.org/2000/svg' onload=\"window.canary='dead'\"></svg>",
    "<a href=\"javascript:window.canary='dead'\">click</a>",
    "<style>* { display: none !important } .nbi { display: none }</style>",
    "<iframe srcdoc=\"<script>parent.canary='dead'</script>\"></iframe>",
    "<details open ontoggle=\"window.canary='dead'\">x</details>",
    "</pre></td></table><script>window.canary='dead'</script>",
]

FLOWS = """
import json
from nbproxy import HTTPFlow, Headers, Request, Response
from nbproxy.model.flow import Error
from nbproxy.model.websocket import WebSocketData, WebSocketMessage

attacks = json.loads({attacks!r})
kinds = ["text/html", "image/svg+xml", "application/json", "application/xml", "image/png"]
for number, attack in enumerate(attacks):
    kind, at = kinds[number % len(kinds)], 1.7e9 + number
    wire = attack.encode("utf-8", "surrogatepass").replace(b"\\r", b"").replace(b"\\n", b"")
    request = Request("GET", "https", "evil.test", 443, "/" + attack, timestamp_start=at)
    request._method = attack[:30]
    request.headers = Headers.from_wire(((b"x-attack", wire), (b"cookie", wire), (wire, wire)))
    request.hold_body(wire)
    flow = HTTPFlow(request)
    flow.response = Response.make(200, wire)
    flow.response.headers = Headers.from_wire(
        ((b"content-type", kind.encode()), (b"set-cookie", wire), (b"x", wire))
    )
    flow.response._reason = attack
    flow.response.timestamp_end = at + 0.1
    flow.comment = flow.marked = attack
    flow.error = Error(attack)
    flow.metadata["changes"] = [[attack, attack, attack, attack]]
    flow.metadata["handler_errors"] = [attack]
    flow.metadata[attack] = attack
    flow.client_conn.sni = flow.server_conn.error = attack
    flow.websocket = WebSocketData([WebSocketMessage(1, True, wire)], close_reason=attack)
    nbproxy.flows.store.opened(flow)
    nbproxy.flows.store.closed(flow)
print(len(nbproxy.flows))
"""

LONG = """
for body in (b"x" * 50_000_000, b"[" * 5_000_000, b'{"a":' * 100_000):
    request = Request("GET", "https", "evil.test", 443, "/long", timestamp_start=1.7e9)
    flow = HTTPFlow(request)
    flow.response = Response.make(200, body, {"content-type": "application/json"})
    nbproxy.flows.store.opened(flow)
    nbproxy.flows.store.closed(flow)
"""


@pytest.fixture(scope="module")
def desk(lab, new_page):
    """Both tests look at the same flows; the second one adds to them."""
    page = new_page()
    page.add_init_script("window.canary = 'alive'")
    page.on("dialog", lambda dialog: dialog.dismiss())
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    flows = FLOWS.format(attacks=json.dumps(ATTACKS))
    notebook = lab.open(page, SETUP, "ins = nbproxy.inspect()\nins", flows, LONG)
    notebook.run(0)
    notebook.run(1)
    notebook.run(2)
    found = Desk(notebook)
    found.expect_count(f"{len(ATTACKS)} flows")
    found.asked = asked
    yield found
    notebook.shutdown()


LIVE = """root => [...root.querySelectorAll('script, iframe, svg, a, object, embed, link, form')]
  .filter(element => !element.classList.contains('nbi-edit'))
  .map(element => element.outerHTML)
  .concat([...root.querySelectorAll('*')].flatMap(element => element.getAttributeNames())
    .filter(name => name.startsWith('on')))"""

TABS = ("Request", "Messages", "Timing", "Connection", "Cookies", "Changes", "Response")

LEAF_THROUGH = f"""async (root, names) => {{
  const live = {LIVE};
  const tabs = () => [...root.querySelectorAll('[role=tab]')];
  const found = [];
  for (const name of names) {{
    tabs().find(tab => tab.textContent.startsWith(name)).click();
    for (let frames = 0; frames < 2; frames += 1) await new Promise(requestAnimationFrame);
    found.push([tabs().find(tab => tab.ariaSelected === 'true').textContent, live(root)]);
  }}
  return found;
}}"""
"""Opens tabs, each long enough to be painted: the open one's name, what is alive in it."""

LOOK = f"""async root => {{
  const live = {LIVE};
  const count = root.querySelectorAll('.nbi-switch').length;
  const isBusy = () => root.querySelector('.nbi-content[aria-busy="true"]') !== null;
  const found = [];
  for (let place = 0; place < count; place += 1) {{
    root.querySelectorAll('.nbi-switch')[place].click();
    for (let frames = 0; frames < 2 || isBusy(); frames += 1) {{
      if (frames > 100_000) throw new Error(`view ${{place}} does not come`);
      await new Promise(requestAnimationFrame);
    }}
    found.push(live(root));
  }}
  return found;
}}"""
"""Chooses each view of a body, until it is there and painted: what is alive in it."""


def alive(desk):
    """The canary lives, and there is nothing in the page that could have killed it."""
    assert desk.page.evaluate("() => window.canary") == "alive"
    assert desk.root.evaluate(LIVE) == []


def elsewhere(desk):
    """What the page has asked for that is not the server's."""
    own = (desk.notebook.server.url, "data:", "blob:")
    return [url for url in desk.asked if not url.startswith(own) and "/-/nbproxy/" not in url]


def test_nothing_runs(desk, picture):
    desk.grid.focus()
    desk.page.keyboard.press("Home")
    for number in range(len(ATTACKS)):
        if number:
            desk.page.keyboard.press("ArrowDown")
        expect(desk.root.locator(".nbi-url")).to_contain_text("evil.test")
        seen = desk.root.evaluate(LEAF_THROUGH, TABS)
        assert all(tab.startswith(name) for (tab, _), name in zip(seen, TABS, strict=True))
        assert not [live for _, live in seen if live]
        expect(desk.root.locator(".nbi-content")).not_to_have_attribute("aria-busy", "true")
        seen = desk.root.evaluate(LOOK)
        assert len(seen) > 1
        assert not [live for live in seen if live]
        alive(desk)
        desk.grid.focus()
    picture(desk.root)
    desk.page.keyboard.press("e")
    expect(desk.root.get_by_role("form", name="Edit and replay")).to_be_visible()
    alive(desk)
    desk.page.keyboard.press("Escape")
    text = desk.root.inner_text()
    assert not set(text) & set("\x1b\u202e\u200b\x00")
    assert elsewhere(desk) == []


def test_bodies_without_end(desk):
    desk.notebook.run(3)
    desk.expect_count(f"{len(ATTACKS) + 3} flows")
    for index in range(3):
        desk.rows.filter(has_text="/long").nth(index).click()
        desk.root.get_by_role("tab", name="Response").click()
        expect(desk.root.locator(".nbi-content")).not_to_have_attribute("aria-busy", "true")
        for view in ("Text", "Hex"):
            desk.root.locator(".nbi-switch", has_text=view).click()
            expect(desk.root.locator(".nbi-content pre")).to_be_visible()
    desk.root.get_by_role("button", name="Show more").click()
    alive(desk)
