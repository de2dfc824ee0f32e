"""Held flows, replays and rules in real kernels: cells that await, cells that block, interrupts."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

LOAD = "%load_ext nbproxy"
CLIENT = """
import requests, threading, time
session = requests.Session()
session.trust_env = False
session.proxies, session.verify = nbproxy.proxies, nbproxy.ca_file
answers = []

def aside(method, url, **options):
    def work():
        answers.append(session.request(method, url, timeout=60, **options))
    thread = threading.Thread(target=work)
    thread.start()
    return thread

def once_somebody_waits(begin):
    def work():
        while not len(nbproxy.handlers):
            time.sleep(0.01)
        begin()
    thread = threading.Thread(target=work)
    thread.start()
    return thread
"""


@pytest.fixture
def loaded(notebook):
    notebook.execute(LOAD)
    notebook.execute(CLIENT)
    yield notebook
    notebook.execute("nbproxy.off(); nbproxy.intercepts.resume_all()", silent=True)


def test_next_in_a_cell_that_awaits(loaded, site):
    result = loaded.execute(f"""
waiting = nbproxy.next("~m POST", timeout=60)
thread = aside("POST", "{site.https_url}/api/echo", data="old")
flow = await waiting
flow.request.text = "new"
flow.resume()
import asyncio
await asyncio.to_thread(thread.join)
print(answers[-1].json()["body"])
""")
    assert result.stdout == "new\n"


def test_next_sync_in_a_cell_that_blocks(loaded, site):
    result = loaded.execute(f"""
threads = []
begin = lambda: threads.append(aside("POST", "{site.http_url}/api/echo", data="old"))
threads.append(once_somebody_waits(begin))
flow = nbproxy.next_sync("~m POST", timeout=60)
flow.request.text = "new"
flow.resume()
for each in threads:  # the second one comes while the first is waited for
    each.join()
print(answers[-1].json()["body"])
""")
    assert result.stdout == "new\n"


def test_next_with_a_client_in_a_subprocess(loaded, site):
    result = loaded.execute(f"""
import subprocess
curl = ["curl", "-s", "-x", nbproxy.url, "-d", "old", "{site.http_url}/api/echo"]
command = ["sh", "-c", 'read line; exec "$@"', "sh", *curl]
client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
thread = once_somebody_waits(lambda: (client.stdin.write("go\\n"), client.stdin.flush()))
flow = nbproxy.next_sync("~m POST", timeout=60)
flow.request.text = "new"
flow.resume()
thread.join()
print(client.communicate(timeout=60)[0])
""")
    assert '"body": "new"' in result.stdout


@pytest.mark.parametrize("call", ["nbproxy.next_sync()", "await nbproxy.next()"])
def test_waiting_can_be_interrupted(loaded, call):
    cell = loaded.start_cell(f"print('waits', flush=True)\n{call}")
    loaded.wait_stdout(cell, "waits")
    assert loaded.interrupt_cell(cell).error_name in {"KeyboardInterrupt", "CancelledError"}
    assert loaded.execute("print(len(nbproxy.handlers))").stdout == "0\n"


def test_what_is_held_while_a_cell_blocks_goes_on_in_time_and_its_cell_says_so(loaded, site):
    rule = loaded.start_cell('nbproxy.intercept("~u /api", on="request", timeout=0.2)')
    loaded.finish(rule).check()
    blocking = loaded.execute(f"print(session.get('{site.http_url}/api/users').status_code)")
    assert blocking.stdout == "200\n"
    assert "held" not in blocking.stderr
    shown = loaded.wait_until(rule, lambda result: "went on unchanged" in result.stderr)
    assert "was held at request for 0.2 s" in shown.stderr
    log = loaded.execute("print(nbproxy.log.entries()[-1].text)")
    assert "went on unchanged" in log.stdout


def test_a_blocked_cell_is_freed_by_another_thread(loaded, site):
    """As the buttons of a widget do it."""
    result = loaded.execute(f"""
nbproxy.intercept("~u /api", on="response")
freed = threading.Event()

def watch():
    if nbproxy.intercepts.held:
        freed.set()

