"""Node: its http and https modules, and its fetch, all by way of CONNECT or absolute targets.

Node 20 looks at no proxy variables, so the scripts say themselves how to reach the proxy.
"""

import json
import os
import subprocess

import pytest

from tests.support.proxies import PATIENCE_S, answering, only_flow, response

COMMON = """
const http = require("node:http"), https = require("node:https"), tls = require("node:tls");
const { PROXY_PORT, CA, BASE } = process.env;
const ca = require("node:fs").readFileSync(CA);
const proxy = { host: "127.0.0.1", port: Number(PROXY_PORT) };

function text(answer) {
  return new Promise((resolve, reject) => {
    const pieces = [];
    answer.on("data", piece => pieces.push(piece));
    answer.on("end", () => resolve(Buffer.concat(pieces).toString()));
    answer.on("error", reject);
  });
}

function tunnel(host, port) {
  return new Promise((resolve, reject) => {
    const target = `${host}:${port}`;
    http.request({ ...proxy, method: "CONNECT", path: target, headers: { host: target } })
      .on("connect", (answer, socket) =>
        answer.statusCode === 200 ? resolve(socket) : reject(new Error(answer.statusCode)))
      .on("error", reject)
      .end();
  });
}

async function secure(host, port) {
  const socket = await tunnel(host, port);
  const servername = /^[0-9.]+$/.test(host) ? "" : host;
  return new Promise((resolve, reject) => {
    const stream = tls.connect({ socket, host, servername, ca }, () => resolve(stream));
    stream.on("error", reject);
  });
}

async function main() {
%s
}
main().then(result => console.log(JSON.stringify(result)),
            error => { console.error(error); process.exitCode = 1; });
"""


@pytest.fixture
def node(proxy, tmp_path):
    """Runs the body of an async function; what it returns comes back."""

    def run(body, base):
        file = tmp_path / "script.cjs"
        file.write_text(COMMON % body)
        done = subprocess.run(
            ["node", str(file)],
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "PROXY_PORT": str(proxy.port),
                "CA": proxy.ca_file,
                "BASE": base,
            },
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_http_with_a_keep_alive_agent(node, proxy, site):
    got = node(
        """
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const get = path => new Promise((resolve, reject) =>
    http.get({ ...proxy, agent, path: BASE + path, headers: { host: new URL(BASE).host } },
      async answer => resolve([answer.statusCode, await text(answer)])).on("error", reject));
  const result = [await get("/api/users/1"), await get("/api/users/2"), await get("/error")];
  agent.destroy();
  return result;
""",
        site.http_url,
    )
    assert [status for status, _ in got] == [200, 200, 500]
    assert json.loads(got[1][1])["id"] == 2
    assert len({f.client_conn.id for f in proxy.flows}) == 1


def test_https_with_a_streamed_upload(node, proxy, site):
    got = node(
        """
  const url = new URL(BASE);
  const socket = await secure(url.hostname, url.port);
  return new Promise((resolve, reject) => {
    const request = https.request(BASE + "/api/echo",
      { method: "POST", createConnection: () => socket, headers: { "X-Mixed-Case": "1" } },
      async answer => {
        const body = JSON.parse(await text(answer));
        socket.end();
        resolve([answer.statusCode, body]);
      });
    request.on("error", reject);
    request.write("one,");
    request.write("two");
    request.end();
  });
""",
        site.https_url,
    )
    status, seen = got
    assert status == 200
    assert seen["body"] == "one,two"
    assert ["X-Mixed-Case", "1"] in seen["headers"]
    flow = only_flow(proxy)
    assert flow.request.url == f"{site.https_url}/api/echo"
    assert flow.client_conn.tls_version == "TLSv1.3"


FETCH = """
  // Node's own fetch: its dispatcher's class makes one that connects through the proxy.
  await fetch("data:,");
  const Agent = globalThis[Symbol.for("undici.globalDispatcher.1")].constructor;
  const dispatcher = new Agent({
    connect: ({ protocol, hostname, port }, done) =>
      (protocol === "https:" ? secure(hostname, port || 443) : tunnel(hostname, port || 80))
        .then(socket => done(null, socket), done),
  });
"""


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_fetch(node, proxy, site, scheme):
    @proxy.on("response", "~u /api/users")
    def change(flow):
        user = flow.response.json()
        user["name"] = "Changed"
        flow.response.text = json.dumps(user)

    base = getattr(site, f"{scheme}_url")
    got = node(
        FETCH
        + """
  const user = await (await fetch(BASE + "/api/users/3", { dispatcher })).json();
  const echo = await (await fetch(BASE + "/api/echo", {
    dispatcher, method: "POST", body: JSON.stringify({ a: 1 }),
    headers: { "content-type": "application/json" },
  })).json();
  const packed = await (await fetch(BASE + "/gzip", { dispatcher })).json();
  const chunked = await (await fetch(BASE + "/chunked", { dispatcher })).text();
  const redirected = await fetch(BASE + "/redirect", { dispatcher });
  await redirected.text();
  await dispatcher.close();
  return { user, echo, packed, chunked, url: redirected.url };
""",
        base,
    )
    assert got["user"]["name"] == "Changed"
    assert got["echo"]["body"] == '{"a":1}'
    assert got["packed"]
    assert got["chunked"] == "one, two, three.\n"
    assert got["url"] == f"{base}/"
    assert {f.request.url.partition("/api")[0].partition("/gzip")[0] for f in proxy.flows} >= {base}
    assert len(proxy.flows) == 6


def test_fetch_reads_events_as_they_come(node, proxy, make_origin):
    """The page that lets the second event go is asked for when the first one has come."""
    import threading

    go_on = threading.Event()

    def serve(message):
        if message.target == b"/go":
            go_on.set()
        return response(b"went")

    def events(wire):
        wire.message()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: first\n\n")
        assert go_on.wait(PATIENCE_S)
        wire.send(b"data: second\n\n")

    page, stream = make_origin(answering(serve)), make_origin(events)
    got = node(
        FETCH
        + f"""
  const seen = [];
  const answer = await fetch("{stream.url}/", {{ dispatcher }});
  for await (const piece of answer.body) {{
    seen.push(Buffer.from(piece).toString());
    if (seen.length === 1) await (await fetch("{page.url}/go", {{ dispatcher }})).text();
  }}
  await dispatcher.close();
  return seen;
""",
        stream.url,
    )
    assert got == ["data: first\n\n", "data: second\n\n"]
    assert {f.response.text for f in proxy.flows} == {"data: first\n\ndata: second\n\n", "went"}
