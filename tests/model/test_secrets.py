"""Masks: secrets hidden, everything else untouched, the same secret with the same mask."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.model import secrets
from nbproxy.model.secrets import Masker, is_secret_name

MASKER = Masker(b"salt")
M = r"\*\*\*[0-9a-f]{8}"
SECRET = "hunter2-hunter2"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
RANDOM = "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY"


def test_masks_are_stable_and_differ():
    assert re.fullmatch(M, MASKER.mask("a"))
    assert MASKER.mask("a") == Masker(b"salt").mask("a") != MASKER.mask("b")
    assert MASKER.mask("a") != Masker(b"pepper").mask("a")
    assert MASKER.mask("") == ""
    assert MASKER.mask(MASKER.mask("a")) == MASKER.mask("a")
    assert Masker(b"x" * 100).mask("a")
    assert "salt" not in repr(MASKER)


@given(st.text(st.characters(codec=None), max_size=50), st.binary(max_size=80))
def test_anything_can_be_masked(text, salt):
    masker = Masker(salt)
    mask = masker.mask(text)
    assert not text or re.fullmatch(M, mask)
    for shown in (
        masker.mask_header("authorization", text),
        masker.mask_header("set-cookie", text),
        masker.mask_header("x", text),
        masker.mask_url(text),
        masker.mask_text(text),
        masker.mask_text(text, "multipart/form-data"),
        masker.mask_text(text, "application/x-www-form-urlencoded"),
    ):
        assert isinstance(shown, str)


@pytest.mark.parametrize(
    "name",
    [
        "token", "access_token", "accessToken", "X-Auth-Token", "x-api-key", "apikey", "APIKey",
        "client_secret", "password", "user[password]", "passwd", "sessionid", "session_id",
        "JSESSIONID", "PHPSESSID", "X-CSRF-Token", "csrfmiddlewaretoken", "authenticity_token",
        "X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "sig", "jwt", "otp",
        "private_key", "aws_secret_access_key", "Ocp-Apim-Subscription-Key", "auth", "SAMLResponse",
        "code_verifier", "XSRF",
    ],
)  # fmt: skip
def test_names_of_secrets(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "id", "page", "q", "keyboard", "key", "code", "author", "authors", "tokens",
        "max_tokens", "token_type", "token_endpoint", "session_count", "expires_in", "public_key",
        "sort_key", "sec-websocket-key", "etag", "idempotency-key", "signed_headers", "message",
        "assessment", "passage", "secretary", "expires_at", "password_policy", "___", "ü",
    ],
)  # fmt: skip
def test_names_of_other_things(name):
    assert not is_secret_name(name)


def test_names_that_are_secret_in_queries_only():
    for name in ("key", "code", "pin"):
        assert is_secret_name(name, query=True)
        assert not is_secret_name(name)
    assert not is_secret_name("barcode", query=True)


@pytest.mark.parametrize(
    ("name", "value", "pattern"),
    [
        ("Authorization", f"Bearer {SECRET}", f"Bearer {M}"),
        ("authorization", f"Basic  {SECRET}==", f"Basic {M}"),
        ("Authorization", f'Digest username="x", response="{SECRET}"', f"Digest {M}"),
        ("Authorization", f"AWS4-HMAC-SHA256 Credential={SECRET}", f"AWS4-HMAC-SHA256 {M}"),
        ("Authorization", SECRET, M),
        ("Authorization", "", ""),
        ("Authorization", f"{SECRET * 3} x", M),
        ("Proxy-Authorization", f"Basic {SECRET}", f"Basic {M}"),
        ("Cookie", f"a={SECRET}; b=; {SECRET}", f"a={M}; b=; {M}"),
        ("Set-Cookie", f"a={SECRET}; Path=/; HttpOnly", f"a={M}; Path=/; HttpOnly"),
        ("X-Api-Key", f"{SECRET} {SECRET}", M),
        ("X-Auth-Token", f"Bearer {SECRET}", f"Bearer {M}"),
        ("X-CSRF-Token", SECRET, M),
        ("WWW-Authenticate", f"Negotiate {SECRET}", f"Negotiate {M}"),
        ("Location", f"https://a/cb?code={SECRET}&x=1#f", f"https://a/cb\\?code={M}&x=1#f"),
        ("Referer", f"http://u:{SECRET}@a/", f"http://{M}@a/"),
        ("X-Custom", f"v1 {JWT}", f"v1 {M}"),
        ("Link", f"<https://a/?token={SECRET}>; rel=next", f"<https://a/\\?token={M}; rel=next"),
    ],
)
def test_headers(name, value, pattern):
    shown = MASKER.mask_header(name, value)
    assert re.fullmatch(pattern, shown), shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Type", "text/html; charset=utf-8"),
        ("ETag", f'"{RANDOM}"'),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Access-Control-Allow-Credentials", "true"),
        ("WWW-Authenticate", 'Basic realm="x"'),
        ("WWW-Authenticate", "Negotiate"),
        ("Location", "/next?page=2"),
        ("User-Agent", "basic internationalization-of-everything"),
        ("X-Uuid", "123e4567-e89b-12d3-a456-426614174000"),
    ],
)
def test_other_headers_stay(name, value):
    assert MASKER.mask_header(name, value) == value


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        (f"http://a/p?token={SECRET}&q=x", f"http://a/p\\?token={M}&q=x"),
        (f"/p?a=1;api_key={SECRET}", f"/p\\?a=1;api_key={M}"),
        (f"http://user:{SECRET}@a:80/x", f"http://{M}@a:80/x"),
        (f"http://{SECRET}@a/x?y", f"http://{M}@a/x\\?y"),
        (f"http://a/#access_token={SECRET}&state=1", f"http://a/#access_token={M}&state=1"),
        (f"/p?x={JWT}", f"/p\\?x={M}"),
        (f"/p?x={RANDOM}", f"/p\\?x={M}"),
        (f"/p?{RANDOM}", f"/p\\?{M}"),
        (f"/p/{JWT}/x", f"/p/{M}/x"),
        (f"/p?%74oken={SECRET}", f"/p\\?%74oken={M}"),
        (
            f"/login?next=https%3A%2F%2Fb%2F%3Ftoken%3D{SECRET}",
            f"/login\\?next=https://b/%3Ftoken%3D{M}",
        ),
    ],
)
def test_urls(text, pattern):
    shown = MASKER.mask_url(text)
    assert re.fullmatch(pattern, shown), shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    "text",
    [
        "http://example.org/",
        "http://example.org/a/b?page=2&q=hello+world&lang=de#top",
        "/key/token/secret/password",
        f"/static/app.{RANDOM}.js",
        "/p?id=123e4567-e89b-12d3-a456-426614174000",
        "/p?t=2026-01-01T00:00:00&n=00000000000000000000000000000000000000001",
        "/p?slug=the-ten-best-notebooks-of-2026-and-what-they-do",
        "/p?token=&code",
        "/p?next=https%3A%2F%2Fb%2F",
        "http://a/@user?x=a@b",
        "",
    ],
)
def test_other_urls_stay(text):
    assert MASKER.mask_url(text) == text


def test_the_same_secret_has_the_same_mask_wherever_it_is():
    mask = MASKER.mask(SECRET)
    assert MASKER.mask_header("Authorization", f"Bearer {SECRET}") == f"Bearer {mask}"
    assert MASKER.mask_url(f"/?token={SECRET}") == f"/?token={mask}"
    assert MASKER.mask_text(f'{{"token": "{SECRET}"}}') == f'{{"token": "{mask}"}}'
    assert MASKER.mask_url(MASKER.mask_url(f"/?token={SECRET}")) == f"/?token={mask}"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=12),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "token", "na\\me", 'na"me', "x"]), inner)
        ),
        max_leaves=12,
    )
)
def test_masked_json_is_json_with_the_same_shape(value):
    def expected(item, name=""):
        if isinstance(item, dict):
            return {key: expected(sub, key) for key, sub in item.items()}
        if isinstance(item, list):
            return [expected(sub) for sub in item]
        if name == "token" and isinstance(item, str | int) and not isinstance(item, bool):
            return bool(item != "")
        return item

    def compared(item, shown, name=""):
        if isinstance(item, dict):
            return {key: compared(sub, shown[key], key) for key, sub in item.items()}
        if isinstance(item, list):
            return [compared(sub, other) for sub, other in zip(item, shown, strict=True)]
        if name == "token" and isinstance(item, str | int) and not isinstance(item, bool):
            return bool(re.fullmatch(M, shown))
        return shown

    for indent in (None, 2):
        shown = json.loads(MASKER.mask_text(json.dumps(value, indent=indent), "application/json"))
        assert compared(value, shown) == expected(value)


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        (f'{{"a": [1, {{"accessToken" : "{SECRET}"}}]}}', "application/json"),
        (f'data: {{"password":"{SECRET}', "text/event-stream"),
        (f'{{"password":"{SECRET}\\', "text/event-stream"),
        (f'{{"body": "{{\\"password\\": \\"{SECRET}\\"}}"}}', "application/json"),
        (f"a=1&password={SECRET}&b=2", "application/x-www-form-urlencoded; charset=utf-8"),
        (f'<input type=hidden name="csrf" value="{SECRET}">', "text/html"),
        (f"<INPUT name=token value={SECRET}>", "text/html"),
        (f"<input name=token value='{SECRET}'>", "text/html"),
        (f'<meta name="csrf-token" content="{SECRET}">', "text/html"),
        (
            (
                '--X\r\nContent-Disposition: form-data; name="password"\r\n'
                f"Content-Type: text/plain\r\n\r\n{SECRET}\r\n--X--"
            ),
            "multipart/form-data; boundary=X",
        ),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET.replace('-', '')}\n-----END", "text/plain"),
        (f"curl -H 'Authorization: Bearer {SECRET}{SECRET}'", "text/plain"),
        (f"git clone https://{SECRET}@example.org/x", "text/plain"),
        (f"export K=ghp_{RANDOM}{SECRET}", "text/plain"),
    ],
)
def test_bodies(text, content_type):
    shown = MASKER.mask_text(text, content_type)
    assert re.search(M, shown), shown
    assert "hunter2" not in shown.replace(f"ghp_{RANDOM}{SECRET}", "").partition("***")[0]
    assert f"{SECRET}" not in shown or "ghp_" in text
    assert MASKER.mask_text(shown, content_type) == shown


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        ('{"key": "a", "code": "b", "max_tokens": 5, "token": null, "auth": true}', "text/json"),
        ('{"password": {"min": 8}, "session": ["a"]}', "application/json"),
        ('say "token" and "password": nothing', "text/plain"),
        ("a=1&b=2", "application/x-www-form-urlencoded"),
        ("<input name=q value=token>", "text/html"),
        ("<input name=token>", "text/html"),
        ('--X\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--X--', "multipart/x"),
        ("-----BEGIN PUBLIC KEY-----\nabc\n-----END", "text/plain"),
    ],
)
def test_other_bodies_stay(text, content_type):
    assert MASKER.mask_text(text, content_type) == text


def test_long_bodies_are_cut_and_what_is_left_out_is_not_shown():
    text = f'{{"x": "{"a" * 100}", "password": "{SECRET}"}}'
    for limit in range(len(text)):
        shown = MASKER.mask_text(text, "application/json", limit)
        assert "hun" not in shown
        assert shown.endswith(f"… (+{len(text) - limit} characters)")


@pytest.mark.parametrize(
    "piece",
    [
        '"', '\\"', '"a":', '{"token":"', "eyJ", "eyJaaaaaaaa.", "http://", "http://a@", "Bearer ",
        "Basic aaaaaaaaaaaaaaaa", "<input ", "<input name=token value=", " value=", "-----BEGIN ",
        '\\"token\\":', 'Content-Disposition: form-data; name="token"\r\n', "token=&", "a://%3Fx=",
        "?", "sk-", ": ", "\r\n", "=", "@", " ",
    ],
)  # fmt: skip
def test_hostile_bodies_take_linear_time(piece):
    # A quadratic pattern would take minutes here, a linear one some 100 ms.
    text = piece * (256 * 1024 // len(piece))
    for content_type in ("", "multipart/form-data", "application/x-www-form-urlencoded"):
        assert MASKER.mask_text(text, content_type)
    assert MASKER.mask_url(text)


def test_urls_within_urls_are_masked_whole_when_too_deep():
    text = f"token={SECRET}"
    for _ in range(6):
        text = f"x=http://a/%3F{text.replace('%', '%25').replace('=', '%3D')}"
    shown = MASKER.mask_url(f"/p?{text}")
    assert SECRET not in shown
    assert secrets.Masker(b"").mask_url(shown) == shown
