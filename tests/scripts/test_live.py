"""Script shapes of every era on live traffic, and what one observes of them."""

import json
import threading

import pytest

from tests.support.proxies import wait_until

ADD_HEADER = {
    "A": """
def start(ctx): pass
def response(ctx, flow): flow.response.headers["newheader"] = ["foo"]
""",
    "B": 'def response(context, flow):\n    flow.response.headers["newheader"] = ["foo"]',
    "C": 'def response(context, flow):\n    flow.response.headers["newheader"] = "foo"',
    "D": """
from netlib import strutils
def response(flow): flow.response.headers["newheader"] = "foo"
""",
    "E": 'def start(): pass\ndef response(flow): flow.response.headers["newheader"] = "foo"',
    "F": """
class AddHeader:
    def load(self, loader): pass
    def clientconnect(self, layer): assert layer.client_conn.address[0] == "127.0.0.1"
    def response(self, flow): flow.response.headers["newheader"] = "foo"
addons = [AddHeader()]
""",
    "G": """
from mitmproxy import ctx, http
class AddHeader:
    def client_connected(self, client): assert client.peername[0] == "127.0.0.1"
    def response(self, flow: http.HTTPFlow):
        ctx.log.info("seen")
        flow.response.headers["newheader"] = "foo"
addons = [AddHeader()]
""",
    "H": """
import logging
from mitmproxy import http
def server_connect(data): assert data.server.address[1] > 0
async def response(flow: http.HTTPFlow):
    logging.info("seen %s", flow.id)
    flow.response.headers["newheader"] = "foo"
""",
}


@pytest.mark.parametrize("era", ADD_HEADER)
def test_a_header_is_added(proxy, fetch, site, write, era):
    script = proxy.load(write("add_header.py", ADD_HEADER[era]))
    assert script.era == era
    for url in (site.http_url, site.https_url):
        if url.startswith("http:"):
            assert fetch(f"{url}/api/users").headers["newheader"] == "foo"
    assert script.errors == 0
    proxy.unload(script)
    assert fetch(f"{site.http_url}/api/users").headers["newheader"] is None


def test_scripts_see_the_inside_of_tunnels(proxy, connect, site, write):
    proxy.load(write("a.py", ADD_HEADER["B"]))
    port = int(site.https_url.rpartition(":")[2])
    assert connect(proxy, tls=port).get("/api/users")[b"newheader"] == b"foo"


ANSWERS = {
    "0.10": """
from libmproxy.flow import Response
from netlib.odict import ODictCaseless
def request(context, flow):
    if flow.request.path == "/mine":
        resp = Response(flow.request, [1, 1], 418, "Tea",
                        ODictCaseless([["Content-Type", "text/html"]]), "helloworld", None)
        flow.request.reply(resp)
""",
    "0.11": """
from libmproxy.protocol.http import HTTPResponse
from netlib.odict import ODictCaseless
def request(context, flow):
    if flow.request.path == "/mine":
        resp = HTTPResponse([1, 1], 418, "Tea",
                            ODictCaseless([["Content-Type", "text/html"]]), "helloworld")
        flow.reply(resp)
""",
    "0.15": """
from libmproxy.models import HTTPResponse
from netlib.http import Headers
def request(context, flow):
    if flow.request.path == "/mine":
        headers = Headers(Content_Type="text/html")
        flow.reply(HTTPResponse([1, 1], 418, "Tea", headers, "helloworld"))
""",
    "0.17": """
from mitmproxy.models import HTTPResponse
from netlib.http import Headers
def request(context, flow):
    if flow.request.path == "/mine":
        headers = Headers(Content_Type="text/html")
        flow.reply(HTTPResponse("HTTP/1.1", 418, "Tea", headers, b"helloworld"))
""",
    "0.18": """
from mitmproxy.models import HTTPResponse
from netlib.http import Headers
def request(flow):
    if flow.request.path == "/mine":
        headers = Headers(Content_Type="text/html")
        flow.reply.send(HTTPResponse(b"HTTP/1.1", 418, b"Tea", headers, b"helloworld"))
""",
    "2.0": """
from mitmproxy import http
def start(): pass
def request(flow):
    if flow.request.pretty_url.endswith("/mine"):
        flow.response = http.HTTPResponse.make(418, b"helloworld", {"Content-Type": "text/html"})
""",
    "6.0": """
from mitmproxy import http
def request(flow: http.HTTPFlow) -> None:
    if flow.request.path == "/mine":
        flow.response = http.HTTPResponse.make(418, b"helloworld", {"Content-Type": "text/html"})
""",
    "12": """
from mitmproxy import http
def request(flow: http.HTTPFlow) -> None:
    if flow.request.path == "/mine":
        flow.response = http.Response.make(418, b"helloworld", {"Content-Type": "text/html"})
""",
}


