"""The fixtures of tests that go over real sockets, and an environment without proxies."""

import os

import pytest

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


@pytest.fixture(autouse=True)
def environ():
    """The variables, without what the machine names as proxies; restored at the end."""
    before = dict(os.environ)
    for name in before:
        if name.lower().endswith("_proxy"):
            del os.environ[name]
    yield os.environ
    os.environ.clear()
    os.environ.update(before)
