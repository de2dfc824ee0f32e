"""Sending recorded requests again, changed: `flow.replay(...)` and `flows.replay(vary=...)`.

What is sent goes through the handlers of a proxy like any request and is recorded there; its
flow names the original in `metadata["replayed_from"]`. Nothing here changes the original.
"""

from __future__ import annotations

import asyncio
import itertools
import json as jsons
import operator
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

from nbproxy.addons.server_replay import ORIGIN
from nbproxy.engine.runner import wait
from nbproxy.filters.jsonpath import parse_path
from nbproxy.formats.resend import sendable_url
from nbproxy.model.connection import Client
from nbproxy.model.flow import HTTPFlow
from nbproxy.scripts.progress import Bar

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Coroutine, Sequence

    import pandas as pd

    from nbproxy.engine.runner import LoopRunner
    from nbproxy.model.message import Request

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]

_KEEP: Final[Any] = object()
_BODIES: Final = ("json", "data", "content", "text")
_CHANGES: Final = ("method", "url", "params", "headers", *_BODIES, "proxy")
_PLACES: Final = ("params", "headers", "json", "data")


# -- one request


def changed(
    request: Request,
    *,
    method: str | None = None,
    url: str | None = None,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, Any] | None = None,
    json: Any = _KEEP,
    data: Mapping[str, Any] | None = None,
    content: bytes | None = None,
    text: str | None = None,
) -> Request:
    """A copy of a request with changes.

    Args:
        request: The original.
        method: Another method.
        url: Another URL; one that begins with a slash is a path (with query) on the same server.
        params: Fields of the query: a value, or a list of several, takes the place of the old
            ones; None removes.
        headers: The same for header fields.
        json: A body, as JSON; the content type follows.
        data: Fields of a form, as for `params`; the other fields of the form stay.
        content: A body, as bytes without a content coding.
        text: A body, as text.

    Raises:
        ValueError: Something that cannot be sent, or more than one body.
        TypeError: A body of a wrong type.
    """
    _check_types(method=method, url=url, text=text)
    _check_mappings(params=params, headers=headers, data=data)
    given = {"json": json is not _KEEP, "data": data is not None}
    given |= {"content": content is not None, "text": text is not None}
    if sum(given.values()) > 1:
        named = ", ".join(name for name in _BODIES if given[name])
        raise ValueError(f"a request has one body, not {named}")
    made = request.copy()
    made.stream = False
    if method is not None:
        made.method = method
    if url is not None:
        if url.startswith("/"):
            made.path = url
        else:
            made.url = url
    if params:
        made.query = _merged(made.query.items(multi=True), params)
    if json is not _KEEP:
        if "json" not in made.headers.get("content-type", "").lower():
            made.headers["content-type"] = "application/json"
        made.content = _dumped(json)
    elif data is not None:
        made.urlencoded_form = _merged(made.urlencoded_form.items(multi=True), data)
    elif content is not None:
        made.content = content
    elif text is not None:
        made.text = text
    for name, value in (headers or {}).items():
        if value is None:
            made.headers.pop(name, None)
        else:
            made.headers.set_all(name, _texts(value))
    return made


def _dumped(value: Any) -> bytes:
    """A value as JSON.

    Raises:
        ValueError: It has no such form.
        TypeError: It is of a type that has none.
    """
    try:
        return jsons.dumps(value, allow_nan=False).encode()
    except ValueError:
        jsons.dumps(value)  # what is wrong is something else, such as a list that holds itself
        raise ValueError(
            f"json = {value!r:.80}: JSON has no NaN and no infinity; None is null, and text= sends "
            "a body as it is"
        ) from None


def _check_types(**given: object) -> None:
    for name, value in given.items():
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} = {value!r}: it takes a str")


def _check_mappings(**given: object) -> None:
    for name, value in given.items():
        if value is not None and not isinstance(value, Mapping):
            raise TypeError(f"{name} = {value!r}: it takes a dict, such as {{'name': 'value'}}")


def _check_names(changes: Mapping[str, Any], *more: str) -> None:
    """Find out whether these are changes.

    Raises:
        TypeError: One is none.
    """
    known = (*_CHANGES, *more)
    unknown = [name for name in changes if name not in known]
    if unknown:
        raise TypeError(f"replay takes no {unknown[0]!r}; it takes {', '.join(known)}")


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [each if isinstance(each, str) else str(each) for each in values]


