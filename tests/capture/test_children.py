"""Which subprocess has a connection, in a made-up /proc and in the real one."""

import os
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from nbproxy.capture.children import Child, Children
from nbproxy.capture.watch import since_boot

ASK = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); s.recv(1)"
SHELL = f'exec 3>&1; {sys.executable} -c "{ASK}" $0'

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has /proc")


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@linux
@pytest.mark.parametrize(
    "command", [[sys.executable, "-c", ASK], ["sh", "-c", SHELL]], ids=["child", "grandchild"]
)
def test_a_connection_of_a_subprocess(server, command):
    began = since_boot()
    with subprocess.Popen([*command, str(server.getsockname()[1])]) as child:
        sock, peer = server.accept()
        with sock:
            found = Children(saved_s=60).with_port(*peer)
    assert found is not None
    assert found.pid == child.pid
    assert began - 0.05 <= found.started <= since_boot()


@linux
def test_a_connection_of_our_own_or_of_nobody(server):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        with socket.create_connection(server.getsockname()) as own:
            assert Children().with_port(*own.getsockname()) is None
        assert Children().with_port("127.0.0.1", 1) is None
        assert Children().with_port("::1", 1) is None
        child.communicate(b"\n")


def make_proc(folder, port=4242, inode="77"):
    """Us, a child, and its child, which has the connection."""
    tree = {os.getpid(): "11 12", 11: "", 12: "13", 13: ""}
    for pid, children in tree.items():
        for name in ("task/1", "fd"):
            (folder / str(pid) / name).mkdir(parents=True)
        (folder / str(pid) / "task" / "1" / "children").write_text(children)
        (folder / str(pid) / "stat").write_text(f"{pid} (a (b) 1) S {' '.join(['5'] * 18)} 300 7")
    (folder / "13" / "fd" / "3").symlink_to(f"socket:[{inode}]")
    (folder / "11" / "fd" / "0").symlink_to("/dev/null")
    (folder / "net").mkdir()
    (folder / "net" / "tcp").write_text(
        "sl local_address rem_address st tx_queue tr retrnsmt uid timeout inode\n"
        f"0: 0100007F:{port:04X} 0100007F:1F90 06 0:0 0:0 0 0 0 0 1\n"
        f"1: 0100007F:{port:04X} 0100007F:1F90 01 0:0 0:0 0 0 0 {inode} 1\n"
    )
    return folder


def test_the_child_that_we_have_started_is_named(tmp_path):
    proc = make_proc(tmp_path)
    ticks = os.sysconf("SC_CLK_TCK")
    assert Children(proc).with_port("127.0.0.1", 4242) == Child(12, 300 / ticks)
    assert Children(proc).with_port("127.0.0.1", 4243) is None
    (proc / "13" / "fd" / "3").unlink()
    assert Children(proc).with_port("127.0.0.1", 4242) is None


def test_no_children_or_no_proc_is_no_fault(tmp_path):
    assert Children(tmp_path).with_port("127.0.0.1", 4242) is None
    proc = make_proc(tmp_path)
    (proc / "net" / "tcp").unlink()
    assert Children(proc).with_port("127.0.0.1", 4242) is None


def test_looking_takes_a_small_part_of_the_time(tmp_path):
    proc = make_proc(tmp_path)
    children = Children(proc, share=0.0, saved_s=1e-9)
    assert children.with_port("127.0.0.1", 4242) is not None  # what was saved up is spent now
    assert children.with_port("127.0.0.1", 4242) is None


def test_waiting_for_the_processor_is_not_looking(tmp_path, monkeypatch):
    """A machine that is busy with other things, which pauses us in the middle of it."""
    children = Children(make_proc(tmp_path), share=0.0, saved_s=60)
    late = iter(range(0, 10**6, 1000))
    clocks = SimpleNamespace(monotonic=lambda: next(late), thread_time=time.thread_time)
    monkeypatch.setattr(sys.modules[Children.__module__], "time", clocks)
    for _ in range(3):
        assert children.with_port("127.0.0.1", 4242) is not None
