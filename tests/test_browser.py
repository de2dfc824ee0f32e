"""`nbproxy.browser`: real browsers, those that are here."""

import importlib
import os
import shutil
import signal
import sys
import threading

import psutil
import pytest

import nbproxy
from nbproxy.browser import KINDS, Browser, close_all
from nbproxy.errors import ConfigError
from tests.support.proxies import confdir, identity, make_proxy, site, trusted, wait_until

__all__ = ["confdir", "identity", "make_proxy", "site", "trusted"]

HERE = [kind.name for kind in KINDS if any(map(shutil.which, kind.commands))]
module = importlib.import_module("nbproxy.browser")


@pytest.fixture
def proxy(make_proxy):
    yield make_proxy()
    close_all()


def paths(proxy):
    return {flow.request.path for flow in proxy.flows if flow.request.method != "CONNECT"}


def test_there_is_one():
    assert HERE


@pytest.mark.parametrize("name", HERE)
def test_a_page_with_all_that_belongs_to_it_and_nothing_else(proxy, site, name):
    port = site.https_url.rpartition(":")[2]
    browser = nbproxy.browser(f"https://localhost:{port}/", name=name, headless=True, proxy=proxy)
    assert isinstance(browser, Browser)
    assert browser.running
    assert browser.name == name
    assert f"pid {browser.pid}" in repr(browser)
    wanted = {"/", "/style.css", "/app.js", "/image.png", "/photo.svg", "/api/users?page=1"}
    wait_until(lambda: paths(proxy) >= wanted and not any(flow.live for flow in proxy.flows))
    assert {flow.request.host for flow in proxy.flows} == {"localhost"}
    # its icon may still be asked for, and what nobody waits for any more has no answer
    answered = [flow for flow in proxy.flows if flow.response is not None]
    assert {flow.response.status_code for flow in answered} <= {200, 404}
    assert {flow.request.path for flow in answered} >= wanted
    profile = browser.profile
    assert profile.is_dir()
    browser.close()
    browser.close()
    wait_until(lambda: not browser.running)
    assert not profile.exists()
    assert repr(browser) == f"<Browser {name}: closed>"
    wait_until(lambda: not processes_of(profile))


def processes_of(profile):
    found = psutil.process_iter(["cmdline"])
    return [each for each in found if str(profile) in " ".join(each.info["cmdline"] or ())]


def test_it_still_trusts_the_proxy_when_that_was_started_anew(proxy, site):
    with nbproxy.browser(f"{site.https_url}/?1", name=HERE[0], headless=True, proxy=proxy) as one:
        wait_until(lambda: "/app.js" in paths(proxy))
    wait_until(lambda: not one.running)
    proxy.stop()
    proxy.start()
    proxy.clear()
    with nbproxy.browser(f"{site.https_url}/?2", name=HERE[0], headless=True, proxy=proxy):
        wait_until(lambda: "/app.js" in paths(proxy))


def test_its_user_may_close_it(proxy, site):
    browser = nbproxy.browser(site.http_url, headless=True, proxy=proxy)
    wait_until(lambda: paths(proxy))
    os.killpg(browser.pid, signal.SIGTERM)
    wait_until(lambda: not browser.running)
    assert not browser.profile.exists()
    assert browser not in module._OPEN


def test_all_are_closed_at_once(proxy, site):
    browsers = [nbproxy.browser(site.http_url, headless=True, proxy=proxy) for _ in range(2)]
    close_all()
    wait_until(lambda: not any(browser.running for browser in browsers))


def test_what_a_helper_writes_while_it_ends_is_removed_too(proxy, program, monkeypatch):
    remove = shutil.rmtree

    def remove_too_early(folder, **more):
        monkeypatch.setattr(shutil, "rmtree", remove)
        remove(folder, **more)
        folder.mkdir()
        (folder / "Cookies-journal").touch()

    browser = nbproxy.browser(name=program("brave"), headless=True, proxy=proxy)
    monkeypatch.setattr(shutil, "rmtree", remove_too_early)
    browser.close()
    wait_until(lambda: not browser.running)
    assert not browser.profile.exists()


# what stands in its way


@pytest.fixture
def program(tmp_path):
    """Makes a program that stands for a browser, and writes down how it was called."""

    def make(name, text="sleep 600"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'#!/bin/sh\necho "$@" >> {tmp_path}/called\nenv > {tmp_path}/env\n'
            f"touch {tmp_path}/written\n{text}\n"
        )
        path.chmod(0o755)
        return str(path)

    return make


