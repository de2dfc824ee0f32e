"""The picture of the inspector in the README, made of what a browser really shows.

It is written to `build/screenshots/`; with NBPROXY_PICTURES=1 the README's own is made anew.
"""

import os
import shutil

from playwright.sync_api import expect

from notebooks.screenshot import repack
from tests.browser.conftest import PICTURES
from tests.browser.desk import Desk
from tests.support.jupyter import REPOSITORY

SETUP = """
%load_ext nbproxy
%nbproxy set connection_strategy=lazy
import json, random, threading, time
import requests

random.seed(7)
ANSWERS = {
    "/api/products": ("application/json", json.dumps({
        "page": 1, "total": 42,
        "products": [
            {"id": 17, "name": "Cast iron teapot", "price": 54.0, "stock": {"lyon": 3}},
            {"id": 21, "name": "Travel teapot", "price": 23.5, "stock": {"lyon": 12}},
        ],
        "next": "/api/products?page=2"})),
    "/": ("text/html; charset=utf-8", "<!doctype html><title>The Teapot Shop</title>" + "x" * 8100),
    "/assets/app.4f1d.js": ("text/javascript", "x" * 184_000),
    "/assets/style.css": ("text/css", "x" * 21_500),
    "/img/teapot.webp": ("image/webp", "x" * 46_300),
    "/fonts/inter.woff2": ("font/woff2", "x" * 98_000),
    "/v1/collect": ("application/json", "{}"),
    "/api/cart": ("application/json", json.dumps({"items": [17], "sum": 54.0})),
}

@nbproxy.on("request", "!~u /checkout")
async def shop(flow):
    import asyncio
    path = flow.request.path.partition("?")[0]
    await asyncio.sleep(random.choice([0.004, 0.011, 0.03, 0.09, 0.24]))
    if path == "/api/session":
        kind = {"content-type": "application/json"}
        flow.response = nbproxy.Response.make(401, '{"error": "signed out"}', kind)
    elif path == "/api/recommendations":
        flow.response = nbproxy.Response.make(503, "try again", {"content-type": "text/plain"})
    elif path == "/old":
        flow.response = nbproxy.Response.make(301, b"", {"location": "/"})
    else:
        kind, body = ANSWERS[path]
        flow.response = nbproxy.Response.make(200, body, {
            "content-type": kind, "cache-control": "max-age=600", "server": "teapot/2.4",
            "set-cookie": "sid=7f3a9c21b4; Path=/; Secure; HttpOnly"})

def get(url, method="GET", **more):
    return requests.request(method, url, proxies=nbproxy.proxies, verify=nbproxy.ca_file, **more)
"""

SHOW = "ins = nbproxy.inspect(height=700)\nins"

TRAFFIC = """
shop_, api, cdn = "https://shop.example", "https://api.shop.example", "https://cdn.shop.example"
for url in [f"{shop_}/old", f"{shop_}/", f"{cdn}/assets/style.css", f"{cdn}/assets/app.4f1d.js",
            f"{cdn}/fonts/inter.woff2", f"{cdn}/img/teapot.webp", f"{api}/api/session",
            f"{api}/api/products?page=1&api_key=sk-live-4711", f"{api}/api/recommendations"]:
    get(url)
signed = {"Authorization": "Bearer abcdefgh12345678"}
get(f"{api}/api/cart", "PUT", json={"items": [17]}, headers=signed)
get("http://metrics.example/v1/collect", "POST", json={"event": "view", "page": "/"})
nbproxy.flows[8].comment = "pages are cached"
nbproxy.intercept("~u checkout", on="request", timeout=60)
threading.Thread(target=get, args=(f"{api}/api/checkout", "POST"),
                 kwargs={"json": {"cart": 93, "card": "4111 1111 1111 1111"}}, daemon=True).start()
"""


def test_the_picture_of_the_readme(lab, new_page):
    page = new_page()
    is_kept = bool(os.environ.get("NBPROXY_PICTURES"))
    traffic = TRAFFIC if is_kept else TRAFFIC.replace("timeout=60)", "timeout=1000)")
    notebook = lab.open(page, SETUP, SHOW, traffic, "nbproxy.intercepts.off()")
    notebook.command("application:toggle-left-area")
    page.set_viewport_size({"width": 1240, "height": 1000})
    notebook.run(0)
    notebook.run(1)
    desk = Desk(notebook)
    notebook.run(2)
    expect(desk.root.locator(".nbi-held-item")).to_contain_text("checkout")
    desk.row("/api/products").click()
    expect(desk.tab("Response")).to_contain_text("Cast iron teapot")
    desk.grid.evaluate("grid => { grid.scrollTop = grid.scrollHeight; }")
    desk.grid.focus()
    page.mouse.move(0, 0)
    expect(desk.root.locator(".nbi-toast")).to_have_count(0)
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / "inspector.png"
    path.write_bytes(repack(desk.root.screenshot()))
    if is_kept:
        shutil.copy(path, REPOSITORY / "notebooks" / "inspector.png")
    notebook.run(3)
    assert path.stat().st_size < 300_000
    notebook.shutdown()
