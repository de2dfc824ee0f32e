"""Who asked for which protocol, and who may agree: the rules of the WebSocket handshake."""

import re

import pytest

from nbproxy.errors import ProtocolError
from nbproxy.model.headers import Headers
from nbproxy.protocol import upgrades
from nbproxy.protocol.upgrades import Deflate
from tests.support.frames import ACCEPT, KEY


def headers(text):
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return Headers([tuple(part.strip() for part in line.split(":", 1)) for line in lines])


REQUEST = f"""
    Upgrade: websocket
    Connection: Upgrade
    Sec-WebSocket-Version: 13
    Sec-WebSocket-Key: {KEY.decode()}
"""
ANSWER = f"""
    Upgrade: websocket
    Connection: Upgrade
    Sec-WebSocket-Accept: {ACCEPT.decode()}
"""


def test_the_example_of_the_rfc():
    assert upgrades.accept_of(KEY.decode()) == ACCEPT.decode()
    assert upgrades.request_fault("GET", headers(REQUEST)) is None
    assert upgrades.is_websocket(headers(REQUEST))
    assert upgrades.is_websocket(headers("Upgrade: foo/2, WebSocket"))
    assert not upgrades.is_websocket(headers("Upgrade: websocket2"))
    assert not upgrades.is_websocket(headers("Connection: websocket"))


