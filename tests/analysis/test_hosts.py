"""Hosts."""

import datetime as dt

import pandas as pd
import pytest

from tests.analysis.views import START, connection, flow, view
from tests.support.origins import issue


def test_what_is_counted():
    found = view(
        flow(url="https://a.test/", took=1.0, start=5),
        flow(url="https://a.test:8443/", status=503, took=3.0, body=b"{}", start=9),
        flow(url="https://b.test/", status=None, error="no"),
    ).hosts()
    assert list(found.index) == ["a.test", "b.test"]
    assert found.index.name == "host"
    a, b = found.loc["a.test"], found.loc["b.test"]
    assert (a["count"], a["2xx"], a["5xx"], a.failed) == (2, 1, 1, 0)
    assert (b["count"], b.unanswered, b.failed) == (1, 1, 1)
    assert a.p50 == pytest.approx(2.0)
    assert a.response_bytes == 2
    assert a.ports == "443, 8443"
    assert a.http == "HTTP/1.1"
    assert a["last"] - a["first"] == pd.Timedelta(seconds=4)
    assert a["first"] == pd.Timestamp(START + 5, unit="s", tz="UTC")
    assert found["first"].dtype == "datetime64[us, UTC]"
    assert pd.isna(a.tls)
    assert a.verified is pd.NA


def test_how_connections_are_secured():
    ca = issue("Test CA", is_ca=True)
    server = connection("a.test")
    server.certificate_list = (issue("a.test", ca, days=(-1, 30)).der,)
    garbage = connection("b.test")
    garbage.certificate_list = (b"garbage",)
    garbage.verified = False
    found = view(
        flow(url="https://a.test/", server=server), flow(url="https://b.test/", server=garbage)
    ).hosts()
    a, b = found.loc["a.test"], found.loc["b.test"]
    assert (a.tls, a.cipher, a.verified) == ("TLSv1.3", "TLS_AES_128_GCM_SHA256", True)
    assert a.certificate_issuer == "Test CA"
    left = a.certificate_expires - pd.Timestamp(dt.datetime.now(dt.UTC))
    assert pd.Timedelta(days=29) < left < pd.Timedelta(days=31)
    assert a.addresses == "93.184.216.34:443"
    assert not b.verified
    assert pd.isna(b.certificate_expires)
    assert pd.isna(b.certificate_issuer)


def test_many_addresses():
    flows = []
    for i in range(12):
        server = connection()
        server.peername = (f"10.0.0.{i}", 443)
        flows.append(flow(server=server))
    assert view(*flows).hosts().addresses.iloc[0].endswith(", and 4 more")


def test_nothing():
    found = view().hosts()
    assert found.empty
    assert found.picture() == ""


def test_real_traffic(traffic):
    found = traffic.flows.hosts()
    secure = found.loc["localhost"]
    assert secure["count"] == 4
    assert secure.tls == "TLSv1.3"
    assert secure.verified
    assert secure.certificate_issuer == "Test CA"
    assert secure.addresses.endswith(f":{traffic.secure}")
    assert found.loc["127.0.0.1", "failed"] == 3
