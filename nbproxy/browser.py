"""`nbproxy.browser(url)`: a browser that goes through the proxy and trusts its CA.

Chromium, Chrome, Edge or Firefox, whichever is there, with a profile of its own that is removed
when it is closed: the user's own profile, certificates and proxy settings are not touched.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from nbproxy import _current
from nbproxy.capture import profiles
from nbproxy.capture.process import SURROUNDINGS
from nbproxy.engine.runner import daemon
from nbproxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from nbproxy.proxy import Proxy

# A browser that cannot start says so within this.
_START_S: Final = 0.6
# How long it may take to end when asked to.
_END_S: Final = 5.0
# After which time a profile that could not be removed is tried again.
_AGAIN_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Kind:
    """A browser.

    Attributes:
        name: How it is asked for.
        commands: Under which names it is found.
        application: Where it is on macOS.
        profile: Makes a profile; see `profiles`.
    """

    name: str
    commands: tuple[str, ...]
    application: str
    profile: Callable[..., list[str]]


KINDS: Final = (
    Kind(
        "chromium",
        ("chromium", "chromium-browser"),
        "Chromium.app/Contents/MacOS/Chromium",
        profiles.chromium,
    ),
    Kind(
        "chrome",
        ("google-chrome", "google-chrome-stable", "chrome"),
        "Google Chrome.app/Contents/MacOS/Google Chrome",
        profiles.chromium,
    ),
    Kind(
        "edge",
        ("microsoft-edge", "microsoft-edge-stable", "msedge"),
        "Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
        profiles.chromium,
    ),
    Kind(
        "firefox",
        ("firefox", "firefox-esr"),
        "Firefox.app/Contents/MacOS/firefox",
        profiles.firefox,
    ),
)


class Browser:
    """A running browser. A context manager: closed at the end of the block.

    Attributes:
        name: "chromium", "chrome", "edge" or "firefox".
        url: The page it was opened with.
        profile: The folder of its profile.
    """

    def __init__(
        self, name: str, url: str, profile: Path, process: subprocess.Popen[bytes]
    ) -> None:
        self.name = name
        self.url = url
        self.profile = profile
        self._process = process
        self._ended = threading.Event()
        _OPEN.add(self)
        self._watcher = daemon(self._watch, "nbproxy-browser")
        self._watcher.start()

    @property
    def running(self) -> bool:
        """Whether it is there; its user may have closed it."""
        return not self._ended.is_set()

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    def close(self) -> None:
        """End it and remove its profile. Nothing happens if it has ended. Any thread."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            if not self.running:
                break
            self._signal(how)
            self._ended.wait(_END_S)
        self._watcher.join(_END_S)

    def _signal(self, how: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, how)

    def _watch(self) -> None:
        self._process.wait()
        self._signal(signal.SIGKILL)  # helpers of it that are left
        _remove(self.profile)
        _OPEN.discard(self)
        self._ended.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"running, pid {self.pid}; .close() ends it" if self.running else "closed"
        return f"<Browser {self.name}: {state}>"


_OPEN: Final[set[Browser]] = set()


def _remove(profile: Path) -> None:
    """Remove a profile: again, as long as helpers that are about to end still write to it."""
    ends_at = time.monotonic() + _END_S
    shutil.rmtree(profile, ignore_errors=True)
    while profile.exists() and time.monotonic() < ends_at:
        time.sleep(_AGAIN_S)
        shutil.rmtree(profile, ignore_errors=True)


def close_all() -> None:
    """Close all that are open; done at the end of the process as well."""
    for each in list(_OPEN):
        each.close()


