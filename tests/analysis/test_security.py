"""Credentials in requests."""

import pytest

from nbproxy.analysis.security import Credentials, is_credential
from tests.analysis.views import flow

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


def found(path="/", *headers, response=()):
    credentials = Credentials()
    used = credentials.of(
        flow(url=f"https://a.test{path}", request_headers=headers, headers=response)
    )
    return used, credentials


@pytest.mark.parametrize(
    ("value", "name", "scheme"),
    [
        ("Bearer abcd", "bearerAuth", {"type": "http", "scheme": "bearer"}),
        (
            f"bearer {JWT}",
            "bearerAuth",
            {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        ),
        ("Basic Ym9iOmh1bnRlcjI=", "basicAuth", {"type": "http", "scheme": "basic"}),
        ('Digest username="bob"', "digestAuth", {"type": "http", "scheme": "digest"}),
        (
            "AWS4-HMAC-SHA256 Credential=x",
            "authorization",
            {"type": "apiKey", "in": "header", "name": "Authorization"},
        ),
        (
            "k3j9x0q2",
            "authorization",
            {"type": "apiKey", "in": "header", "name": "Authorization"},
        ),
    ],
)
def test_authorization(value, name, scheme):
    used, credentials = found("/", ("Authorization", value))
    assert used == {name}
    assert credentials.schemes == {name: scheme}
    assert any(secret in value for secret in credentials.secrets)


def test_keys():
    used, credentials = found(
        "/?api_key=k1234&page=2&code=x",
        ("X-Api-Key", "k5678"),
        ("Cookie", "sessionid=s1234; theme=dark; csrftoken=c1234"),
        ("X-CSRF-Token", "c1234"),
        ("Sec-WebSocket-Key", "abc"),
        response=[("Set-Cookie", "sid=r1234; Path=/")],
    )
    assert credentials.schemes == {
        "query_api_key": {"type": "apiKey", "in": "query", "name": "api_key"},
        "header_x_api_key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        "cookie_sessionid": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
    }
    assert used == credentials.schemes.keys()
    assert {"k1234", "k5678", "s1234", "c1234", "r1234"} <= credentials.secrets


def test_none():
    used, credentials = found("/?page=1", ("Accept", "x"))
    assert used == frozenset()
    assert credentials.schemes == {}


def test_short_values_are_in_everything():
    _, credentials = found("/?token=1")
    assert credentials.secrets == set()


def test_names():
    assert is_credential("X-Auth-Token")
    assert is_credential("key")
    assert not is_credential("xsrf-token")
    assert not is_credential("token" * 100)