@pytest.mark.parametrize("release", ANSWERS)
def test_answering_in_the_servers_place(proxy, fetch, site, write, release):
    script = proxy.load(write("answer.py", ANSWERS[release]), era=release)
    answer = fetch(f"{site.http_url}/mine")
    assert (answer.status, answer.body) == (418, b"helloworld")
    assert answer.headers["content-type"].startswith("text/html")
    assert fetch(f"{site.http_url}/").status == 200
    assert script.errors == 0


FORMS = {
    "0.11": """
def request(context, flow):
    if "application/x-www-form-urlencoded" in flow.request.headers["content-type"]:
        form = flow.request.get_form_urlencoded()
        form["mitmproxy"] = ["rocks"]
        flow.request.set_form_urlencoded(form)
    q = flow.request.get_query()
    if q:
        q["mitmproxy"] = ["rocks"]
        flow.request.set_query(q)
""",
    "0.16": """
def request(context, flow):
    if flow.request.urlencoded_form:
        form = flow.request.urlencoded_form
        form["mitmproxy"] = ["rocks"]
        flow.request.urlencoded_form = form
    if flow.request.query:
        q = flow.request.query
        q["mitmproxy"] = ["rocks"]
        flow.request.query = q
""",
    "2.0": """
def request(flow):
    if flow.request.urlencoded_form:
        flow.request.urlencoded_form["mitmproxy"] = "rocks"
    else:
        flow.request.urlencoded_form = [("mitmproxy", "rocks")]
    flow.request.query["mitmproxy"] = "rocks"
""",
    "11": """
from mitmproxy import http
def request(flow: http.HTTPFlow) -> None:
    flow.request.urlencoded_form["mitmproxy"] = "rocks"
    flow.request.query["mitmproxy"] = "rocks"
""",
}


@pytest.mark.parametrize("release", FORMS)
def test_forms_and_queries(proxy, fetch, site, write, release):
    script = proxy.load(write("forms.py", FORMS[release]), era=release)
    form = {"content-type": "application/x-www-form-urlencoded"}
    seen = json.loads(fetch(f"{site.http_url}/api/echo?a=1", b"b=2", form).body)
    assert script.last_error == ""
    assert seen["path"] == "/api/echo?a=1&mitmproxy=rocks"
    assert seen["body"] == "b=2&mitmproxy=rocks"


BODIES = {
    "0.13": """
from libmproxy.protocol.http import decoded
def start(context, argv):
    context.old, context.new = argv[1], argv[2]
def response(context, flow):
    with decoded(flow.response):
        flow.response.content = flow.response.content.replace(context.old, context.new)
""",
    "0.18": """
import sys
from mitmproxy.models import decoded
def response(flow):
    flow.response.content = flow.response.content.replace(sys.argv[1], sys.argv[2])
""",
    "2.0": """
import argparse
class Replacer:
    def __init__(self, src, dst):
        self.src, self.dst = src, dst
    def response(self, flow):
        flow.response.replace(self.src, self.dst)
def start():
    parser = argparse.ArgumentParser()
    parser.add_argument("src", type=str)
    parser.add_argument("dst", type=str)
    args = parser.parse_args()
    return Replacer(args.src, args.dst)
""",
    "6.0": """
import sys
from mitmproxy import http
def response(flow):
    old, new = sys.argv[1:]
    flow.response.text = flow.response.text.replace(old, new)
""",
}


