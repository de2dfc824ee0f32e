"""The table of hooks, from which the dispatcher, the checks and the completion derive."""

import re

import pytest

from nbproxy import hooks
from nbproxy.hooks import HOOKS, TLSData, all_names, canonical

ARGUMENTS = {"life": "", "client": "client", "server": "server", "tls": "data", "flow": "flow"}


@pytest.mark.parametrize("hook", HOOKS.values(), ids=lambda hook: hook.name)
def test_the_table(hook):
    assert HOOKS[hook.name] is hook
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", hook.name)
    assert hook.argument == ARGUMENTS[hook.kind]
    assert hook.doc.endswith(".")
    assert canonical(hook.name) == hook.name
    assert [canonical(alias) for alias in hook.aliases] == [hook.name] * len(hook.aliases)


def test_the_hooks_that_http_needs_are_there():
    wanted = """running done clientconnect clientdisconnect serverconnect serverdisconnect
        http_connect requestheaders request responseheaders response error tls_clienthello
        tls_established_client tls_failed_client tls_established_server tls_failed_server"""
    assert set(wanted.split()) <= set(HOOKS)
    modern = "client_connected client_disconnected server_connect server_disconnected"
    assert {canonical(name) for name in modern.split()} == {
        "clientconnect",
        "clientdisconnect",
        "serverconnect",
        "serverdisconnect",
    }


def test_no_name_means_two_hooks():
    names = all_names()
    assert len(names) == len(set(names)) == sum(1 + len(h.aliases) for h in HOOKS.values())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("respnse", "did you mean 'response'"),
        ("Request", "did you mean 'request'"),
        ("client_connect", "did you mean 'client"),
        ("", "there are: running, done"),
        (5, "there is no hook 5"),
        ([], "there is no hook"),
        (None, "there is no hook None"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(name, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        canonical(name)


def test_what_tls_handlers_get():
    conn = object()
    data = TLSData(conn, sni="a.test")
    assert (data.conn, data.client, data.sni) == (conn, None, "a.test")
    assert (data.alpn_offers, data.ignore_connection) == ((), False)


def test_a_hook_does_not_change():
    with pytest.raises(AttributeError):
        HOOKS["request"].name = "other"
    assert hooks.HOOKS is HOOKS
