"""Takes the README's picture: the quickstart, run in a real JupyterLab, in a headless browser.

    pip install '.[lab]' playwright
    python notebooks/screenshot.py

It needs Chromium, on the path or named by CHROMIUM. JupyterLab works on a copy in a temporary
folder, so the notebook's own file stays as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playwright.sync_api import Page

HERE = Path(__file__).resolve().parent
NOTEBOOK = "01-quickstart.ipynb"
PICTURE = "quickstart.png"
FIRST_CELL = "flows"  # at the top of the picture
START_S = 60
RUN_MS = 120_000
SETTLE_MS = 2000  # the live table comes up to date a few times a second

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes the picture; the result is the exit status."""
    parser = argparse.ArgumentParser(description="Take a picture of the quickstart in JupyterLab.")
    parser.add_argument("--output", type=Path, default=HERE / PICTURE)
    parser.add_argument("--cell", default=FIRST_CELL, help="the id of the cell at its top")
    parser.add_argument("--width", type=int, default=1060)
    parser.add_argument("--height", type=int, default=1100)
    options = parser.parse_args(arguments)
    browser = (
        os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    )
    with (
        tempfile.TemporaryDirectory(prefix="nbproxy-picture-") as folder,
        sync_playwright() as play,
    ):
        root = Path(folder)
        shutil.copytree(HERE, root / "notebooks", ignore=shutil.ignore_patterns("__pycache__"))
        with _lab(root) as url:
            chromium = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            page = chromium.new_page(viewport={"width": options.width, "height": options.height})
            page.goto(f"{url}/doc/tree/{NOTEBOOK}?reset")
            _run_all(page)
            _show(page, options.cell)
            options.output.write_bytes(repack(page.screenshot()))
            chromium.close()
    print(f"{options.output}: {options.output.stat().st_size / 1000:.0f} kB")
    return 0


@contextmanager
def _lab(root: Path) -> Iterator[str]:
    """A JupyterLab with settings of its own, until the end of the block; its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = root / "settings" / "@jupyterlab"
    quiet = {
        "notebook-extension/tracker": {
            "windowingMode": "none",  # all cells are in the page
            "autoStartDefaultKernel": True,
        },
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    }
    for name, values in quiet.items():
        path = settings / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token="]
    command += [f"--LabApp.user_settings_dir={root / 'settings'}", f"{root / 'notebooks'}"]
    environment = {"JUPYTER_CONFIG_DIR": str(root / "config"), "IPYTHONDIR": str(root / "ipython")}
    server = subprocess.Popen(  # noqa: S603 - our own interpreter
        command,
        env={**os.environ, **environment, "JUPYTER_PREFER_ENV_PATH": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(START_S)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + START_S
    while True:
        try:
            direct.open(f"{url}/api/status", timeout=5).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def _run_all(page: Page) -> None:
    """Runs every cell, and waits for the last one's number."""
    page.wait_for_selector(".jp-Notebook-cell", timeout=RUN_MS)
    page.get_by_text("| Idle").first.wait_for(timeout=RUN_MS)  # the kernel, in the status bar
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    last = page.locator(".jp-CodeCell").last.locator(".jp-InputArea-prompt")
    page.wait_for_function(
        "element => /\\[\\d+\\]/.test(element.textContent)",
        arg=last.element_handle(),
        timeout=RUN_MS,
    )


def repack(png: bytes) -> bytes:
    """The same picture in a smaller file: without filters, which suit photographs.

    Args:
        png: RGB, 8 bits, not interlaced, as Chromium makes them (PNG, third edition, 9 and 10).
    """
    chunks: list[tuple[bytes, bytes]] = []
    position = len(_SIGNATURE)
    while position < len(png):
        size, kind = struct.unpack_from(">I4s", png, position)
        chunks.append((kind, png[position + 8 : position + 8 + size]))
        position += size + 12
    width, height = struct.unpack_from(">II", chunks[0][1])
    data = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    stride = 3 * width + 1
    rows = [bytes(stride)]
    for y in range(height):
        rows.append(b"\0" + _unfilter(data[y * stride : (y + 1) * stride], rows[-1][1:]))
    packed = [chunks[0], (b"IDAT", zlib.compress(b"".join(rows[1:]), 9)), (b"IEND", b"")]
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in packed
    )


def _unfilter(row: bytes, above: bytes) -> bytes:
    """A row of pixels, given its filtered form and the row above (PNG, third edition, 9.2)."""
    kind, line = row[0], bytearray(row[1:])
    if kind == 1:
        for colour in range(3):
            sums: Iterator[int] = accumulate(line[colour::3], lambda a, b: (a + b) & 255)
            line[colour::3] = bytes(sums)
    elif kind == 2:
        line[:] = bytes((value + up) & 255 for value, up in zip(line, above, strict=True))
    elif kind == 3:
        for i, value in enumerate(line):
            line[i] = (value + ((line[i - 3] if i > 2 else 0) + above[i]) // 2) & 255
    elif kind == 4:
        lefts, corners = bytearray(3) + line, bytes(3) + above
        for i, value in enumerate(line):
            left, up, corner = lefts[i], above[i], corners[i]
            by_left, by_up, by_corner = (
                abs(up - corner),
                abs(left - corner),
                abs(left + up - 2 * corner),
            )
            if by_left <= by_up and by_left <= by_corner:
                nearest = left
            else:
                nearest = up if by_up <= by_corner else corner
            line[i] = lefts[i + 3] = (value + nearest) & 255
    return bytes(line)


def _show(page: Page, cell: str) -> None:
    """Brings a cell to the top of the window, and takes away what stands in the way."""
    page.keyboard.press("Escape")
    number = [each["id"] for each in json.loads((HERE / NOTEBOOK).read_text())["cells"]].index(cell)
    page.locator(".jp-Notebook-cell").nth(number).evaluate("cell => cell.scrollIntoView()")
    page.mouse.move(0, 0)
    page.wait_for_timeout(SETTLE_MS)


if __name__ == "__main__":
    sys.exit(main())