@pytest.mark.parametrize("release", BODIES)
@pytest.mark.parametrize("path", ["/api/users", "/gzip"])
def test_bodies(proxy, fetch, site, write, release, path):
    script = proxy.load(f"{write('bodies.py', BODIES[release])} Alan Alonzo", era=release)
    plain = fetch(f"{site.http_url}{path}", headers={"accept-encoding": "identity"})
    assert script.last_error == ""
    body = plain.body
    if plain.headers["content-encoding"] == "gzip":
        import gzip

        body = gzip.decompress(body)
    assert b"Alonzo" in body
    assert b"Alan" not in body


STREAMS = {
    "0.11": "def responseheaders(context, flow):\n    flow.response.stream = True",
    "0.14": """
def modify(chunks):
    for chunk in chunks:
        yield chunk.replace("two", "TWO")
def responseheaders(context, flow):
    flow.response.stream = modify
""",
    "2.0": """
def modify(chunks):
    for chunk in chunks:
        yield chunk.replace("two", "TWO")
def responseheaders(flow):
    flow.response.stream = modify
""",
    "8.0": """
def modify(data):
    return data.replace(b"two", b"TWO")
def responseheaders(flow):
    flow.response.stream = modify
""",
}


@pytest.mark.parametrize("release", STREAMS)
def test_streams(proxy, fetch, site, write, release):
    script = proxy.load(write("stream.py", STREAMS[release]), era=release)
    wanted = b"one, two, three.\n" if release == "0.11" else b"one, TWO, three.\n"
    assert fetch(f"{site.http_url}/chunked").body == wanted
    assert script.errors == 0


CONCURRENT = {
    "0.10": "from libmproxy.script import concurrent\n@concurrent\ndef request(context, flow):",
    "0.17": "from mitmproxy.script import concurrent\n@concurrent\ndef request(context, flow):",
    "0.18": "from mitmproxy.script import concurrent\n@concurrent\ndef request(flow):",
    "12": "from mitmproxy.script import concurrent\n@concurrent\ndef request(flow):",
}


@pytest.mark.parametrize("release", CONCURRENT)
def test_concurrent(proxy, fetch, site, write, texts, release):
    """Two requests are in the handler at once, and each waits for its own."""
    body = """
    meet.wait(60)
    {say}
    flow.request.headers["x-thread"] = {value}
"""
    context = release < "0.18" and release != "12"
    say = 'context.log("in")' if context else 'from mitmproxy import ctx; ctx.log.info("in")'
    value = '["t"]' if release == "0.10" else '"t"'
    path = write("slow.py", CONCURRENT[release] + body.format(say=say, value=value))
    script = proxy.load(path, era=release)
    script.program.addons[0].meet = threading.Barrier(2)
    answers = []

    def ask():
        answers.append(json.loads(fetch(f"{site.http_url}/api/echo").body))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert script.last_error == ""
    assert len(answers) == 2
    assert all(["x-thread", "t"] in answer["headers"] for answer in answers)
    assert texts(proxy) == ["in", "in"]


@pytest.mark.parametrize(
    ("release", "name", "parameters"),
    [
        ("0.10", "start", "ctx"),
        ("0.15", "responseheaders", "c, f"),
        ("2.0", "start", ""),
        ("12", "load", "l"),
    ],
)
def test_concurrent_where_it_was_not_allowed(idle, write, release, name, parameters):
    package = "libmproxy" if release < "0.17" else "mitmproxy"
    source = f"from {package}.script import concurrent\n@concurrent\ndef {name}({parameters}): pass"
    with pytest.raises(Exception, match=f"Concurrent decorator not supported for '{name}'"):
        idle.load(write("a.py", source), era=release)


