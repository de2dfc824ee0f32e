"""The variables, and which hosts no_proxy keeps from a proxy."""

import pytest

from nbproxy.capture import environment

URL = "http://nbproxy-1:x@127.0.0.1:8080"


def captured(environ=(), no_proxy=None):
    return environment.captured(URL, "/b.pem", "/wgetrc", dict(environ), no_proxy)


def test_every_client_is_told():
    found = captured()
    assert {found[name] for name in environment.PROXY} == {URL}
    assert {found[name] for name in environment.TRUST} == {"/b.pem"}
    assert found["SYSTEM_WGETRC"] == "/wgetrc"
    assert found["NODE_USE_ENV_PROXY"] == "1"
    assert found["GIT_HTTP_PROXY_AUTHMETHOD"] == "basic"
    assert found["no_proxy"] is found["NO_PROXY"] is None
    assert found["grpc_proxy"] == ""


def test_a_terminal_gets_no_credentials_and_no_git_settings():
    found = environment.exports("http://127.0.0.1:8080", "/b.pem", "/wgetrc")
    assert set(found) == {
        *environment.PROXY,
        *environment.TRUST,
        "SYSTEM_WGETRC",
        "NODE_USE_ENV_PROXY",
    }


def test_settings_of_git_are_added_to_those_there_are():
    assert captured()["GIT_CONFIG_KEY_0"] == "http.proxy"
    found = captured({"GIT_CONFIG_COUNT": "2"})
    assert (found["GIT_CONFIG_COUNT"], found["GIT_CONFIG_KEY_2"]) == ("3", "http.proxy")
    assert found["GIT_CONFIG_VALUE_2"] == URL
    assert "GIT_CONFIG_COUNT" not in captured({"GIT_CONFIG_COUNT": "many"})


def test_a_clients_own_setting_is_ours_only_where_it_is_set():
    assert "PIP_PROXY" not in captured()
    assert captured({"PIP_PROXY": "http://corp:3128"})["PIP_PROXY"] == URL
    assert captured({"grpc_proxy": "http://corp:3128"})["grpc_proxy"] == "http://corp:3128"


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("", ""),
        ("localhost,127.0.0.1", ""),
        ("localhost, .corp.test ,::1, 10.0.0.0/8", ".corp.test,10.0.0.0/8"),
        ("127.0.0.0/8 [::1] *.localhost localhost:8888 0.0.0.0", ""),
        ("*", "*"),
        ("mylocalhost,127.example", "mylocalhost,127.example"),
    ],
)
def test_entries_for_this_machine_are_left_out(given, left):
    assert environment.without_loopback(given) == left
    found = captured({"no_proxy": given, "NO_PROXY": given})
    assert found["no_proxy"] == found["NO_PROXY"] == (left or None)


def test_no_proxy_can_be_said():
    environ = {"no_proxy": ".corp.test"}
    assert captured(environ, "")["no_proxy"] is None
    assert captured(environ, "localhost")["NO_PROXY"] == "localhost"


@pytest.mark.parametrize(
    ("no_proxy", "host", "entry"),
    [
        ("", "example.org", None),
        ("example.org", "example.org", "example.org"),
        ("example.org", "WWW.Example.org.", "example.org"),
        (".example.org", "www.example.org", ".example.org"),
        ("*.example.org", "www.example.org", "*.example.org"),
        ("example.org", "notexample.org", None),
        ("a.test, *", "example.org", "*"),
        ("example.org:443", "example.org", "example.org:443"),
        ("example.org:80", "example.org", None),
        ("10.0.0.0/8", "10.1.2.3", "10.0.0.0/8"),
        ("10.0.0.0/8", "11.1.2.3", None),
        ("10.0.0.0/8", "example.org", None),
        ("[::1]:443", "::1", "[::1]:443"),
        ("::1", "::1", "::1"),
        ("nonsense/x", "example.org", None),
    ],
)
def test_which_entry_keeps_a_host_from_the_proxy(no_proxy, host, entry):
    assert environment.entry_for(no_proxy, host, 443) == entry
