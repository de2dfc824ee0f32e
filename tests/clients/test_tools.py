"""git and pip, which people run in notebooks with a `!`."""

import base64
import hashlib
import os
import subprocess
import sys
import zipfile

import pytest

from tests.support.proxies import PATIENCE_S, answering, response


@pytest.fixture
def run(tmp_path):
    """Runs a program with no settings but those given; gives what it printed."""

    def run(*arguments, **environment):
        done = subprocess.run(
            list(map(str, arguments)),
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            check=False,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def serve_files(root):
    """Answers with the files of a folder."""

    def serve(message):
        path = root / message.target.decode().partition("?")[0].strip("/")
        return response(path.read_bytes()) if path.is_file() else response(b"none", status=404)

    return answering(serve)


def test_git_clones_through_the_proxy(run, proxy, make_origin, tmp_path):
    """By the plain protocol that needs files only, over HTTPS."""
    who = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Ada"), ("EMAIL", "ada@shop.test"))
    }
    repository = tmp_path / "repository"
    run("git", "init", "-q", "-b", "main", repository)
    (repository / "file.txt").write_text("content")
    run("git", "-C", repository, "add", ".")
    run("git", "-C", repository, "commit", "-q", "-m", "first", **who)
    run("git", "-C", repository, "update-server-info")
    origin = make_origin(serve_files(tmp_path), tls=True)
    settings = ("-c", f"http.proxy={proxy.url}", "-c", f"http.sslCAInfo={proxy.ca_file}")
    url = f"{origin.url}/repository/.git"
    head = run("git", "-C", repository, "rev-parse", "HEAD").strip()
    assert f"{head}\trefs/heads/main" in run("git", *settings, "ls-remote", url)
    run("git", *settings, "clone", "-q", url, "clone")
    assert (tmp_path / "clone" / "file.txt").read_text() == "content"
    assert all(f.request.headers["user-agent"].startswith("git/") for f in proxy.flows)
    assert {f.request.scheme for f in proxy.flows} == {"https"}


def make_wheel(folder):
    """A package of one line."""
    name = "tiny_thing-1.0-py3-none-any.whl"
    files = {
        "tiny_thing.py": "answer = 42\n",
        "tiny_thing-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny-thing\n"
        "Version: 1.0\n",
        "tiny_thing-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in files.items()]
    files["tiny_thing-1.0.dist-info/RECORD"] = "\n".join(lines) + "\n"
    with zipfile.ZipFile(folder / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name


def _digest(text):
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_pip_downloads_through_the_proxy(run, proxy, make_origin, tmp_path):
    name = make_wheel(tmp_path)
    wheel = (tmp_path / name).read_bytes()
    index = f'<!doctype html><a href="/files/{name}">{name}</a>'.encode()

    def serve(message):
        if message.target == b"/simple/tiny-thing/":
            return response(index, b"Content-Type: text/html")
        assert message.target == f"/files/{name}".encode()
        return response(wheel, b"Content-Type: application/octet-stream")

    origin = make_origin(answering(serve), tls=True)
    run(
        *(sys.executable, "-m", "pip", "download", "--isolated", "--no-cache-dir", "--no-deps"),
        *(
            "--timeout",
            str(PATIENCE_S),
            "--disable-pip-version-check",
            "--proxy",
            proxy.url,
            "--cert",
            proxy.ca_file,
        ),
        *("--index-url", f"{origin.url}/simple/", "-d", "downloads", "tiny-thing"),
    )
    assert (tmp_path / "downloads" / name).read_bytes() == wheel
    assert [f.response.status_code for f in proxy.flows] == [200, 200]
    assert proxy.flows[1].response.content == wheel
