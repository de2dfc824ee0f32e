"""What profiles of browsers say; real browsers read them in `tests/test_browser.py`."""

import json

import pytest

from nbproxy.capture import profiles
from nbproxy.certs.browsers import key_hash
from nbproxy.certs.ca import CertificateAuthority

URL = "http://127.0.0.1:8080"


@pytest.fixture
def ca(tmp_path):
    return CertificateAuthority.load_or_create(tmp_path / "ca")


@pytest.fixture
def profile(tmp_path):
    folder = tmp_path / "profile"
    folder.mkdir()
    return folder


def test_chromium(profile, ca):
    arguments = profiles.chromium(profile, URL, ca, headless=True)
    assert f"--user-data-dir={profile}" in arguments
    assert f"--proxy-server={URL}" in arguments
    assert any(each.startswith("--proxy-bypass-list=<-loopback>;") for each in arguments)
    assert f"--ignore-certificate-errors-spki-list={key_hash(ca)}" in arguments
    assert "--headless=new" in arguments
    assert all(each.startswith("--") for each in arguments)
    preferences = json.loads((profile / "Default" / "Preferences").read_text())
    assert preferences["safebrowsing"] == {"enabled": False}
    json.loads((profile / "Local State").read_text())


@pytest.mark.parametrize(("user", "has_sandbox"), [(0, False), (1000, True)])
def test_chromium_has_its_sandbox_unless_it_is_root(profile, ca, monkeypatch, user, has_sandbox):
    monkeypatch.setattr(profiles.os, "geteuid", lambda: user)
    arguments = profiles.chromium(profile, URL, ca, headless=False)
    assert ("--no-sandbox" not in arguments) == has_sandbox
    assert "--headless=new" not in arguments


def test_firefox(profile, ca):
    arguments = profiles.firefox(profile, "http://[::1]:8081", ca, headless=True)
    assert arguments[-3:] == ["--profile", str(profile), "--headless"]
    lines = (profile / "user.js").read_text().splitlines()
    assert 'user_pref("network.proxy.type", 1);' in lines
    assert 'user_pref("network.proxy.ssl", "::1");' in lines
    assert 'user_pref("network.proxy.ssl_port", 8081);' in lines
    assert 'user_pref("network.proxy.allow_hijacking_localhost", true);' in lines
    assert (profile / "cert9.db").is_file()
