"""Segments of paths: words and values."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.analysis.segments import MAX_LENGTH, classify, is_date, is_token, is_uuid, is_value

WORDS = """
users v1 v2 v1.1 1.1 me index.html jquery-3.6.0.min.js oauth2 ipv4 mp3 s3 base64 utf-8 sha256 md5
3d 4k x86_64 amd64 python3.11 address2 2fa .well-known robots.txt Ada_Lovelace getOAuth2Token
XMLHttpRequest IBMPlexSans-Regular.woff2 fa-solid-900.woff2 1600x900 chat.postMessage en-US
zh-Hans-CN @types lodash@4.17.21 google.pubsub.v1.Publisher how-to-cook-rice iPhone14ProMax facade
abcdefghijklmnop wp-content openid-configuration item-42 internationalization
""".split()  # noqa: SIM905 - reads better so


@pytest.mark.parametrize("word", WORDS)
def test_words_stay_words(word):
    assert classify(word) == word
    assert not is_value(word)


@pytest.mark.parametrize(
    "segment",
    """
    17 0 -3 20240501 5f2b9c31 550e8400-e29b-41d4-a716-446655440000 dQw4w9WgXcQ cus_9s6XKzkNRiz8i3
    {550E8400-E29B-41D4-A716-446655440000} 01ARZ3NDEKTSV4RRFFQ69G5FAV PROJ-123 bob@example.org
    52.52,13.405 k3j9x0q2 127.0.0.1 0123456789abcdef0123456789abcdef01234567
    AAAAB3NzaC1yc2EAAAADAQABAAABAQ bot123456:AAF-k3j9x0q2mN4vB7zL1pQ8sT5wY2cD6eH
    """.split(),  # noqa: SIM905 - as above
)
def test_ids(segment):
    assert classify(segment) == "{id}"
    assert is_value(segment)


@pytest.mark.parametrize(
    ("segment", "template"),
    [
        ("2024-05-01", "{date}"),
        ("2024-05", "{date}"),
        ("2023-10-05T12:00:00Z", "{date}"),
        ("17.json", "{id}.json"),
        ("550e8400-e29b-41d4-a716-446655440000.JPG", "{id}.jpg"),
        ("main.8f3a2b1c.js", "main.{hash}.js"),
        ("app-9f8e7d.css", "app-{hash}.css"),
        ("cart;jsessionid=0123456789ABCDEF", "cart"),
        ("%31%37", "{id}"),
        ("a%20b", "a%20b"),
        ("{x}", "%7Bx%7D"),
        ("a{x}b.8f3a2b1c.js", "a%7Bx%7Db.8f3a2b1c.js"),
        ("", ""),
        ("x" * (MAX_LENGTH + 1), "{id}"),
        ("x" * 10**6, "{id}"),
    ],
)
def test_templates_of_segments(segment, template):
    assert classify(segment) == template


@given(st.text(max_size=120).filter(lambda text: "/" not in text))
def test_at_most_one_placeholder(segment):
    template = classify(segment)
    assert template.count("{") == template.count("}") <= 1
    assert len(template) <= MAX_LENGTH * 3


@given(st.uuids())
def test_every_uuid(number):
    assert is_uuid(str(number))
    assert classify(str(number)) == "{id}"


@given(st.datetimes())
def test_every_date(moment):
    assert is_date(moment.date().isoformat())
    assert is_date(moment.isoformat())


@given(st.integers(min_value=-(10**20), max_value=10**20))
def test_every_whole_number(number):
    assert classify(str(number)) == "{id}"


def test_most_random_ids_are_known():
    letters = string.ascii_letters + string.digits
    chance = random.Random(1)
    for length, share in ((12, 0.55), (16, 0.85), (22, 0.93), (32, 0.99)):
        made = ["".join(chance.choices(letters, k=length)) for _ in range(500)]
        assert sum(map(is_token, made)) > share * 500