def test_a_program_can_be_named(proxy, program, tmp_path):
    firefox = nbproxy.browser(
        "https://a.test/", name=program("my-firefox"), headless=True, proxy=proxy
    )
    other = nbproxy.browser(
        name=program("brave"), headless=True, proxy=proxy, arguments=["--window-size=1,2"]
    )
    called = tmp_path / "called"
    wait_until(lambda: called.exists() and called.read_text().count("\n") == 2)
    first, second = sorted(called.read_text().splitlines())
    assert first.startswith("--no-remote") or second.startswith("--no-remote")
    called = f"{first}\n{second}"
    assert called.count("https://a.test/") == 1
    assert "--window-size=1,2 about:blank" in called
    assert (firefox.name, other.name) == ("firefox", "chromium")


def test_it_is_started_without_the_variables_of_a_capture(proxy, program, tmp_path):
    with proxy.capture():
        nbproxy.browser(name=program("brave"), headless=True, proxy=proxy)
    wait_until((tmp_path / "written").exists)
    assert "PATH=" in (tmp_path / "env").read_text()
    assert "nbproxy-" not in (tmp_path / "env").read_text()


def test_one_that_cannot_start_says_why(proxy, program, monkeypatch):
    monkeypatch.setattr(module, "_START_S", 60)
    name = program("broken", "echo No usable sandbox! >&2; exit 5")
    with pytest.raises(ConfigError, match=r"status 5: No usable sandbox!.*--no-sandbox"):
        nbproxy.browser(name=name, headless=True, proxy=proxy)
    silent = program("silent", "exit 0")
    with pytest.raises(ConfigError, match="it said nothing"):
        nbproxy.browser(name=silent, headless=True, proxy=proxy)
    assert not module._OPEN


def test_none_is_there(proxy, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"no Chromium, Chrome, Edge or Firefox was found"):
        nbproxy.browser(headless=True, proxy=proxy)
    with pytest.raises(ConfigError, match=r"no Edge was found"):
        nbproxy.browser(name="edge", headless=True, proxy=proxy)
    with pytest.raises(ConfigError, match=r"is no program"):
        nbproxy.browser(name=str(tmp_path / "x"), headless=True, proxy=proxy)
    with pytest.raises(ConfigError, match=r"knows chromium, chrome, edge, firefox, or a path"):
        nbproxy.browser(name="netscape", headless=True, proxy=proxy)


def test_there_is_no_display(proxy, monkeypatch, program):
    monkeypatch.setattr(module.platform, "system", lambda: "Linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ConfigError, match=r"headless=True"):
        nbproxy.browser("https://a.test/", name=program("brave"), proxy=proxy)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    nbproxy.browser(name=program("brave"), proxy=proxy)


def test_on_macos_applications_are_looked_for(monkeypatch, tmp_path, program):
    monkeypatch.setattr(module.platform, "system", lambda: "Darwin")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    path = program("Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge")
    kind, command = module._find(None)
    assert (kind.name, command) == ("edge", path)
    assert module._has_display()


def test_snaps_get_a_profile_where_they_can_read_it(monkeypatch, tmp_path, program):
    monkeypatch.setenv("HOME", str(tmp_path))
    wrapper = program("bin/chromium-browser", "exec /snap/bin/chromium")
    assert module._place(wrapper) == str(tmp_path / "snap" / "chromium" / "common")
    assert module._place(program("snap/bin/firefox")) == str(
        tmp_path / "snap" / "firefox" / "common"
    )
    assert module._place(program("bin/chromium")) is None
    assert module._place(str(tmp_path / "missing")) is None


@pytest.mark.parametrize(
    ("given", "page"),
    [
        ("https://a.test/x?y", "https://a.test/x?y"),
        ("a.test/x", "https://a.test/x"),
        ("localhost:8000", "https://localhost:8000"),
        ("about:blank", "about:blank"),
        ("data:text/html,<p>", "data:text/html,<p>"),
        ("file:///srv/a.html", "file:///srv/a.html"),
        ("[::1]:8000/x", "https://[::1]:8000/x"),
    ],
)
def test_pages(given, page):
    assert module._page(given) == page


@pytest.mark.parametrize(
    "given",
    ["", "--no-sandbox", "https://", "javascript:alert(1)", "ftp://a.test/", "a.test:99999", "[::"],
)
def test_what_is_no_page(given):
    with pytest.raises(ValueError, match="no URL that browser opens: http://, https:// or a bare"):
        nbproxy.browser(given, headless=True)


@pytest.mark.parametrize("given", [5, None, b"https://a.test/"])
def test_what_is_no_text(given):
    with pytest.raises(TypeError, match="browser takes a URL, as a str, not"):
        nbproxy.browser(given, headless=True)


def test_it_leaves_no_thread(proxy, program):
    before = threading.active_count()
    nbproxy.browser(name=program("brave"), headless=True, proxy=proxy).close()
    wait_until(lambda: threading.active_count() <= before)
    assert sys.modules["nbproxy.browser"] is module