def _merged(pairs: Iterable[tuple[str, str]], changes: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Fields with changes in the places of the old ones."""
    coming = {n: _texts(v) for n, v in changes.items() if v is not None}
    result = []
    for name, value in pairs:
        if name not in changes:
            result.append((name, value))
        elif coming.get(name):
            result += [(name, each) for each in coming.pop(name)]
    return result + [(name, each) for name, values in coming.items() for each in values]


def check(original: HTTPFlow, request: Request) -> None:
    """Find out whether a request can be sent again.

    Raises:
        ValueError: It cannot.
    """
    _check(original.id, request)


def prepared(original: HTTPFlow, request: Request) -> HTTPFlow:
    """A flow that sends a request again, not sent yet; takes the request over.

    Args:
        original: The flow that the request is from.
        request: The request.

    Raises:
        ValueError: It cannot be sent again.
    """
    return _prepared(original.id, request)


def _check(origin: int, request: Request) -> None:
    sendable_url(request)
    if not request.holds_bytes and not request.body_size:
        raise ValueError(f"flow {origin} was recorded without its body: give content=")


def _prepared(origin: int, request: Request) -> HTTPFlow:
    _check(origin, request)
    if request.authority:  # the form that proxies get, or HTTP/2's
        if "host" not in request.headers:
            request.headers.insert(0, "Host", request.authority)
        request.authority = ""
    request.http_version = "HTTP/1.1"
    flow = HTTPFlow(request, Client())
    flow.is_replay = "request"
    request._replayed = True  # type: ignore[attr-defined]  # noqa: SLF001 - for old scripts, see `compat`
    flow.metadata[ORIGIN] = origin
    return flow


# -- by which proxy


class Host(Protocol):
    """A proxy, as far as sending again needs it."""

    @property
    def running(self) -> bool:
        """Whether it listens."""

    @property
    def runner(self) -> LoopRunner | None:
        """Where its loop lives."""

    def resend(self, flow: HTTPFlow) -> concurrent.futures.Future[None]:
        """Send the request of a flow again, on its loop."""


def _running(owner: Host | None) -> Host:
    """The proxy that sends: the one that recorded the flow, else the notebook's own.

    Raises:
        RuntimeError: Neither is running.
    """
    # `_current` imports the proxy and so us; if nobody has imported it, there is no such proxy
    current = sys.modules.get("nbproxy._current")
    for proxy in (owner, current.peek() if current is not None else None):
        if proxy is not None and proxy.running:
            found: Host = proxy
            return found
    raise RuntimeError(
        "no proxy is running that could send this again: nbproxy.start() in a notebook; elsewhere, "
        "do it inside `with nbproxy.Proxy() as proxy:` and give proxy=proxy"
    )


async def _send(proxy: Host, flow: HTTPFlow) -> HTTPFlow:
    """Send a flow on the proxy's loop, from any loop."""
    sending = proxy.resend(flow)
    try:
        await asyncio.wrap_future(sending)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise RuntimeError("the proxy was stopped meanwhile") from None
    return flow


def _do(proxy: Host, work: Coroutine[Any, Any, T], *, sync: bool) -> Any:
    """Work to be awaited; or, `sync`, its result."""
    if not sync:
        return work
    if proxy.runner is None:
        work.close()
        raise RuntimeError("the proxy was stopped meanwhile")
    return wait(proxy.runner, work)


def replay_flow(flow: HTTPFlow, owner: Host | None, changes: dict[str, Any], *, sync: bool) -> Any:
    """What `HTTPFlow.replay` calls: the new flow, or what to await for it.

    Raises:
        ValueError: The request cannot be sent so.
        RuntimeError: No proxy is running; or `sync`, and this is the proxy's own loop.
    """
    __tracebackhide__ = True  # IPython then shows the user's line, not ours
    _check_names(changes)
    proxy = _running(changes.pop("proxy", None) or owner)
    return _do(proxy, _send(proxy, prepared(flow, changed(flow.request, **changes))), sync=sync)


# -- many requests


class Variation:
    """What is varied, and the tries that this makes.

    Args:
        vary: Names to values, or "params", "headers", "json" or "data" to such a mapping.
        together: Take the first values of all names together, then the second; else every
            combination.

    Attributes:
        names: The columns.
        tries: The values of each try.

    Raises:
        ValueError: `together`, and not all names have as many values.
        TypeError: A name has one value, not several.
    """

    def __init__(self, vary: Mapping[str, Any] | None, *, together: bool) -> None:
        self._places: list[tuple[str | None, str]] = []
        columns: list[list[Any]] = []
        if vary is not None and not isinstance(vary, Mapping):
            raise TypeError(f"vary = {vary!r}: it takes a dict, such as {{'page': [1, 2]}}")
        for name, values in (vary or {}).items():
            inner = values.items() if isinstance(values, Mapping) else ((name, values),)
            place = name if isinstance(values, Mapping) else None
            if place is not None and place not in _PLACES:
                raise ValueError(f"vary: {place!r} is none of {', '.join(_PLACES)}")
            for key, each in inner:
                if isinstance(each, (str, bytes)) or not isinstance(each, Iterable):
                    raise TypeError(f"vary: {key!r} takes several values, such as [{each!r}]")
                self._places.append((place, key))
                columns.append(list(each))
        self.names = self._column_names()
        if together and len({len(column) for column in columns}) > 1:
            counts = ", ".join(
                f"{n} has {len(c)}" for n, c in zip(self.names, columns, strict=True)
            )
            raise ValueError(f"vary: together all need as many values; {counts}")
        pairs = zip(*columns, strict=True) if together else itertools.product(*columns)
        self.tries: list[tuple[Any, ...]] = list(pairs) if columns else [()]

    def _column_names(self) -> list[str]:
        keys = [key for _, key in self._places]
        return [
            key if keys.count(key) == 1 or place is None else f"{place}.{key}"
            for place, key in self._places
        ]

    def request(self, original: Request, values: Sequence[Any], changes: dict[str, Any]) -> Request:
        """A request with the changes that all have, and the values of one try.

        Raises:
            ValueError: It cannot be made so.
        """
        made = changed(original, **changes)
        for (place, name), value in zip(self._places, values, strict=True):
            made = _put(made, place or _place_of(made, name), name, value)
        return made


def _place_of(request: Request, name: str) -> str:
    """Where a name belongs: where it is already, else into the query."""
    if name.startswith("$"):
        return "json"
    if name in request.query:
        return "params"
    if name in request.urlencoded_form:
        return "data"
    document = _json_of(request)
    if isinstance(document, dict) and name in document:
        return "json"
    if name in request.headers:
        return "headers"
    return "url" if name in {"url", "method"} else "params"


def _put(request: Request, place: str, name: str, value: Any) -> Request:
    if place != "json":
        change: dict[str, Any] = {name: value} if place == "url" else {place: {name: value}}
        return changed(request, **change)
    document = _json_of(request)
    steps, pattern = parse_path(name) if name.startswith("$") else ((name,), None)
    if pattern is not None or None in steps:
        raise ValueError(f"vary: {name!r} should name one place, without = and *")
    return changed(request, json=_replaced(document, steps, value, name))


def _json_of(request: Request) -> Any:
    try:
        return request.json()
    except (ValueError, TypeError):
        return None


def _replaced(document: Any, steps: Sequence[Any], value: Any, name: str) -> Any:
    """A JSON value with another one put into it."""
    if not steps:
        return value
    step = steps[0]
    if isinstance(step, str) and (document is None or isinstance(document, dict)):
        old = (document or {}).get(step)
        return {**(document or {}), step: _replaced(old, steps[1:], value, name)}
    if (
        isinstance(step, int)
        and isinstance(document, list)
        and -len(document) <= step < len(document)
    ):
        copy = list(document)
        copy[step] = _replaced(copy[step], steps[1:], value, name)
        return copy
    raise ValueError(f"vary: the body has no place {name!r}")


class _Try(NamedTuple):
    """A request that is to be sent, with the id of the flow that it is from."""

    origin: int
    request: Request
    given: tuple[Any, ...]


async def _replay_all(proxy: Host, tries: Sequence[_Try], concurrency: int) -> list[Row]:
    """Send them all; a row for each in their order. Flows are not kept, they may be large."""
    bar = Bar(len(tries), "requests")
    rows: list[Row] = [()] * len(tries)
    waiting = iter(enumerate(tries))
    done = 0

    async def work() -> None:
        nonlocal done
        for index, each in waiting:
            flow = await _send(proxy, _prepared(each.origin, each.request))
            rows[index] = _row(flow)
            done += 1
            bar.step(done)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(tries))):
                group.create_task(work())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        bar.end()
    return rows


