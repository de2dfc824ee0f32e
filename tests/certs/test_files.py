from __future__ import annotations

import errno
import os
import stat
import threading

import pytest

from nbproxy.certs.files import create_private, prepare_folder, read_private, write_public
from nbproxy.errors import ConfigError


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "my ca.pem"
    create_private(path, b"secret")
    return path


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_created_is_private_whatever_the_umask(tmp_path):  # hostile: S-14
    before = os.umask(0)
    try:
        prepare_folder(tmp_path / "new" / "conf")
        create_private(tmp_path / "new" / "conf" / "ca.pem", b"secret")
    finally:
        os.umask(before)
    assert mode(tmp_path / "new" / "conf") == 0o700
    assert mode(tmp_path / "new" / "conf" / "ca.pem") == 0o600
    assert read_private(tmp_path / "new" / "conf" / "ca.pem") == b"secret"


def test_creating_never_replaces(key_file):
    create_private(key_file, b"other")
    assert read_private(key_file) == b"secret"
    assert names_in(key_file.parent) == [key_file.name]


@pytest.mark.parametrize("links", [True, False])
def test_of_many_at_once_one_wins(tmp_path, monkeypatch, links):
    def no_links(*args):
        raise OSError(errno.EPERM, "this file system has none")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    path, count = tmp_path / "ca.pem", 12
    barrier = threading.Barrier(count)
    seen = []

    def run(number):
        barrier.wait()
        create_private(path, b"%d" % number * 1000)
        seen.append(read_private(path))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == count
    assert len(set(seen)) == 1
    assert names_in(tmp_path) == ["ca.pem"]
    assert mode(path) == 0o600


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_key_open_to_others_is_refused_with_the_remedy(key_file, bits):  # hostile: S-14
    key_file.chmod(bits)
    with pytest.raises(ConfigError) as caught:
        read_private(key_file)
    assert f"mode {bits:04o}" in str(caught.value)
    assert f"chmod 600 '{key_file}'" in str(caught.value)


def test_a_symlink_is_refused_with_the_remedy(key_file, tmp_path):  # hostile: S-14
    link = tmp_path / "link.pem"
    link.symlink_to(key_file)
    with pytest.raises(ConfigError, match="symbolic link") as caught:
        read_private(link)
    command = str(caught.value).partition("Run: ")[2].partition(" - ")[0]
    assert os.system(command) == 0  # the remedy works as it stands
    assert read_private(link) == b"secret"


def test_another_owner_is_refused_with_the_remedy(key_file, monkeypatch):  # hostile: S-14
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(ConfigError, match=rf"uid {me}\).*sudo chown {me + 1}"):
        read_private(key_file)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "folder").mkdir()
    for name in ("fifo", "folder"):
        with pytest.raises(ConfigError, match="is not a file"):
            read_private(tmp_path / name)
    with pytest.raises(ConfigError, match="No such file"):
        read_private(tmp_path / "missing")


@pytest.mark.parametrize("bits", [0o770, 0o707])
def test_a_folder_others_can_write_to_is_refused(tmp_path, bits):
    folder = tmp_path / "conf"
    folder.mkdir()
    folder.chmod(bits)
    with pytest.raises(ConfigError, match=f"chmod 700 {folder}"):
        prepare_folder(folder)


@pytest.mark.parametrize("bits", [0o700, 0o755, 0o1777])
def test_a_folder_others_can_only_read_is_fine(tmp_path, bits):
    folder = tmp_path / "conf"
    folder.mkdir()
    folder.chmod(bits)
    prepare_folder(folder)
    assert mode(folder) == bits & 0o777 or mode(folder) == bits


def test_a_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    if os.geteuid() == 0:
        os.chown(tmp_path, 12345, -1)
    else:
        me = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(ConfigError, match="belongs to another user"):
        prepare_folder(tmp_path)


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "conf").write_bytes(b"")
    with pytest.raises(ConfigError, match="confdir"):
        prepare_folder(tmp_path / "conf")


def test_writing_into_a_folder_that_is_gone(tmp_path):
    with pytest.raises(ConfigError, match=r"ca\.pem cannot be written"):
        create_private(tmp_path / "gone" / "ca.pem", b"")


def test_public_files_are_replaced_and_readable(tmp_path):
    path = tmp_path / "cert.pem"
    for data in (b"one", b"two"):
        write_public(path, data)
        assert path.read_bytes() == data
    assert mode(path) == 0o644
    assert names_in(tmp_path) == ["cert.pem"]
