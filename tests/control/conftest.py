"""The fixtures of tests that go over real sockets."""

from tests.support.proxies import (
    confdir,
    connect,
    identity,
    make_origin,
    make_proxy,
    proxy,
    site,
    trusted,
)

__all__ = [
    "confdir",
    "connect",
    "identity",
    "make_origin",
    "make_proxy",
    "proxy",
    "site",
    "trusted",
]