def free():
    freed.wait(60)
    flow = nbproxy.intercepts.held[0].flow
    nbproxy.intercepts.answer(flow, nbproxy.Response.make(418, "edited"))

end = nbproxy.intercepts.subscribe(watch)
threading.Thread(target=free).start()
answer = session.get("{site.http_url}/api/users")
end()
print(answer.status_code, answer.text)
""")
    assert result.stdout == "418 edited\n"


def test_running_a_cell_again_replaces_its_rules(loaded, site):
    code = (
        'rule = nbproxy.block("~u /api", {status})\n'
        f"print(session.get('{site.http_url}/api/users').status_code)"
    )
    for status in (403, 404):
        result = loaded.execute(code.format(status=status), cell_id="rules")
        assert result.stdout == f"{status}\n"  # also while the cell still runs
    assert loaded.execute("print(len(nbproxy.handlers))").stdout == "1\n"
    loaded.execute("pass", cell_id="rules")
    assert loaded.execute("print(rule)").stdout.endswith("1 hit, off>\n")


def test_the_magic(loaded, site):
    def run(code):
        return loaded.execute(code)

    assert "0 held, 0 rules" in run("%nbproxy intercept").stdout
    assert run("%nbproxy intercept ~m POST & ~u api").value == (
        "<intercept ~m POST & ~u api at request and response: 0 held so far>"
    )
    run(f"thread = aside('POST', '{site.http_url}/api/echo', data='x')")
    run("while not nbproxy.intercepts.held: thread.join(0.01)")
    assert "1 held, 1 rule" in run("%nbproxy intercept").stdout
    assert run("%nbproxy intercept resume").stdout == "1 flow let go\n"
    run("while not nbproxy.intercepts.held: thread.join(0.01)")
    assert run("%nbproxy intercept off").stdout == "1 rule taken back, 1 flow let go\n"
    assert run("thread.join(); print(answers[-1].status_code)").stdout == "200\n"


def test_completion(loaded):
    assert "intercept" in loaded.complete("%nbproxy inter")
    assert any("~m" in each for each in loaded.complete("%nbproxy intercept ~m"))
    assert any("~marked" in each for each in loaded.complete('nbproxy.intercept("~ma'))


def test_a_filter_that_does_not_parse_is_one_line(shell):
    shell.run("%load_ext nbproxy")
    with pytest.raises(UsageError, match="%nbproxy intercept: "):
        shell.run("%nbproxy intercept ~c x")
    shell.run("%nbproxy intercept --help")


def test_replaying_in_cells(loaded, site):
    loaded.execute(f"session.post('{site.http_url}/api/echo?n=0', json={{'a': 1}})")
    awaited = loaded.execute("""
new = await nbproxy.flows[-1].replay(json={"a": 2}, params={"n": 5})
print(new.response.json()["path"], new.response.json()["body"])
frame = await nbproxy.flows[-1:].replay(vary={"n": range(5)}, concurrency=2)
print(frame.n.tolist(), frame.status.tolist())
""")
    assert awaited.stdout == '/api/echo?n=5 {"a": 2}\n[0, 1, 2, 3, 4] [200, 200, 200, 200, 200]\n'
    blocking = loaded.execute("""
new = nbproxy.flows[0].replay_sync(method="PUT")
print(new.response.json()["method"], len(nbproxy.flows))
print(nbproxy.flows[0:1].replay_sync({"$.a": [7, 8]}).status.tolist())
""")
    assert blocking.stdout == "PUT 8\n[200, 200]\n"


def test_a_cassette_around_blocking_and_awaiting_code(loaded, site):
    program = f"""
with nbproxy.cassette("tape.mitm") as tape:
    print(session.get("{site.https_url}/api/users?page=1").status_code)
async with nbproxy.cassette("tape.mitm") as again:
    print((await asyncio.to_thread(session.get, "{site.https_url}/api/users?page=1")).status_code)
print(tape.recorded, again.hits)
"""
    loaded.execute("import asyncio, os; os.path.exists('tape.mitm') and os.remove('tape.mitm')")
    assert loaded.execute(program).stdout == "200\n200\n1 1\n"