def browser(
    url: str = "about:blank",
    *,
    name: str | None = None,
    headless: bool = False,
    proxy: Proxy | None = None,
    arguments: Sequence[str] = (),
) -> Browser:
    """Start a browser that goes through the proxy and trusts its CA.

    It has a profile of its own, which is gone when the browser is closed, and what it would ask
    on its own account (updates, suggestions, telemetry) is switched off. Loopback goes through the
    proxy too.

    Args:
        url: The first page: http://, https:// (a bare host means that), about:, data: or file:.
        name: "chromium", "chrome", "edge", "firefox", or the path of one; by default the first of
            them that is there.
        headless: Without a window, as on a machine without a display.
        proxy: The proxy; the notebook's own by default, which is started if need be.
        arguments: More arguments for the browser, such as "--window-size=800,600".

    Returns:
        A handle; `.close()` ends it, and so does the end of the kernel.

    Raises:
        ConfigError: There is no such browser, or no display for it, or it does not start.
        ValueError: The URL is none.
        TypeError: It is no str.

    Example:
        >>> b = nbproxy.browser("https://example.org/")  # doctest: +SKIP
        >>> b.close()  # doctest: +SKIP
    """
    __tracebackhide__ = True  # IPython then shows the user's line, not ours
    page = _page(url)
    kind, command = _find(name)
    if not headless and not _has_display():
        raise ConfigError(
            "there is no display here to open a window on, as in most containers and on servers. "
            f"nbproxy.browser({url!r}, headless=True) loads the page without a window; or set the "
            "proxy in a browser of your own, see http://mitm.it/."
        )
    used = proxy if proxy is not None else _current.get()
    used.start()
    profile = Path(tempfile.mkdtemp(prefix="nbproxy-browser-", dir=_place(command)))
    try:
        given = kind.profile(profile, used.url, used.ca, headless=headless)
        process = _start([command, *given, *arguments, page], profile)
    except BaseException:
        shutil.rmtree(profile, ignore_errors=True)
        raise
    if not _OPEN:
        atexit.unregister(close_all)
        atexit.register(close_all)
    return Browser(kind.name, page, profile, process)


def _page(url: str) -> str:
    """A URL as a browser takes it on its command line; a bare host means https."""
    __tracebackhide__ = True
    if not isinstance(url, str):
        raise TypeError(
            f"browser takes a URL, as a str, not {url!r:.80}; of a flow, its request.url"
        )
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in {"http", "https"} and parts.netloc:
            return url
        if parts.scheme in {"about", "data", "file"}:
            return url
        if "://" not in url and not url.startswith("-"):
            bare = urlsplit(f"https://{url}")
            _ = bare.port  # "javascript:..." is no host: what follows the colon is no number
            if bare.hostname:
                return f"https://{url}"
    raise ValueError(
        f"{url!r:.200} is no URL that browser opens: http://, https:// or a bare host, "
        "about:blank, data: or file:"
    )


def _find(name: str | None) -> tuple[Kind, str]:
    """The browser to use, and where it is."""
    if name is not None and os.sep in name:
        if shutil.which(name) is None:
            raise ConfigError(f"{name} is no program that can be run")
        is_firefox = "firefox" in Path(name).name.lower()
        return KINDS[-1 if is_firefox else 0], name
    kinds = [kind for kind in KINDS if name in {None, kind.name}]
    if not kinds:
        known = ", ".join(kind.name for kind in KINDS)
        raise ConfigError(f"nbproxy knows no browser {name!r}; it knows {known}, or a path")
    for kind in kinds:
        for each in (*kind.commands, *_applications(kind)):
            command = shutil.which(each)
            if command is not None:
                return kind, command
    wanted = "Chromium, Chrome, Edge or Firefox" if name is None else name.capitalize()
    raise ConfigError(
        f"no {wanted} was found on this machine. Install one (on Debian: apt install chromium), "
        'or name its program: nbproxy.browser(url, name="/path/to/chrome").'
    )


def _applications(kind: Kind) -> list[str]:
    if platform.system() != "Darwin":
        return []
    folders = (Path("/Applications"), Path.home() / "Applications")
    return [str(folder / kind.application) for folder in folders]


def _has_display() -> bool:
    if platform.system() == "Darwin":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _place(command: str) -> str | None:
    """Where its profile may lie: snaps can only read folders of their own."""
    path = Path(command)
    try:
        with path.open("rb") as file:
            head = file.read(2048)
    except OSError:
        return None
    if "/snap/" not in command and not (head.startswith(b"#!") and b"/snap/bin" in head):
        return None
    name = "firefox" if "firefox" in path.name else "chromium"
    folder = Path.home() / "snap" / name / "common"
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _start(command: list[str], profile: Path) -> subprocess.Popen[bytes]:
    """Start it, apart from signals to the kernel, and see whether it stays."""
    log = profile / "browser.log"
    environ = {
        name: value
        for name, value in SURROUNDINGS.otherwise().items()
        if not name.lower().endswith("_proxy")
    }
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the user's own browser
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environ,
            start_new_session=True,
        )
    try:
        status = process.wait(_START_S)
    except subprocess.TimeoutExpired:
        return process
    said = " ".join(log.read_text(errors="replace").split())[-600:]
    raise ConfigError(
        f"{command[0]} ended at once with status {status}: {said or 'it said nothing'}. In a "
        'container it may need nbproxy.browser(url, arguments=["--no-sandbox"]).'
    )
