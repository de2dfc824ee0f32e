"""Templates of paths."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.analysis.templates import MAX_SEGMENTS, names, parameters, templates

chance = random.Random(7)


def made(*paths, hits=1):
    return dict(zip(paths, templates(paths, [hits] * len(paths)), strict=True))


def words(count, length=7, letters="abcdefghijklmnoprstuwz"):
    found = set()
    while len(found) < count:
        found.add("".join(chance.choices(letters, k=length)))
    return sorted(found)


def test_ids_are_one():
    assert set(made("/users/17", "/users/42").values()) == {"/users/{id}"}
    assert made("/users/17") == {"/users/17": "/users/{id}"}


def test_few_words_stay_words():
    found = made("/users/17", "/users/42", "/users/me", "/users/active", "/users/17/posts")
    assert found["/users/me"] == "/users/me"
    assert found["/users/active"] == "/users/active"
    assert found["/users/17/posts"] == "/users/{id}/posts"


def test_placeholders_have_different_names():
    path = "/users/1/posts/2/comments/3/4/5/categories/6/addresses/7/status/8"
    assert made(path)[path] == (
        "/users/{id}/posts/{post_id}/comments/{comment_id}/{id2}/{id3}/categories/{category_id}"
        "/addresses/{address_id}/status/{status_id}"
    )


def test_kinds_stand_apart():
    found = made("/days/2024-05-01", "/days/2024-05-02", "/days/today", "/days/17")
    assert sorted(set(found.values())) == ["/days/today", "/days/{date}", "/days/{id}"]


def test_a_long_tail_of_names():
    titles = words(60)
    found = made(*(f"/wiki/{title}" for title in titles), "/wiki/search", "/wiki/17")
    assert {found[f"/wiki/{title}"] for title in titles} == {"/wiki/{slug}"}
    assert found["/wiki/search"] == "/wiki/search"
    assert found["/wiki/17"] == "/wiki/{slug}"


def test_a_few_titles():
    titles = [f"{a}-{b}-{c}" for a, b, c in zip(words(9), words(9), words(9), strict=True)]
    found = made(*(f"/blog/{title}" for title in titles))
    assert set(found.values()) == {"/blog/{slug}"}


def test_many_resources_are_no_tail():
    paths = [f"/api/{name}" for name in words(25)]
    found = made(*paths, *(f"{path}/17" for path in paths), hits=20)
    assert found[paths[0]] == paths[0]
    assert found[f"{paths[0]}/17"] == f"{paths[0]}/{{id}}"


def test_tails_below_tails():
    paths = [f"/repos/{a}/{b}/issues/1" for a, b in zip(words(150), words(150), strict=True)]
    found = made(*paths)
    assert set(found.values()) == {"/repos/{slug}/{slug2}/issues/{id}"}


def test_a_tail_of_files_keeps_its_extension():
    paths = [f"/img/{name}.png" for name in words(60)]
    found = made(*paths, "/img/app.css")
    assert {found[path] for path in paths} == {"/img/{slug}.png"}
    assert found["/img/app.css"] == "/img/app.css"


def test_names_that_differ_in_a_number():
    found = made(*(f"/img/img_{n:04}.jpg" for n in range(4)), "/img/logo.jpg", "/img/a1-b2")
    assert found["/img/img_0003.jpg"] == "/img/img_{id}.jpg"
    assert found["/img/logo.jpg"] == "/img/logo.jpg"
    assert set(made(*(f"/x/p{n}-q{n}" for n in range(4))).values()) == {"/x/{id}"}
    few = made(*(f"/img/img_{n}.jpg" for n in range(3)))
    assert len(set(few.values())) == 3


def test_versions_stay():
    found = made("/2/tweets/17", "/api/1/users", "/api/v1/users", "/api/v2/users", "/api/v3/users",
                 "/api/v4/users")  # fmt: skip
    assert list(found.values()) == [
        "/2/tweets/{id}", "/api/1/users", "/api/v1/users", "/api/v2/users", "/api/v3/users",
        "/api/v4/users",
    ]  # fmt: skip
    assert set(made("/1/x", "/2/x").values()) == {"/{id}/x"}
    assert made("/users/1/x")["/users/1/x"] == "/users/{id}/x"


def test_digests_without_a_digit():
    found = made("/s/main.8f3a2b1c.js", "/s/main.bfecbdec.js", "/s/main.12345678.js",
                 "/s/main.widget.js", "/i/5f2b9c31", "/i/deadbeef", "/i/feed")  # fmt: skip
    assert [found[f"/s/main.{name}.js"] for name in ("8f3a2b1c", "bfecbdec", "12345678")] == [
        "/s/main.{hash}.js"
    ] * 3
    assert found["/s/main.widget.js"] == "/s/main.widget.js"
    assert found["/i/deadbeef"] == "/i/{id}"
    assert found["/i/feed"] == "/i/feed"


def test_paths_of_other_forms():
    found = made("/", "", "*", "example.org:443", "//", "/a//b", "/a/", "/a", "{x}", "/ü/17")
    assert found == {
        "/": "/", "": "", "*": "*", "example.org:443": "example.org:443", "//": "//",
        "/a//b": "/a//b", "/a/": "/a/", "/a": "/a", "{x}": "%7Bx%7D", "/ü/17": "/ü/{id}",
    }  # fmt: skip


def test_strangers_paths_have_bounds():
    deep = "/x" * 10_000
    assert made(deep)[deep] == "/x" * MAX_SEGMENTS + "/{id}"
    long = "/" + "y" * 100_000
    assert made(long)[long] == "/{id}"


def test_parameters():
    assert parameters("/users/{id}/item-{item_id}.jpg", "/users/17/item-5.jpg") == [
        ("id", "17"),
        ("item_id", "5"),
    ]
    assert parameters("/s/{slug}.png", "/s/Ada.PNG") == [("slug", "Ada")]
    assert parameters("/plain", "/plain") == []
    assert names("/users/{id}/posts/{post_id}") == ["id", "post_id"]


segment = st.one_of(
    st.integers(0, 999).map(str),
    st.sampled_from(["users", "me", "a-b-c", "v1", "x.png", "%20", "{id}", ""]),
    st.text(string.ascii_letters + string.digits + "-._~{}", max_size=20),
)


@given(st.lists(st.lists(segment, max_size=5), max_size=60))
def test_any_paths(found):
    paths = list({"/" + "/".join(segments) for segments in found})
    counts = [chance.randrange(1, 50) for _ in paths]
    result = templates(paths, counts)
    assert len(result) == len(paths)
    for path, template in zip(paths, result, strict=True):
        assert template.count("/") == path.count("/")
        assert len(names(template)) == len(set(names(template)))
        assert template.count("{") == len(names(template))
        assert [parameter.name for parameter in parameters(template, path)] == names(template)
    # the same paths, in any order, get the same templates
    again = dict(zip(paths[::-1], templates(paths[::-1], counts[::-1]), strict=True))
    assert [again[path] for path in paths] == result


@pytest.mark.parametrize("letters", ["abc-", string.ascii_letters])
def test_tens_of_thousands_of_paths(letters):
    paths = list({"/v1/" + "".join(chance.choices(letters, k=9)) for _ in range(25_000)})
    found = set(templates(paths, [1] * len(paths)))
    assert found <= {"/v1/{slug}", "/v1/{id}", "/v1/{date}"}
