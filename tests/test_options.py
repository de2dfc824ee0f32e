"""Every option is checked where it is set, and says what would do."""

import copy
import math
import re
from pathlib import Path

import pytest

from nbproxy.errors import ConfigError
from nbproxy.options import OPTIONS, Options, check

KINDS = {
    "bool",
    "int",
    "optional int",
    "float",
    "size",
    "str",
    "optional str",
    "list",
    "choice",
}


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.name)
def test_the_table(option):
    assert OPTIONS[option.name] is option
    assert option.type in KINDS
    assert re.fullmatch(r"[a-z][a-z_]+", option.name)
    assert option.help.endswith((".", "]")), "a sentence"
    assert bool(option.choices) is (option.type == "choice")
    assert check(option.name, option.default) == option.default, "the default is a value"
    if option.default is not None and option.type != "list":
        assert check(option.name, str(option.default)) == option.default, "also as text"


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("ssl_insecure", "TRUE", True),
        ("ssl_insecure", " off ", False),
        ("ssl_insecure", 1, True),
        ("ssl_insecure", "no", False),
        ("listen_port", "0", 0),
        ("listen_port", 65535, 65535),
        ("connect_timeout", "2.5", 2.5),
        ("connect_timeout", 3, 3.0),
        ("stream_large_bodies", 0, 0),
        ("stream_large_bodies", "65536", 65536),
        ("stream_large_bodies", "64k", 65536),
        ("stream_large_bodies", " 5 MB ", 5 * 2**20),
        ("stream_large_bodies", "1g", 2**30),
        ("stream_large_bodies", "10b", 10),
        ("confdir", Path("a/b"), "a/b"),
        ("confdir", "", None),
        ("proxyauth", None, None),
        ("proxyauth", "me:pass:word", "me:pass:word"),
        ("ignore_hosts", "a", ("a",)),
        ("ignore_hosts", ["a", "b"], ("a", "b")),
        ("ignore_hosts", (), ()),
        ("connection_strategy", "lazy", "lazy"),
    ],
)
def test_values_that_fit(name, given, value):
    assert check(name, given) == value
    assert type(check(name, given)) is type(value)
    assert getattr(Options(**{name: given}), name) == value


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("ssl_insecure", "maybe", "true or false"),
        ("listen_port", -1, "a whole number, 0 or more"),
        ("listen_port", True, "a whole number"),
        ("listen_port", 1.5, "a whole number"),
        ("listen_port", "65536", "a port is 0 to 65535"),
        ("max_connections", "many", "a whole number"),
        ("connect_timeout", "-1", "a number of seconds"),
        ("connect_timeout", math.nan, "a number of seconds"),
        ("connect_timeout", None, "a number of seconds"),
        ("stream_large_bodies", "5t", 'such as 65536, "64k" or "5m"'),
        ("stream_large_bodies", -5, "a number of bytes"),
        ("stream_large_bodies", True, "a number of bytes"),
        ("listen_host", 5, "text"),
        ("confdir", ["a"], "text, or none"),
        ("ignore_hosts", 5, "a list of texts"),
        ("ignore_hosts", [5], "a list of texts"),
        ("ignore_hosts", "a(", "'a(' is no regular expression"),
        ("connection_strategy", "greedy", "it takes eager or lazy"),
        ("proxyauth", "nobody", 'it takes "user:password"'),
        ("ssl_insecur", True, "did you mean ssl_insecure?"),
        ("xyzzy", True, "there are: listen_host, listen_port"),
    ],
)
def test_values_that_do_not_fit(name, given, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        check(name, given)
    options = Options()
    with pytest.raises(ConfigError, match=re.escape(message)):
        setattr(options, name, given)
    if name in OPTIONS:
        assert getattr(options, name) == OPTIONS[name].default


def test_a_wrong_proxyauth_is_not_repeated():
    with pytest.raises(ConfigError) as refused:
        Options(proxyauth="hunter2")
    assert "hunter2" not in str(refused.value)


def test_changes_are_told_after_they_are_made():
    options = Options()
    told = []
    options.on_change(lambda name, value: told.append((name, value, options.stream_large_bodies)))
    options.stream_large_bodies = "1k"
    with pytest.raises(ConfigError):
        options.stream_large_bodies = "much"
    assert told == [("stream_large_bodies", 1024, 1024)]


def test_looking_at_options():
    options = Options(ssl_insecure="yes", proxyauth="me:secret")
    assert dict(options)["ssl_insecure"] is True
    assert list(dict(options)) == list(OPTIONS)
    assert set(OPTIONS) <= set(dir(options))
    assert repr(options) == "<Options ssl_insecure=True>"
    assert repr(Options()) == "<Options all default>"
    with pytest.raises(AttributeError, match="no option 'ssl_insecur'"):
        _ = options.ssl_insecur
    assert dict(copy.copy(options)) == dict(options)
