"""The order of events, era by era, on live traffic."""

import pytest

from tests.scripts.worlds import World, plain, secure
from tests.support.proxies import wait_until

NAMES = """
    start load configure running clientconnect clientdisconnect serverconnect serverdisconnect
    client_connected client_disconnected server_connect server_connected server_disconnected
    http_connect http_connected requestheaders request responseheaders response error
    tls_clienthello tls_start_client tls_start_server tls_established_client
    tls_established_server
""".split()  # noqa: SIM905 - reads better so
# Without `next_layer`, which comes less often here than natively. Connections to servers are kept
# for others when a client has gone, so that they end after it. `server_connected` says that TLS
# stands too, and a tunnel is opened before its server is asked.
ORDER = {
    "A": "clientconnect request serverconnect response clientdisconnect",
    "B": "clientconnect request serverconnect responseheaders response clientdisconnect",
    "C": "clientconnect request serverconnect responseheaders response clientdisconnect "
    "serverdisconnect",
    "D": "clientconnect requestheaders request serverconnect responseheaders response "
    "clientdisconnect serverdisconnect",
    "G": "client_connected requestheaders request server_connect server_connected responseheaders "
    "response client_disconnected server_disconnected",
}
ORDER_TLS = {
    "A": "clientconnect serverconnect request response clientdisconnect",
    "B": "clientconnect serverconnect request responseheaders response clientdisconnect",
    "C": "clientconnect serverconnect request responseheaders response clientdisconnect "
    "serverdisconnect",
    "D": "clientconnect requestheaders serverconnect requestheaders request responseheaders "
    "response clientdisconnect serverdisconnect",
    "E": "clientconnect http_connect serverconnect requestheaders request responseheaders "
    "response clientdisconnect serverdisconnect",
    "G": "client_connected http_connect http_connected tls_clienthello server_connect "
    "tls_start_server tls_established_server server_connected tls_start_client "
    "tls_established_client requestheaders request responseheaders response "
    "client_disconnected server_disconnected",
}
BEFORE = {
    "A": "start",
    "D": "start configure",
    "F": "load running configure",
    "G": "load configure running",
}


def nearest(table, era):
    """The entry of an era, or of the last one before it that has one."""
    return table[max(letter for letter in table if letter <= era)]


def noting(era):
    """A script with all functions of an era, each of which notes its name."""
    lines = ["SEEN = []"]
    first = "c, " if era <= "C" else ""
    for name in NAMES:
        gone = {"start": era > "E", "load": era < "F", "running": era < "F", "configure": era < "D"}
        if gone.get(name):
            continue
        parameters = {
            "start": {"A": "c", "B": "c, argv", "C": "c, argv"}.get(era, ""),
            "running": "",
            "configure": "o, u" if era <= "E" else "u",
        }.get(name, f"{first}x")
        lines.append(f"def {name}({parameters}): SEEN.append('{name}')")
    return "\n".join(lines)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("era", "ABCDEFGH")
def test_order(proxy, site, connect, write, make_origin, era, tls):
    script = proxy.load(write("a.py", noting(era)), era=era)
    seen = script.program.addons[0].SEEN
    wanted = f"{nearest(BEFORE, era)} {nearest(ORDER_TLS if tls else ORDER, era)}".split()
    world = World(proxy, site, connect, make_origin)
    assert (secure if tls else plain)(world).status == 200
    gone = "client_disconnected" if era >= "G" else "clientdisconnect"
    wait_until(lambda: gone in seen)
    proxy.stop()
    wait_until(lambda: len(seen) >= len(wanted))
    assert (seen, script.last_error) == (wanted, "")


@pytest.mark.parametrize("era", "ABCDEFGH")
def test_the_second_request_begins_at_request(proxy, site, connect, write, era):
    script = proxy.load(write("a.py", noting(era)), era=era)
    wire = connect(proxy)
    wire.get(f"{site.http_url}/")
    seen = script.program.addons[0].SEEN
    wait_until(lambda: seen[-1] == "response")
    count = len(seen)
    wire.get(f"{site.http_url}/")
    names = ["requestheaders", "request", "responseheaders", "response"]
    wanted = {"A": names[1::2], "B": names[1:], "C": names[1:]}.get(era, names)
    wait_until(lambda: len(seen) >= count + len(wanted))
    assert seen[count:] == wanted
