"""The fixtures of tests that go over real sockets."""

import pytest

from tests.support.proxies import (
    confdir,
    connect,
    identity,
    impatient_tunnels,
    make_origin,
    make_proxy,
    patient_tunnels,
    proxy,
    site,
    trusted,
)

__all__ = [
    "confdir",
    "connect",
    "identity",
    "impatient_tunnels",
    "make_origin",
    "make_proxy",
    "patient_tunnels",
    "proxy",
    "site",
    "trusted",
]


@pytest.fixture(autouse=True)
def tunnels(patient_tunnels):
    """No test depends on how soon its client speaks in a tunnel."""