def _row(flow: HTTPFlow) -> Row:
    response, error = flow.response, flow.error
    status = response.status_code if response is not None else None
    size = response.body_size if response is not None else 0
    return flow.id, status, flow.duration, size, error.msg if error is not None else None


def replay_flows(
    flows: Iterable[HTTPFlow],
    owner: Host | None,
    vary: Mapping[str, Any] | None,
    changes: dict[str, Any],
    *,
    concurrency: int,
    together: bool,
    sync: bool,
) -> Any:
    """What `Flows.replay` calls: the frame, or what to await for it.

    Raises:
        ValueError: Something cannot be sent so; nothing was sent then.
        RuntimeError: No proxy is running; or `sync`, and this is the proxy's own loop.
    """
    __tracebackhide__ = True  # IPython then shows the user's line, not ours
    _check_names(changes, "vary", "concurrency", "together")
    try:
        concurrency = operator.index(concurrency)
    except TypeError:
        raise TypeError(
            f"concurrency = {concurrency!r}: it takes an int, how many at a time"
        ) from None
    if concurrency < 1:
        raise ValueError(f"concurrency = {concurrency!r}: at least 1 at a time")
    proxy = _running(changes.pop("proxy", None) or owner)
    variation = Variation(vary, together=together)
    tries = [
        _Try(flow.id, variation.request(flow.request, values, changes), values)
        for flow in flows
        for values in variation.tries
    ]
    for each in tries:
        _check(each.origin, each.request)
    work = _replay_all(proxy, tries, concurrency)
    if sync:
        return _frame(variation, tries, _do(proxy, work, sync=True))

    async def frame() -> pd.DataFrame:
        return _frame(variation, tries, await work)

    return frame()


def _frame(variation: Variation, tries: Sequence[_Try], rows: Sequence[Row]) -> pd.DataFrame:
    from nbproxy.store.tries import RESULTS, frame_of_tries  # noqa: PLC0415 - pandas is slow

    columns: dict[str, list[Any]] = {}
    if len(tries) > len(variation.tries):
        columns["original"] = [each.origin for each in tries]
    for position, name in enumerate(variation.names):
        title = f"{name}_" if name in {"original", *RESULTS} else name
        columns[title] = [each.given[position] for each in tries]
    return frame_of_tries(columns, rows)
