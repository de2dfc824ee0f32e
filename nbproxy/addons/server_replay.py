"""`replay_server`: answers from recordings, in the server's place."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from nbproxy.addons.rules import Rule
from nbproxy.model import url as urls
from nbproxy.model.message import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from nbproxy.addons.recordings import Answer, Recordings
    from nbproxy.hooks import TLSData
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Request

ORIGIN = "replayed_from"
"""In `flow.metadata`: the id of the flow whose request or response this one repeats."""


class ReplayServer(Rule):
    """Answers requests from recordings; see `nbproxy.replay_server`.

    Servers whose answers are known are not connected to, not even for their certificate.

    Args:
        recordings: The answers.
        name: Where they are from, for people.
        strict: Whether what is not among them is answered with an error.
        filter: Which flows it is for.

    Attributes:
        misses: How many requests had no recorded answer.
        skipped: How many recorded flows had none either.
    """

    kind: ClassVar[str] = "replay_server"

    def __init__(
        self,
        recordings: Recordings,
        name: str,
        *,
        strict: bool,
        filter: str | None = None,  # noqa: A002 - the public name
    ) -> None:
        __tracebackhide__ = True
        super().__init__(filter)
        self.recordings = recordings
        self.strict = strict
        self.misses = 0
        self.skipped = 0
        self._name = name

    def hooks(self) -> Mapping[str, Callable[..., Any]]:
        """See `Rule`."""
        return {"request": self.answer, "tls_clienthello": self.keep_away}

    def describe(self) -> str:
        """See `Rule`."""
        return f"{self._name}{f' for {self.filter}' if self.filter else ''}"

    def outcome(self) -> str:
        """See `Rule`."""
        count = len(self.recordings)
        return (
            f"{count} answer{'' if count == 1 else 's'}, {super().outcome()}, "
            f"{self.misses} miss{'' if self.misses == 1 else 'es'}"
        )

    def learn(self, flows: Iterable[HTTPFlow], fetch: Callable[[int], HTTPFlow] | None) -> None:
        """Take answers over.

        Args:
            flows: Where they are.
            fetch: Gives a flow by its id when its answer is needed; None to hold the flows.
        """
        for flow in flows:
            if flow.request.method == "CONNECT" or not _is_whole(flow.response):
                self.skipped += 1
            elif fetch is None:
                self.recordings.add(flow.request, partial(_response_of, flow), flow.id)
            else:
                self.recordings.add(flow.request, partial(_fetched, fetch, flow.id), flow.id)

    def answer(self, flow: HTTPFlow) -> None:
        """Handle `request`."""
        if flow.response is not None:
            return
        found = self.recordings.find(flow.request)
        if found is not None:
            self.hits += 1
            give(flow, found)
            return
        self.misses += 1
        if self.strict:
            flow.response = missing(flow.request, self._name, self.recordings)

    def keep_away(self, data: TLSData) -> None:
        """Handle `tls_clienthello`: nobody is asked for a certificate in vain."""
        place = getattr(data.conn, "tunnel", None)
        if place is not None and (self.strict or self.recordings.knows(*place)):
            data.establish_server_tls_first = False


def _response_of(flow: HTTPFlow) -> Response | None:
    return flow.response


def _fetched(fetch: Callable[[int], HTTPFlow], number: int) -> Response | None:
    try:
        return fetch(number).response
    except KeyError:  # it was removed meanwhile
        return None


def _is_whole(response: Response | None) -> bool:
    """Whether a response can be given again: there is one, no upgrade, and its body was kept."""
    if response is None or response.status_code < 200:
        return False
    return response.holds_bytes or response.body_size > 0


def give(flow: HTTPFlow, answer: Answer) -> None:
    """Answer a flow from a recording."""
    response = answer.response
    response.timestamp_start, response.timestamp_end = 0.0, None
    response.stream = False
    _decode_for(flow.request, response)
    flow.response = response
    flow.is_replay = "response"
    if answer.origin is not None:
        flow.metadata[ORIGIN] = answer.origin


def _decode_for(request: Request, response: Response) -> None:
    """Take off a content coding that this client did not ask for (RFC 9110, 12.5.3)."""
    codings = response.headers.get("content-encoding", "").lower()
    accepted = request.headers.get("accept-encoding", "").lower()
    if codings and "*" not in accepted and codings not in accepted:
        response.decode(strict=False)


def missing(request: Request, name: str, recordings: Recordings) -> Response:
    """What is answered where nothing was recorded."""
    where = urls.unparse(request.scheme, request.host, request.port, request.path)
    count = len(recordings)
    text = (
        f"nbproxy: {name} has no answer to {request.method} {where}: "
        f"{recordings.why_not(request)}. It has {count} answer{'' if count == 1 else 's'}.\n"
    )
    return Response.make(502, text, {"content-type": "text/plain; charset=utf-8"})
