"""`map_local` and `map_remote`: other files, or other servers, in the place of what is asked for.

The patterns are those of mitmproxy's options of these names, as its manual describes them.
"""

from __future__ import annotations

import asyncio
import mimetypes
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from nbproxy.addons.rules import (
    Part,
    PartedRule,
    Spec,
    check_type,
    compile_regex,
    condition_of,
    split_specs,
)
from nbproxy.model import url as urls
from nbproxy.model.masking import default_masker
from nbproxy.model.message import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from nbproxy.model.flow import HTTPFlow

_INDEX: Final = "index.html"
_UNUSUAL: Final = re.compile(r"[^0-9A-Za-z\-_.=(),]")  # what the manual calls special characters
_TYPES: Final = {
    ".avif": "image/avif",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
"""What browsers insist on, whatever the tables of this machine say."""
_TEXTS: Final = frozenset({"application/json", "image/svg+xml"})


def prefix(text: str) -> re.Pattern[str]:
    """A pattern for the URLs that begin with this one; any scheme if it names none.

    It ends where a part of the URL ends: `https://a.example/x` is no beginning of `.../xy`.
    """
    begin = re.escape(text) if "://" in text else f"https?://{re.escape(text)}"
    end = "" if text.endswith("/") else r"(?=[/?#]|\Z)"
    return re.compile(f"^{begin}{end}")


# -- other servers


@dataclass(frozen=True, slots=True)
class _Remote(Part):
    url: re.Pattern[str]
    to: str | Callable[[re.Match[str]], str]


class MapRemote(PartedRule[_Remote]):
    """Sends requests elsewhere: what matches in the URL is replaced."""

    kind: ClassVar[str] = "map_remote"

    @classmethod
    def of(
        cls,
        url: str | re.Pattern[str],
        to: str | None,
        filter: str | None,  # noqa: A002 - the public name
    ) -> MapRemote:
        """The rule for the arguments of `nbproxy.map_remote`.

        Raises:
            ValueError: They make no sense.
        """
        __tracebackhide__ = True
        if to is None:
            if not isinstance(url, str) or filter is not None:
                raise ValueError("map_remote takes a pattern alone, or a URL and to=")
            return cls.of_specs((url,))
        check_type("map_remote", url, "a URL, as a str, or what re compiles", (str, re.Pattern))
        check_type("map_remote", to, "the new URL, as a str", (str,))
        pattern, target = _replacing(url, to)
        shown = url if isinstance(url, str) else url.pattern
        return cls(filter, [_Remote(None, pattern, target)], _arrow(filter, shown, to))

    @classmethod
    def of_specs(cls, specs: Sequence[str]) -> MapRemote:
        """The rule for patterns, which apply one after the other.

        Raises:
            ValueError: One of them is none.
        """
        __tracebackhide__ = True
        read = split_specs(specs, cls.kind, "url-regex", "replacement")
        remotes = []
        for spec in read:
            pattern = compile_regex(spec.subject)
            _check_template(pattern, spec.replacement)
            condition = condition_of(spec.filter) if len(read) > 1 else None
            remotes.append(_Remote(condition, pattern, spec.replacement))
        return cls(_only_filter(read), remotes, _arrows(read))

    def hooks(self) -> Mapping[str, Callable[..., Any]]:
        """See `Rule`."""
        return {"request": self._request}

    def _request(self, flow: HTTPFlow) -> None:
        if flow.response is not None:
            return
        for remote in self._parts:
            if remote.fits(flow):
                old = flow.request.pretty_url
                new = remote.url.sub(remote.to, old)
                if new != old:
                    flow.request.url = new
                    self.hits += 1


def _replacing(
    url: str | re.Pattern[str], to: str
) -> tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]:
    """What to look for in URLs, and what takes its place."""
    __tracebackhide__ = True
    if isinstance(url, re.Pattern):
        _check_template(url, to)
        return url, to
    urls.parse(to)
    target = to.rstrip("/") + ("/" if url.endswith("/") else "")
    return prefix(url), lambda _: target


def _check_template(pattern: re.Pattern[str], replacement: str) -> None:
    try:
        pattern.sub(replacement, "")
    except (re.error, IndexError) as error:
        raise ValueError(
            f"{replacement!r} cannot replace what {pattern.pattern!r} finds: {error}"
        ) from None


# -- files


@dataclass(frozen=True, slots=True)
class _Local(Part):
    url: re.Pattern[str]
    path: Path