REPLAY = {
    "0.12": """
def request(context, flow):
    f = context.duplicate_flow(flow)
    f.request.path = "/changed"
    context.replay_request(f)
""",
    "2.0": """
from mitmproxy import ctx
def request(flow):
    if not flow.request.is_replay:
        f = flow.copy()
        ctx.master.view.add(f)
        f.request.path = "/changed"
        ctx.master.replay_request(f, block=True)
""",
    "3.0": """
from mitmproxy import ctx
def request(flow):  # it does not ask whether this is a replay
    f = flow.copy()
    ctx.master.view.add(f)
    f.request.path = "/changed"
    ctx.master.replay_request(f, block=True)
""",
    "7.0": """
from mitmproxy import ctx
def request(flow):
    if flow.is_replay == "request":
        return
    flow = flow.copy()
    if "view" in ctx.master.addons:
        ctx.master.commands.call("view.flows.duplicate", [flow])
    flow.request.path = "/changed"
    ctx.master.commands.call("replay.client", [flow])
""",
}


@pytest.mark.parametrize("release", REPLAY)
def test_duplicating_and_replaying(proxy, fetch, site, write, release):
    script = proxy.load(write("dup.py", REPLAY[release]), era=release)
    assert fetch(f"{site.http_url}/").status == 200
    wait_until(lambda: any(f.request.path == "/changed" and f.response for f in proxy.flows))
    replayed = proxy.flows.find(lambda flow: flow.request.path == "/changed")
    assert replayed.response.status_code == 404
    assert replayed.is_replay == "request"
    assert script.errors == 0
    assert len(proxy.flows) == 2


KILLS = {
    "0.11": "from libmproxy.protocol import KILL\ndef request(ctx, flow): flow.reply(KILL)",
    "0.15": "def request(context, flow): context.kill_flow(flow)",
    "2.0": "def start(): pass\ndef request(flow): flow.reply.kill()",
    "12": "def request(flow): flow.kill()",
}


@pytest.mark.parametrize("release", KILLS)
def test_killing(proxy, connect, site, write, release):
    proxy.load(write("kill.py", KILLS[release]), era=release)
    wire = connect(proxy)
    wire.ask(f"{site.http_url}/")
    assert wire.is_closed
    wait_until(lambda: proxy.flows and not proxy.flows[0].live)
    assert "killed" in proxy.flows[0].error.msg


WSGI = {
    "0.12": """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("Hello %s" % environ["PATH_INFO"]).encode()]
def start(context, argv):
    context.app_registry.add(app, "proxapp", 80)
""",
    "1.0": """
from mitmproxy.addons import wsgiapp
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("Hello %s" % environ["PATH_INFO"]).encode()]
def start():
    return wsgiapp.WSGIApp(app, "proxapp", 80)
""",
    "5.3": """
from mitmproxy.addons import asgiapp
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
    await send({"type": "http.response.body", "body": b"Hello " + scope["raw_path"]})
addons = [asgiapp.ASGIApp(app, "proxapp", 80)]
""",
}


@pytest.mark.parametrize("release", WSGI)
def test_web_applications(proxy, fetch, write, release):
    proxy.load(write("app.py", WSGI[release]), era=release)
    answer = fetch("http://proxapp/you")
    assert (answer.status, answer.body) == (200, b"Hello /you")


def test_update_follows_each_flow_event(proxy, fetch, site, write, texts):
    proxy.load(
        write(
            "a.py",
            """
            from mitmproxy import ctx
            class A:
                def response(self, flow): ctx.log.info("response")
                def update(self, flows): ctx.log.info("update %d" % len(flows))
            addons = [A()]
            """,
        )
    )
    fetch(f"{site.http_url}/")
    wait_until(lambda: len(texts(proxy)) >= 5)
    assert texts(proxy) == ["update 1", "update 1", "update 1", "response", "update 1"]


def test_ticks(proxy, write, texts):
    proxy.load(
        write("a.py", "from mitmproxy import ctx\ndef start(): pass\ndef tick(): ctx.log('tick')")
    )
    wait_until(lambda: len(texts(proxy)) > 2, "ticks")


def test_refusing_a_server(proxy, fetch, site, write):
    path = write("a.py", "def server_connect(data): data.server.error = 'not there'")
    proxy.load(path)
    answer = fetch(f"{site.http_url}/")
    assert answer.status == 502
