"""`%nbproxy` and its completion: in a shell of this process, where the proxy has a thread."""

import os
import subprocess
from pathlib import Path

import pytest
from IPython.core.error import UsageError

from nbproxy.notebook import magics
from nbproxy.notebook.completion import filter_choices
from nbproxy.options import OPTIONS


@pytest.fixture
def nb(shell):
    shell.run("%load_ext nbproxy")
    return shell


@pytest.fixture
def proxy(nb):
    return magics_proxy(nb)


def magics_proxy(shell):
    from nbproxy import _current

    return _current.peek()


def say(shell, capsys, line):
    """What a line magic prints."""
    capsys.readouterr()
    shell.run(f"%nbproxy {line}")
    return capsys.readouterr().out


def refusal(shell, line):
    """The complaint about a line; it must be one line."""
    with pytest.raises(UsageError) as caught:
        shell.run(f"%nbproxy {line}")
    text = str(caught.value)
    assert "\n" not in text
    return text


# -- verbs


@pytest.mark.parametrize("line", ["", "status"])
def test_status_says_where_it_listens(nb, proxy, capsys, line):
    said = say(nb, capsys, line)
    assert f"listening on {proxy.url}" in said
    assert "on a thread of its own" in said
    assert "nbproxy.ca_file" in said


def test_stop_and_start(nb, proxy, capsys):
    assert "stopped" in say(nb, capsys, "stop")
    assert not proxy.running
    assert "stopped; %nbproxy start" in say(nb, capsys, "status")
    assert "listening on" in say(nb, capsys, "start")
    assert magics_proxy(nb).running


def test_start_twice_says_that_it_runs(nb, proxy, capsys):
    port = proxy.port
    said = say(nb, capsys, "start")
    assert said.count("\n") == 1
    assert proxy.url in said
    assert magics_proxy(nb).port == port


def test_start_on_a_port_moves_there_and_keeps_handlers(nb, proxy, capsys, free_port):
    nb.run("@nbproxy.on('response')\ndef stamp(flow): pass")
    say(nb, capsys, f"start --port {free_port} --set ssl_insecure=true")
    moved = magics_proxy(nb)
    assert moved.port == free_port
    assert moved.options.ssl_insecure is True
    assert [handler.name for handler in moved.handlers] == ["stamp"]


def test_start_on_a_taken_port_says_so(nb, listening):
    assert str(listening) in refusal(nb, f"start --port {listening}")


def test_set_changes_options(nb, proxy, capsys):
    assert say(nb, capsys, "set ssl_insecure=yes stream_large_bodies=5m") == ""
    assert proxy.options.ssl_insecure is True
    assert proxy.options.stream_large_bodies == 5 * 2**20


def test_set_takes_quoted_values(nb, proxy, capsys):
    say(nb, capsys, "set 'ignore_hosts=a b'")
    assert proxy.options.ignore_hosts == ("a b",)


def test_set_of_a_fixed_option_says_how(nb):
    assert "%nbproxy start --set confdir=" in refusal(nb, "set confdir=elsewhere")


@pytest.mark.parametrize("line", ["set", "options"])
def test_options_are_listed_with_their_values(nb, proxy, capsys, line):
    proxy.options.ssl_insecure = True
    proxy.options.proxyauth = "me:secret"
    said = say(nb, capsys, line)
    assert all(name in said for name in OPTIONS)
    assert "* ssl_insecure" in said
    assert "  onboarding " in said
    assert "secret" not in said


def test_the_configuration_goes_along_with_set(nb, proxy, capsys):
    say(nb, capsys, "set connect_timeout=3")
    said = say(nb, capsys, "options")
    assert "* connect_timeout" in said
    nb.run("%config NbProxy.connect_timeout = 4")
    assert proxy.options.connect_timeout == 4.0


def test_passwords_are_not_listed_by_config(nb, proxy, capsys):
    nb.run("%config NbProxy.proxyauth = 'me:secret'")
    assert proxy.options.proxyauth == "me:secret"
    capsys.readouterr()
    nb.run("%config NbProxy")
    said = capsys.readouterr().out
    assert "NbProxy.proxyauth" in said
    assert "secret" not in said


def test_handlers_and_off(nb, proxy, capsys):
    nb.run("@nbproxy.on('request', '~d example')\ndef one(flow): pass")
    nb.run("@nbproxy.on('response')\ndef two(flow): pass")
    said = say(nb, capsys, "handlers")
    assert "one" in said
    assert "~d example" in said
    say(nb, capsys, "off one")
    assert [handler.name for handler in proxy.handlers] == ["two"]
    say(nb, capsys, "off")
    assert len(proxy.handlers) == 0
    assert "one" in refusal(nb, "off one")


def test_flows_with_and_without_filter(nb, capsys):
    assert "flow" in say(nb, capsys, "flows").lower()
    assert "flow" in say(nb, capsys, "flows ~d api & ~m GET").lower()
    assert "flow" in say(nb, capsys, 'flows "~d api & ~m {GET}"').lower()


def test_a_wrong_filter_points_at_the_position(nb):
    with pytest.raises(UsageError, match=r"\^"):
        nb.run("%nbproxy flows ~d api & ~nonsense")


def test_ca_tells_file_and_fingerprint(nb, proxy, capsys):
    said = say(nb, capsys, "ca")
    assert str(proxy.ca_file) in said
    assert proxy.ca.fingerprint_sha256 in said
    assert "http://mitm.it/" in said


