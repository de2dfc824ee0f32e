"""The standard library tells while somebody watches, and is as before afterwards."""

import os
import socket
import subprocess
import sys
import threading

import pytest

from nbproxy.capture.patches import Patches


class Listener:
    """Hears what the test's own thread does; others may still be at work for earlier tests."""

    def __init__(self):
        self.heard = []
        self.fails = False
        self.thread = threading.get_ident()

    def note(self, *what):
        if threading.get_ident() != self.thread:
            return
        self.heard.append(what)
        if self.fails:
            raise RuntimeError("a fault of ours")

    def connecting(self, sock, address, frame):
        self.note("connect", address, frame.f_code.co_name)

    def spawning(self, frame):
        self.note("spawn", frame.f_code.co_name)

    def starting(self, thread, frame):
        self.note("thread", thread.name)


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def patches(listener):
    patches = Patches(listener)
    patches.put_in()
    yield patches
    patches.take_out()


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


def connect(address):
    with socket.socket() as sock:
        sock.connect(address)


def test_what_is_told(patches, listener, server):
    connect(server)
    subprocess.run([sys.executable, "-c", ""], check=True)
    thread = threading.Thread(target=lambda: None, name="mine")
    thread.start()
    thread.join()
    assert ("connect", server, "connect") in listener.heard
    assert ("spawn", "run") in listener.heard
    assert ("thread", "mine") in listener.heard


def test_forks_are_told(patches, listener):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert listener.heard == [("spawn", "test_forks_are_told")]


def test_everything_is_as_before(listener, server):
    before = [vars(kind).get(name) for kind, name in KINDS]
    assert before[0] is None  # it is inherited
    patches = Patches(listener)
    patches.put_in()
    patches.put_in()
    assert all(vars(kind)[name] is not old for (kind, name), old in zip(KINDS, before, strict=True))
    patches.take_out()
    patches.take_out()
    assert [vars(kind).get(name) for kind, name in KINDS] == before
    connect(server)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert listener.heard == []


KINDS = (
    (socket.socket, "connect"),
    (subprocess.Popen, "__init__"),
    (threading.Thread, "start"),
)


def test_errors_of_the_call_are_the_calls_own(patches, listener, server):
    with socket.socket() as sock, pytest.raises(OSError, match=r"."):
        sock.connect(("127.0.0.1", 1))
    with socket.socket() as sock, pytest.raises(TypeError):
        sock.connect()
    with pytest.raises(FileNotFoundError):
        subprocess.run(["/nonexistent"], check=False)
    assert socket.socket.connect.__doc__
    assert [each[0] for each in listener.heard] == ["connect", "spawn"]


def test_a_fault_of_ours_stops_nothing(patches, listener, server):
    listener.fails = True
    connect(server)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert len(listener.heard) == 2


def test_what_somebody_else_has_replaced_stays(patches, listener, server, monkeypatch):
    ours = socket.socket.connect

    def theirs(self, address):
        return ours(self, address)

    monkeypatch.setattr(socket.socket, "connect", theirs)
    patches.take_out()
    assert socket.socket.connect is theirs
    connect(server)  # ours is still inside, and says nothing
    assert listener.heard == []
    patches.put_in()
    connect(server)
    assert len(listener.heard) >= 1
    patches.take_out()
    assert socket.socket.connect is theirs
    monkeypatch.undo()
    del socket.socket.connect
