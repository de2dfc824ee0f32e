"""A FIN from `close` told from one of `shutdown`, by the kernel's tables."""

from __future__ import annotations

import contextlib
import socket

import pytest

from nbproxy.engine.orphans import _read_tables, is_orphan
from tests.support.proxies import PATIENCE_S, wait_until

LISTENERS = {
    "ipv4": (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
    "ipv6": (socket.AF_INET6, "::1", "::1"),
    "ipv4-at-ipv6": (socket.AF_INET6, "::", "127.0.0.1"),
}


@pytest.fixture(params=LISTENERS)
def ends(request):
    """A client's socket, and the one that its listener accepted."""
    family, host, target = LISTENERS[request.param]
    with contextlib.ExitStack() as stack:
        dual = family == socket.AF_INET6 and host == "::"
        listener = socket.create_server((host, 0), family=family, dualstack_ipv6=dual)
        stack.enter_context(listener)
        port = listener.getsockname()[1]
        near = stack.enter_context(socket.create_connection((target, port), PATIENCE_S))
        far = stack.enter_context(listener.accept()[0])
        yield near, far


def looks_orphaned(far):
    return is_orphan(_read_tables(), far.getpeername()[:2], far.getsockname()[:2])


def test_a_close_leaves_an_orphan(ends):
    near, far = ends
    assert not looks_orphaned(far)
    near.close()
    assert far.recv(1) == b""
    wait_until(lambda: looks_orphaned(far))  # a table that changes while it is read lacks lines


def test_a_shutdown_does_not(ends):
    near, far = ends
    near.shutdown(socket.SHUT_WR)
    assert far.recv(1) == b""
    assert not looks_orphaned(far)


def test_what_is_not_in_the_tables_is_none():
    assert not is_orphan([], ("127.0.0.1", 1), ("127.0.0.1", 2))
    assert not is_orphan(_read_tables(), ("192.0.2.1", 1), ("192.0.2.2", 2))
    assert not is_orphan(_read_tables(), None, None)