def test_env_can_be_read_by_a_shell(nb, proxy, capsys):
    exports = say(nb, capsys, "env")
    script = f'{exports}\nprintf \'%s %s\' "$HTTPS_PROXY" "$SSL_CERT_FILE"'
    told = subprocess.run(
        ["/bin/sh", "-c", script],
        env={"PATH": os.environ["PATH"]},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    url, _, bundle = told.partition(" ")
    assert url == proxy.url
    assert Path(proxy.ca_file).read_text().strip() in Path(bundle).read_text()


def test_env_of_a_stopped_proxy(nb, capsys):
    say(nb, capsys, "stop")
    assert "stopped" in refusal(nb, "env")


# -- help and complaints


@pytest.mark.parametrize("line", ["--help", "-h", "help"])
def test_help_lists_the_verbs(nb, capsys, line):
    said = say(nb, capsys, line)
    for name, verb in magics.VERBS.items():
        assert name in said
        assert verb.help in said


@pytest.mark.parametrize("name", magics.VERBS)
def test_each_verb_has_help(nb, capsys, name):
    said = say(nb, capsys, f"{name} --help")
    assert said.startswith(f"usage: %nbproxy {name}")
    for argument in magics.VERBS[name].arguments:
        assert argument.help.split()[0] in said


def test_question_mark_shows_the_overview(nb):
    text = nb.inspector.info(nb.find_line_magic("nbproxy"))["docstring"]
    assert "usage: %nbproxy" in text
    assert "handlers" in text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("statsu", "did you mean status?"),
        ("frobnicate", "there are: start"),
        ("start --prot 8080", "did you mean --port?"),
        ("start --port many", "whole number"),
        ("start --port 70000", "0 to 65535"),
        ("start --port", "expected one argument"),
        ("start --loop sideways", "invalid choice"),
        ("start --set port", "is not NAME=VALUE"),
        ("start --set ssl_insecur=true", "did you mean ssl_insecure?"),
        ("set ssl_insecure=maybe", "true or false"),
        ("set 'ssl_insecure=true", "No closing quotation"),
        ("stop now", "does not take 'now'"),
        ("off nobody", "there is no handler 'nobody'"),
    ],
)
def test_complaints_are_one_line_and_help(nb, line, expected):
    assert expected in refusal(nb, line)


def test_braces_and_dollars_are_not_variables(nb, capsys):
    nb.run("api = 'elsewhere'")
    assert "elsewhere" not in say(nb, capsys, "flows ~u {api}$api")


def test_verbs_can_be_added(nb, capsys, monkeypatch):
    monkeypatch.setattr(magics, "VERBS", dict(magics.VERBS))
    magics.add_verb(magics.Verb("greet", "say hello", lambda *_: print("hello")))
    assert say(nb, capsys, "greet") == "hello\n"
    assert "say hello" in say(nb, capsys, "--help")


# -- completion


def completions(shell, text):
    found = shell.Completer.completions(text, len(text))
    return [text[: each.start] + each.text for each in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%nbproxy st", ["%nbproxy start", "%nbproxy stop", "%nbproxy status"]),
        ("%nbproxy start --l", ["%nbproxy start --loop"]),
        (
            "%nbproxy start --loop ",
            ["%nbproxy start --loop mounted", "%nbproxy start --loop thread"],
        ),
        ("%nbproxy start --port 0 --set ssl_i", ["%nbproxy start --port 0 --set ssl_insecure="]),
        ("%nbproxy set connection_strategy=l", ["%nbproxy set connection_strategy=lazy"]),
        ("%nbproxy set a=1 upstream_cert=", ["%nbproxy set a=1 upstream_cert=true"]),
        ("%nbproxy flows ~replayq", ["%nbproxy flows ~replayq"]),
        ("%nbproxy flows ~d x & ~dst", ["%nbproxy flows ~d x & ~dst "]),
        ("@nbproxy.on('responseh", ["@nbproxy.on('responseheaders"]),
        ('x = 1\n@nbproxy.on("tls_est', ['x = 1\n@nbproxy.on("tls_established_client']),
        ("@nbproxy.on('response', '~d a & ~replayq", ["@nbproxy.on('response', '~d a & ~replayq"]),
        ('@nbproxy.on("response", filter="~dst', ['@nbproxy.on("response", filter="~dst ']),
        ('nbproxy.flows.filter("~dst', ['nbproxy.flows.filter("~dst ']),
        ("nbproxy.off('tls_failed_s", ["nbproxy.off('tls_failed_server"]),
    ],
)
@pytest.mark.filterwarnings("ignore::IPython.core.completer.ProvisionalCompleterWarning")
def test_completion(nb, text, expected):
    assert [one for one in expected if one not in completions(nb, text)] == []


@pytest.mark.filterwarnings("ignore::IPython.core.completer.ProvisionalCompleterWarning")
def test_handlers_are_completed_for_off(nb):
    nb.run("@nbproxy.on('response')\ndef stamp(flow): pass")
    assert "%nbproxy off stamp" in completions(nb, "%nbproxy off st")


@pytest.mark.filterwarnings("ignore::IPython.core.completer.ProvisionalCompleterWarning")
def test_other_objects_are_left_alone(nb):
    nb.run("class Bus:\n    def on(self, name): ...\nbus = Bus()")
    assert "bus.on('response" not in completions(nb, "bus.on('resp")
    assert "%nbproxy start" not in completions(nb, "%nbproxies st")


@pytest.mark.parametrize(
    ("source", "fragment", "has"),
    [
        ("", "", "~d "),
        ("~", "~", "~q"),
        ("~d ", "", None),
        ("~d example & ~m", "~m", "~m "),
        ("example", "", None),
    ],
)
def test_filter_choices(source, fragment, has):
    got_fragment, choices = filter_choices(source)
    assert got_fragment == fragment
    assert (has in choices) if has else choices == []
