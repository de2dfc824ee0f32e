"""`Proxy` as a user holds it; how it lives and dies stands in engine/test_embedding.py."""

import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from nbproxy import Proxy
from nbproxy.engine.runner import ThreadRunner
from nbproxy.errors import ConfigError
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request
from nbproxy.proxy import set_default_runner


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prot": 1}, "there is no option 'prot'"),
        ({"listen_prot": 1}, "did you mean listen_port"),
        ({"port": -1}, "listen_port = -1"),
        ({"port": 70000}, "0 to 65535"),
        ({"port": "eighty"}, "a whole number"),
        ({"loop": "fast"}, 'takes "auto", "thread", "mounted" or "running"'),
        ({"mode": "reverse"}, "mode = 'reverse'"),
        ({"proxyauth": "nobody"}, "user:password"),
        ({"ignore_hosts": "("}, "no regular expression"),
    ],
)
def test_wrong_options_are_refused_where_they_are_given(options, message):
    with pytest.raises(ConfigError, match=message):
        Proxy(**options)


def test_before_it_starts(tmp_path):
    proxy = Proxy(confdir=tmp_path)
    assert (proxy.host, proxy.port, proxy.url) == ("127.0.0.1", 8080, "http://127.0.0.1:8080")
    assert proxy.proxies == {"http": proxy.url, "https": proxy.url}
    assert not proxy.running
    assert (len(proxy.flows), len(proxy.df), len(proxy.handlers)) == (0, 0, 0)
    assert repr(proxy) == "<Proxy stopped, 0 flows>"
    assert list(tmp_path.iterdir()) == []  # nothing is made before somebody needs it


def test_short_and_long_names_of_options(tmp_path):
    proxy = Proxy(port=1234, host="::1", confdir=str(tmp_path))
    assert (proxy.options.listen_port, proxy.options.listen_host) == (1234, "::1")
    assert proxy.url == "http://[::1]:1234"
    assert Proxy(listen_host="0.0.0.0").url == "http://127.0.0.1:8080"
    assert Proxy(listen_host="::").url == "http://[::1]:8080"


def test_the_folder_of_private_captures_may_change_until_there_is_one(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    proxy = Proxy(confdir=tmp_path, capture_dir=first)
    proxy.options.capture_dir = second
    proxy.store.opened(HTTPFlow(Request("GET", "http", "h.test", 80, "/")))
    proxy.store.closed(proxy.flows[0])
    assert proxy.store.flush(60)
    assert proxy.store.session.path.parent == second
    proxy.options.capture_dir = second  # as it is
    with pytest.warns(RuntimeWarning, match="is there already, at .*second"):
        proxy.options.capture_dir = first
    proxy.close()
    assert not first.exists()


def test_a_capture_in_a_folder_that_is_not_there(tmp_path):
    path = tmp_path / "no" / "such" / "x.nbproxy"
    proxy = Proxy(confdir=tmp_path)
    with pytest.raises(FileNotFoundError) as at_first:
        Proxy(confdir=tmp_path, capture=path)
    with pytest.raises(FileNotFoundError) as later:
        proxy.options.capture = path
    proxy.close()
    for missing in (at_first, later):
        assert str(missing.value).endswith(f"the folder of this capture does not exist: '{path}'")
    (tmp_path / "no").write_text("a file")
    with pytest.raises(NotADirectoryError, match=r"is a file: '.*x\.nbproxy'"):
        Proxy(confdir=tmp_path, capture=tmp_path / "no" / "x.nbproxy")


def test_a_capture_that_is_kept_cannot_be_said_to_be_none(tmp_path):
    mine, other = tmp_path / "mine.nbproxy", tmp_path / "other.nbproxy"
    proxy = Proxy(confdir=tmp_path)
    proxy.options.capture = None  # as it is
    proxy.options.capture = mine
    with pytest.raises(ConfigError, match=r"are recorded to .*mine\.nbproxy as long as this proxy"):
        proxy.options.capture = None  # recording went on there, and nothing said so any more
    assert proxy.options.capture == str(mine)
    proxy.options.capture = other
    proxy.close()
    assert mine.exists()
    assert other.exists()


def test_the_ca_is_made_at_first_use_and_kept(tmp_path):
    proxy = Proxy(confdir=tmp_path / "new")
    file = Path(proxy.ca_file)
    assert file.parent == tmp_path / "new"
    assert file.read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert Proxy(confdir=tmp_path / "new").ca.certificate_pem == proxy.ca.certificate_pem


def test_where_the_ca_lies():
    assert Proxy().confdir == platformdirs.user_data_path("nbproxy")
    assert Proxy(confdir="~/x").confdir == Path("~/x").expanduser()


def test_a_folder_that_cannot_be_used_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError):
        Proxy(port=0, confdir=tmp_path / "file").start()


def test_handlers_are_registered_and_removed():
    proxy = Proxy()

    @proxy.on("response", "~d example.org")
    def handler(flow):
        pass

    assert [h.function for h in proxy.handlers] == [handler]
    assert proxy.off(handler) == 1
    with pytest.raises(ValueError, match="did you mean 'response'"):
        proxy.on("respones")
    with pytest.raises(ValueError, match="~nonsense"):
        proxy.on("response", "~nonsense")


def test_running_on_a_runner_of_ones_own(tmp_path):
    runner = ThreadRunner()
    with Proxy(port=0, confdir=tmp_path, loop=runner) as proxy:
        assert proxy.runner is runner
        assert repr(proxy) == f"<Proxy listening on {proxy.url}, 0 flows>"


def test_where_proxies_live_can_be_set_for_all(tmp_path):
    runners = []

    def make():
        runners.append(ThreadRunner())
        return runners[-1]

    with pytest.raises(ConfigError, match="%load_ext nbproxy"):
        Proxy(port=0, confdir=tmp_path, loop="mounted").start()
    set_default_runner(make)
    try:
        for loop in ("auto", "mounted"):
            proxy = Proxy(port=0, confdir=tmp_path, loop=loop).start()
            assert proxy.runner is runners[-1]
            proxy.close()
        with Proxy(port=0, confdir=tmp_path) as proxy:  # `with` means a thread of its own
            assert proxy.runner is not runners[-1]
    finally:
        set_default_runner(None)
    assert len(runners) == 2


def test_a_program_that_forgets_to_stop_still_ends(tmp_path):
    code = f"""
from nbproxy import Proxy
proxy = Proxy(port=0, confdir={str(tmp_path)!r}).start()
print(proxy.running)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