class MapLocal(PartedRule[_Local]):
    """Answers requests with files. Only what is in the folder that was named is ever read."""

    kind: ClassVar[str] = "map_local"

    missing = 0

    @classmethod
    def of(
        cls,
        url: str | re.Pattern[str],
        path: str | os.PathLike[str] | None,
        filter: str | None,  # noqa: A002 - the public name
    ) -> MapLocal:
        """The rule for the arguments of `nbproxy.map_local`.

        Raises:
            ValueError: They make no sense.
            FileNotFoundError: There is no such file or folder.
        """
        __tracebackhide__ = True
        if path is None:
            if not isinstance(url, str) or filter is not None:
                raise ValueError("map_local takes a pattern alone, or a URL and path=")
            return cls.of_specs((url,))
        check_type("map_local", url, "a URL, as a str, or what re compiles", (str, re.Pattern))
        check_type("map_local", path, "a path of a file or a folder", (str, os.PathLike))
        pattern = prefix(url) if isinstance(url, str) else url
        shown = url if isinstance(url, str) else url.pattern
        place = _Local(None, pattern, _existing(path))
        return cls(filter, [place], _arrow(filter, shown, os.fspath(path)))

    @classmethod
    def of_specs(cls, specs: Sequence[str]) -> MapLocal:
        """The rule for patterns; the first that leads to a file counts.

        Raises:
            ValueError: One of them is none.
            FileNotFoundError: There is no such file or folder.
        """
        __tracebackhide__ = True
        read = split_specs(specs, cls.kind, "url-regex", "path")
        places = []
        for spec in read:
            condition = condition_of(spec.filter) if len(read) > 1 else None
            pattern = compile_regex(spec.subject)
            places.append(_Local(condition, pattern, _existing(spec.replacement)))
        return cls(_only_filter(read), places, _arrows(read))

    def hooks(self) -> Mapping[str, Callable[..., Any]]:
        """See `Rule`."""
        return {"request": self._request}

    def outcome(self) -> str:
        """See `Rule`."""
        return super().outcome() + (f", {self.missing} not found" if self.missing else "")

    async def _request(self, flow: HTTPFlow) -> None:
        if flow.response is not None:
            return
        url = flow.request.pretty_url
        meant = False
        for place in self._parts:
            match = place.url.search(url)
            if match is None or not place.fits(flow):
                continue
            meant = True
            # a disk may be slow, and the loop has others to serve
            response = await asyncio.to_thread(_respond, place.path, _rest(match, url))
            if response is not None:
                flow.response = response
                self.hits += 1
                return
        if meant:
            flow.response = Response.make(404)
            self.missing += 1


def _existing(path: str | os.PathLike[str]) -> Path:
    """The file or folder by its full name, for the working folder may change."""
    found = Path(path).expanduser().absolute()
    if not found.exists():
        raise FileNotFoundError(f"there is no file or folder {str(path)!r} to map to")
    return found


def _rest(match: re.Match[str], url: str) -> str:
    """The part of the URL that names the file in the folder."""
    if match.re.groups:
        return match[1] or ""
    return re.split(r"[?#]", url[match.end() :], maxsplit=1)[0]


def find_file(place: Path, rest: str) -> Path | None:
    """The file that a request means.

    Args:
        place: A file, which is always meant; or the folder that must not be left.
        rest: The path below it as it stands in the URL.

    Returns:
        Its name without symbolic links; None if there is no such file in the folder.
    """
    try:
        root = place.resolve()
        if not root.is_dir():
            return root if root.is_file() else None
        return next((path for path in _candidates(root, rest) if path.is_file()), None)
    except (OSError, ValueError, RuntimeError):  # too long a name, a NUL, a loop of links
        return None


def _candidates(root: Path, rest: str) -> Iterator[Path]:
    """Where the file may be, all inside `root`, whatever links there are."""
    # decoded once and piece by piece: %2f and %5c separate nothing
    pieces = [urls.unquote(piece) for piece in rest.split("/")]
    pieces = [piece for piece in pieces if piece not in {"", "."}]
    if any(piece == ".." or re.search(r"[/\\\0]", piece) for piece in pieces):
        return
    plain = [_UNUSUAL.sub("_", piece) for piece in pieces]
    for names in (pieces, plain) if plain != pieces else (pieces,):
        for path in (root.joinpath(*names), root.joinpath(*names, _INDEX)):
            found = path.resolve()
            if found.is_relative_to(root):
                yield found


def _respond(place: Path, rest: str) -> Response | None:
    """The answer with the file that is meant; None if there is none, or none that can be read."""
    path = find_file(place, rest)
    try:
        content = _content(path) if path is not None else None
    except OSError:
        return None
    if path is None or content is None:
        return None
    headers = {"content-type": media_type(path, content), "cache-control": "no-cache"}
    return Response.make(200, content, headers)


def _content(path: Path) -> bytes | None:
    # no links, since `path` has none; and a pipe put there meanwhile must not hold the proxy up
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        return file.read() if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None


def media_type(path: Path, content: bytes) -> str:
    """The media type of a file, by the end of its name; of text with the charset."""
    known = _TYPES.get(path.suffix.lower())
    guessed, packed = mimetypes.guess_type(path.name)
    if packed is not None:
        return {"gzip": "application/gzip"}.get(packed, "application/octet-stream")
    found = known or guessed or "application/octet-stream"
    if found.startswith("text/") or found in _TEXTS:
        try:
            content.decode("utf-8")
        except ValueError:
            return found
        return f"{found}; charset=utf-8"
    return found


# -- what rules say about themselves


def _only_filter(specs: Sequence[Spec]) -> str | None:
    """The filter for the registry; of several patterns each looks at its own."""
    return specs[0].filter if len(specs) == 1 else None


def _arrow(condition: str | None, url: str, to: str) -> str:
    masked = default_masker().mask_url
    return f"{f'{condition}: ' if condition else ''}{masked(url)} → {masked(to)}"


def _arrows(specs: Sequence[Spec]) -> str:
    return "; ".join(_arrow(*spec) for spec in specs)