# hostile: W-08
@pytest.mark.parametrize(
    ("method", "line", "status", "reason"),
    [
        ("POST", "", 400, "begins with GET"),
        ("GET", "Sec-WebSocket-Version: 12", 426, "must be 13, not 12"),
        ("GET", "Sec-WebSocket-Version: ", 426, "must be 13"),
        ("GET", "Sec-WebSocket-Version: 13, 8", 426, "not 13, 8"),
        ("GET", "Sec-WebSocket-Version", 426, "not none"),
        ("GET", "Sec-WebSocket-Key", 400, "Sec-WebSocket-Key must be there once"),
        ("GET", "Sec-WebSocket-Key: abc", 400, "16 bytes"),
        ("GET", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j", 400, "16 bytes"),
        ("GET", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=ü", 400, "16 bytes"),
        ("GET", "Sec-WebSocket-Key: dGhl*HNhbXBsZSBub25jZQ==", 400, "16 bytes"),
    ],
)
def test_a_request_that_leads_to_no_websocket(method, line, status, reason):
    asked = headers(REQUEST)
    name, colon, value = line.partition(": ")
    if name:
        del asked[name]
    if colon:
        asked[name] = value
    fault = upgrades.request_fault(method, asked)
    assert fault is not None
    assert fault[0] == status
    assert reason in fault[1]


def test_a_key_said_twice():
    asked = headers(REQUEST)
    asked.add("sec-websocket-key", KEY.decode())
    assert upgrades.request_fault("GET", asked)[0] == 400


@pytest.mark.parametrize("chosen", ["foo", "FOO", "foo, websocket"])
def test_one_of_the_protocols_asked_for(chosen):
    upgrades.check_switch(headers("Upgrade: websocket, Foo"), headers(f"Upgrade: {chosen}"))


@pytest.mark.parametrize("chosen", ["Upgrade: bar", "Upgrade: foo, bar", "Upgrade:", ""])
def test_a_protocol_nobody_asked_for(chosen):
    with pytest.raises(ProtocolError, match="which nobody asked for") as caught:
        upgrades.check_switch(headers("Upgrade: foo"), headers(chosen))
    assert caught.value.status == 502


# -- the answer


def check(asked, answered):
    return upgrades.check_websocket(headers(REQUEST + asked), headers(ANSWER + answered))


OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\n"
AGREED = "Sec-WebSocket-Extensions: permessage-deflate"


def test_a_plain_answer():
    assert check("", "") is None
    assert check(OFFER, "") is None
    assert check("Sec-WebSocket-Protocol: a, b\nSec-WebSocket-Protocol: c", "") is None
    for chosen in "abc":
        asked = "Sec-WebSocket-Protocol: a, b\nSec-WebSocket-Protocol: c"
        assert check(asked, f"Sec-WebSocket-Protocol: {chosen}") is None


@pytest.mark.parametrize(
    ("parameters", "agreed"),
    [
        ("", Deflate()),
        ("; client_no_context_takeover", Deflate(client_resets=True)),
        ("; server_no_context_takeover", Deflate(server_resets=True)),
        ("; server_max_window_bits=10 ; client_max_window_bits=8", Deflate(8, 10)),
        (';server_max_window_bits="15"', Deflate()),
        (
            "; client_no_context_takeover; server_no_context_takeover; server_max_window_bits=9",
            Deflate(15, 9, client_resets=True, server_resets=True),
        ),
    ],
)
def test_compression_that_was_agreed(parameters, agreed):
    assert check(OFFER, AGREED + parameters) == agreed
    assert upgrades.compression(headers(AGREED + parameters)) == agreed


# hostile: W-08
@pytest.mark.parametrize(
    ("asked", "answered", "problem"),
    [
        ("", AGREED, "it compresses messages, which was not offered"),
        ("Sec-WebSocket-Extensions: x-other", AGREED, "not offered"),
        (OFFER, "Sec-WebSocket-Extensions: x-other", "the extension x-other was not offered"),
        ("Sec-WebSocket-Extensions: x-other", "Sec-WebSocket-Extensions: x-other", "not offered"),
        (OFFER, f"{AGREED}, permessage-deflate", "permessage-deflate, permessage-deflate was not"),
        (OFFER, f"{AGREED}; client_max_window_bits", "client_max_window_bits=None cannot"),
        (OFFER, f"{AGREED}; client_max_window_bits=7", "client_max_window_bits=7 cannot"),
        (OFFER, f"{AGREED}; server_max_window_bits=16", "server_max_window_bits=16 cannot"),
        (OFFER, f"{AGREED}; server_max_window_bits=010", "server_max_window_bits=010 cannot"),
        (OFFER, f"{AGREED}; server_no_context_takeover=1", "server_no_context_takeover=1 cannot"),
        (OFFER, f"{AGREED}; unheard_of", "unheard_of=None cannot"),
        (OFFER, f"{AGREED}; a=b; a=c", "malformed"),
        (OFFER, f"{AGREED}; a b", "malformed"),
        (OFFER, f"{AGREED}; a=", "malformed"),
        (OFFER, f"{AGREED};", "malformed"),
        (OFFER, "Sec-WebSocket-Extensions: a b", "'a b' is no extension"),
        ("", "Sec-WebSocket-Protocol: chat", "the subprotocol chat was not offered"),
        ("Sec-WebSocket-Protocol: Chat", "Sec-WebSocket-Protocol: chat", "was not offered"),
        (
            "Sec-WebSocket-Protocol: a, b",
            "Sec-WebSocket-Protocol: a\nSec-WebSocket-Protocol: b",
            "a, b was not offered",
        ),
    ],
)
def test_an_answer_that_the_client_must_not_get(asked, answered, problem):
    with pytest.raises(ProtocolError, match=re.escape(problem)) as caught:
        check(asked, answered)
    assert caught.value.status == 502
    assert "the server's answer to the upgrade cannot be used" in str(caught.value)


@pytest.mark.parametrize("accept", [None, "", "abc", ACCEPT.decode().lower(), "ü"])
def test_a_wrong_accept(accept):
    answered = headers(ANSWER)
    del answered["sec-websocket-accept"]
    if accept is not None:
        answered["sec-websocket-accept"] = accept
    with pytest.raises(ProtocolError, match="does not belong to the key"):
        upgrades.check_websocket(headers(REQUEST), answered)


# -- offers


@pytest.mark.parametrize(
    ("offered", "kept"),
    [
        (["permessage-deflate; client_max_window_bits"], None),
        (["permessage-deflate;server_max_window_bits=8,permessage-deflate"], None),
        (["permessage-deflate", "permessage-deflate; a=b"], None),
        (["x-webkit-deflate-frame"], []),
        (["bbf-usp-protocol, permessage-deflate"], ["permessage-deflate"]),
        (
            ["a, permessage-deflate; x , b;c=d,permessage-deflate"],
            ["permessage-deflate; x, permessage-deflate"],
        ),
        (["permessage-deflate; a=b; a=c"], []),
        (["x", "permessage-deflate"], ["permessage-deflate"]),
        ([",", ""], []),
    ],
)
def test_only_what_can_be_read_is_offered(offered, kept):
    name = "Sec-WebSocket-EXTENSIONS"
    before = ((b"Host", b"a"), *((name.encode(), value.encode()) for value in offered))
    after = upgrades.known_offers(before)
    assert after[0] == (b"Host", b"a")
    wanted = offered if kept is None else kept
    assert [value.decode() for _, value in after[1:]] == wanted
    assert {n for n, _ in after[1:]} <= {name.encode()}


def test_other_requests_are_left_alone():
    fields = ((b"Host", b"a"), (b"Upgrade", b"websocket"))
    assert upgrades.known_offers(fields) is fields
