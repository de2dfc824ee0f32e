"""Recorded answers, found again by what was asked.

Two requests ask the same if method and URL agree, the query's fields in any order, and the bodies
say the same: as JSON values, as the fields of a form, else byte by byte. `Sameness` says which
fields do not matter, and which headers do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from nbproxy.filters.jsonpath import parse_path
from nbproxy.model import url as urls

if TYPE_CHECKING:
    from nbproxy.model.message import Request, Response

Fetch: TypeAlias = Callable[[], "Response | None"]
Steps: TypeAlias = tuple[str | int | None, ...]

_EXACT: Final = 2**53  # whole numbers up to there are the same as integers and as floats


@dataclass(frozen=True, slots=True)
class Sameness:
    """When two requests ask the same.

    Attributes:
        names: Fields of queries, forms and heads that do not matter.
        paths: Places in JSON bodies that do not matter.
        headers: Headers that do matter, in lower case.
    """

    names: frozenset[str] = frozenset()
    paths: tuple[Steps, ...] = ()
    headers: tuple[str, ...] = ()

    @classmethod
    def of(cls, ignore: str | Iterable[str], headers: str | Iterable[str] = ()) -> Sameness:
        """From names as users write them: `$.user.id` is a place in JSON, all others are names.

        Raises:
            ValueError: A path is none.
        """
        names, paths = set(), []
        for each in (ignore,) if isinstance(ignore, str) else ignore:
            if not each.startswith("$"):
                names.add(each.lower())
                continue
            try:
                steps, pattern = parse_path(each)
            except ValueError as error:
                raise ValueError(f"ignore: {each!r}: {error}") from None
            if pattern is not None or not steps:
                raise ValueError(f"ignore: {each!r} should name a place below $, without =")
            paths.append(steps)
        given = (headers,) if isinstance(headers, str) else headers
        wanted = sorted({name.lower() for name in given} - names)
        return cls(frozenset(names), tuple(paths), tuple(wanted))

    def key(self, request: Request) -> Hashable:
        """Equal for requests that ask the same."""
        path = request.path.partition("?")[0]
        return (
            request.method,
            request.scheme,
            request.host.lower(),
            request.port,
            tuple(urls.unquote(piece) for piece in path.split("/")),
            self._pairs(urls.query_pairs(request.path)),
            self._body(request),
            tuple(tuple(request.headers.get_all(name)) for name in self.headers),
        )

    def _pairs(self, pairs: Iterable[tuple[Any, Any]]) -> Hashable:
        return tuple(sorted((n, v) for n, v in pairs if _text(n).lower() not in self.names))

    def _body(self, request: Request) -> Hashable:
        content = request.get_content(strict=False)
        if not content:
            return None
        media = request.headers.get("content-type", "").lower()
        if "application/x-www-form-urlencoded" in media:
            return "form", self._pairs(request.urlencoded_form.items(multi=True))
        if "multipart/form-data" in media:  # each time with another boundary
            fields = request.multipart_form.items(multi=True)
            if fields:
                return "form", self._pairs(fields)
        if "json" in media or content.lstrip()[:1] in {b"{", b"["}:
            try:
                value = json.loads(content)
                for steps in self.paths:
                    _take_out(value, steps)
                return "json", json.dumps(_plain(value), sort_keys=True)
            except (ValueError, RecursionError):
                pass  # it only looks like JSON
        return content


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "replace")


def _take_out(value: Any, steps: Steps) -> None:
    """Remove what a path leads to, if it is there."""
    step, rest = steps[0], steps[1:]
    if step is None:
        inner = list(value.values() if isinstance(value, dict) else value) if _holds(value) else []
        if not rest and _holds(value):
            value.clear()
        for each in inner if rest else ():
            _take_out(each, rest)
        return
    known = isinstance(value, dict) if isinstance(step, str) else isinstance(value, list)
    if not known:
        return
    try:
        if rest:
            _take_out(value[step], rest)
        else:
            del value[step]
    except (KeyError, IndexError):
        return


def _holds(value: Any) -> bool:
    return isinstance(value, (dict, list))


def _plain(value: Any) -> Any:
    """A JSON value in which 1 and 1.0 are the same; true and 1 are not."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    return value


class Answer(NamedTuple):
    """A recorded answer.

    Attributes:
        response: The response; a copy, for whoever asked.
        origin: The id of the flow that it was recorded from, or None.
    """

    response: Response
    origin: int | None


@dataclass(slots=True)
class _Track:
    """The answers to one request, in the order in which they were recorded."""

    answers: list[tuple[Fetch, int | None]] = field(default_factory=list)
    given: int = 0


class Recordings:
    """Answers by request.

    Args:
        sameness: When two requests ask the same.
        in_turn: Give the answers to equal requests one after the other, and then the last again
            and again; else always the last.
    """

    def __init__(self, sameness: Sameness, *, in_turn: bool = True) -> None:
        self.sameness = sameness
        self.in_turn = in_turn
        self._tracks: dict[Hashable, _Track] = {}
        self._places: dict[tuple[str, int], None] = {}
        self._asked: dict[tuple[str, str, int, str], set[str]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, request: Request, fetch: Fetch, origin: int | None = None) -> None:
        """Keep an answer.

        Args:
            request: What was asked.
            fetch: Gives the response when it is needed; None if it is no longer there.
            origin: The id of the recorded flow.
        """
        key = self.sameness.key(request)
        self._tracks.setdefault(key, _Track()).answers.append((fetch, origin))
        self._places[request.host.lower(), request.port] = None
        self._asked.setdefault(_page(request), set()).add(request.method)
        self._count += 1

    def knows(self, host: str, port: int) -> bool:
        """Whether there are answers of this server."""
        return (host.lower(), port) in self._places

    def find(self, request: Request) -> Answer | None:
        """The next answer to a request; None if there is none (any more)."""
        track = self._tracks.get(self.sameness.key(request))
        if track is None:
            return None
        index = min(track.given, len(track.answers) - 1) if self.in_turn else -1
        track.given += 1
        fetch, origin = track.answers[index]
        response = fetch()
        return None if response is None else Answer(response.copy(), origin)

    def why_not(self, request: Request) -> str:
        """In words: why there is no answer to a request."""
        methods = self._asked.get(_page(request))
        if methods is None:
            if self.knows(request.host, request.port):
                return "of this server there are recordings, but none of this path"
            return "there is no recording of this server"
        if request.method not in methods:
            return f"this path was recorded with {', '.join(sorted(methods))} only"
        return (
            "this path was recorded, but with another query or another body; ignore= names "
            "fields that do not matter"
        )


def _page(request: Request) -> tuple[str, str, int, str]:
    path = request.path.partition("?")[0]
    return request.scheme, request.host.lower(), request.port, path
