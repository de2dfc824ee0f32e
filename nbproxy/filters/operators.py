"""Every operator of the filter language, once.

The parser, the compiler, completion, the documentation and the mask over a frame are all driven by
`OPERATORS`; a new operator is a new row. A row's class says which argument the operator takes.

`columns` names the columns from which an operator can be answered; empty means that it takes the
flow itself. Those that begin with an underscore are not in the frames that users get, but in the
store. Whether the columns answer it for *every* row is `judging.py`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nbproxy.filters import matching

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbproxy.model.flow import Flow

# a count has no units; 1k is 1024 bytes, as in the options that take sizes
COUNT: Mapping[str, str] = {"": "1"}
SIZE: Mapping[str, str] = {
    "": "1",
    "b": "1",
    "k": "1024",
    "kb": "1024",
    "m": "1048576",
    "mb": "1048576",
    "g": "1073741824",
    "gb": "1073741824",
}
TIME: Mapping[str, str] = {
    "": "1",
    "ms": "0.001",
    "s": "1",
    "m": "60",
    "h": "3600",
    "d": "86400",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagOperator:
    """An operator without argument."""

    argument: ClassVar[str] = ""
    name: str
    meaning: str
    columns: tuple[str, ...] = ()
    test: matching.Predicate

    @property
    def example(self) -> str:
        """A use of it."""
        return f"~{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternOperator:
    """An operator with a regular expression."""

    argument: ClassVar[str] = "regex"
    name: str
    meaning: str
    example: str
    columns: tuple[str, ...] = ()
    build: matching.Build


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureOperator:
    """An operator that compares a number of the flow: `N`, `>N`, `>=N`, `<N`, `<=N` or `N-M`.

    Attributes:
        units: What may follow a number, and what it is worth.
        loose: True if a plain number may be followed by anything, as mitmproxy has it for `~c`.
        number: The flow's number, or None.
    """

    name: str
    meaning: str
    example: str
    columns: tuple[str, ...] = ()
    units: Mapping[str, str]
    loose: bool = False
    number: Callable[[Flow], float | None]

    @property
    def argument(self) -> str:
        """What to write after the name."""
        if self.units is SIZE:
            return "size"
        return "time" if self.units is TIME else "number"


@dataclass(frozen=True, slots=True, kw_only=True)
class WithinOperator:
    """An operator that asks whether a moment lies within the last so many seconds."""

    argument: ClassVar[str] = "time"
    name: str
    meaning: str
    example: str
    columns: tuple[str, ...] = ()
    moment: Callable[[Flow], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class JSONOperator:
    """An operator that looks into JSON bodies."""

    argument: ClassVar[str] = "$.path=regex"
    name: str
    meaning: str
    example: str
    columns: tuple[str, ...] = ()
    build: Callable[[tuple[str | int | None, ...], str | None], matching.Predicate]


Operator = FlagOperator | PatternOperator | MeasureOperator | WithinOperator | JSONOperator

OPERATORS: tuple[Operator, ...] = (
    FlagOperator(name="all", meaning="every flow", test=lambda _: True),
    FlagOperator(
        name="a",
        meaning="the response is an asset: script, style sheet, image or font",
        columns=("_response_type",),
        test=matching.is_asset,
    ),
    FlagOperator(
        name="e",
        meaning="it failed: broken connection, protocol error, killed",
        columns=("error",),
        test=lambda flow: flow.error is not None,
    ),
    FlagOperator(
        name="q",
        meaning="there is a request and no response yet",
        columns=("method", "status"),
        test=matching.is_unanswered,
    ),
    FlagOperator(
        name="s",
        meaning="there is a response",
        columns=("method", "status"),
        test=matching.is_answered,
    ),
    FlagOperator(
        name="http",
        meaning="it is HTTP, WebSockets included",
        columns=("method",),
        test=matching.of_type("http"),
    ),
    FlagOperator(
        name="websocket",
        meaning="it was upgraded to WebSocket",
        columns=("_websocket",),
        test=matching.is_websocket,
    ),
    FlagOperator(
        name="tcp",
        meaning="it is a TCP relay",
        columns=("method",),
        test=matching.of_type("tcp"),
    ),
    FlagOperator(
        name="udp",
        meaning="it is a UDP relay",
        columns=("method",),
        test=matching.of_type("udp"),
    ),
    FlagOperator(
        name="dns",
        meaning="it is a DNS query",
        columns=("method",),
        test=matching.of_type("dns"),
    ),
    FlagOperator(
        name="marked",
        meaning="it has a mark",
        columns=("marked",),
        test=lambda flow: bool(flow.marked),
    ),
    FlagOperator(
        name="replay",
        meaning="it was made by a replay, of a request or of a response",
        columns=("_replay",),
        test=lambda flow: flow.is_replay is not None,
    ),
    FlagOperator(
        name="replayq",
        meaning="its request was replayed",
        columns=("_replay",),
        test=lambda flow: flow.is_replay == "request",
    ),
    FlagOperator(
        name="replays",
        meaning="its response was replayed",
        columns=("_replay",),
        test=lambda flow: flow.is_replay == "response",
    ),
    PatternOperator(
        name="u",
        meaning="URL with the host as the client named it; a pattern alone means the same",
        example="~u /api/",
        columns=("scheme", "_authority", "path"),
        build=matching.url,
    ),
    PatternOperator(
        name="d",
        meaning="host connected to, or host named; without port",
        example="~d example.org",
        columns=("host",),
        build=matching.domain,
    ),
    PatternOperator(
        name="m",
        meaning="request method",
        example="~m POST",
        columns=("method",),
        build=matching.method,
    ),
    PatternOperator(
        name="h",
        meaning="header lines of request or response",
        example='~h "x-id: \\d+"',
        build=matching.headers(matching.both),
    ),
    PatternOperator(
        name="hq",
        meaning="header lines of the request",
        example="~hq ^cookie:",
        build=matching.headers(matching.request),
    ),
    PatternOperator(
        name="hs",
        meaning="header lines of the response",
        example="~hs ^set-cookie:",
        build=matching.headers(matching.response),
    ),
    PatternOperator(
        name="t",
        meaning="Content-Type of request or response",
        example="~t json",
        columns=("_request_type", "_response_type"),
        build=matching.content_type(matching.both),
    ),
    PatternOperator(
        name="tq",
        meaning="Content-Type of the request",
        example="~tq json",
        columns=("_request_type",),
        build=matching.content_type(matching.request),
    ),
    PatternOperator(
        name="ts",
        meaning="Content-Type of the response",
        example="~ts html",
        columns=("_response_type",),
        build=matching.content_type(matching.response),
    ),
    PatternOperator(
        name="b",
        meaning="bodies of request and response, and messages",
        example="~b password",
        build=matching.bodies(matching.both),
    ),
    PatternOperator(
        name="bq",
        meaning="body of the request, and messages from the client",
        example="~bq password",
        build=matching.bodies(matching.request, from_client=True),
    ),
    PatternOperator(
        name="bs",
        meaning="body of the response, and messages from the server",
        example="~bs error",
        build=matching.bodies(matching.response, from_client=False),
    ),
    PatternOperator(
        name="src",
        meaning="ip:port of the client",
        example="~src ^127",
        columns=("client",),
        build=matching.address(matching.source),
    ),
    PatternOperator(
        name="dst",
        meaning="host:port of the server, as it was asked for",
        example="~dst :443$",
        columns=("_destination",),
        build=matching.address(matching.destination),
    ),
    PatternOperator(
        name="meta",
        meaning="metadata that handlers left, one line `key: value` each",
        example='~meta "^user: ann"',
        build=matching.text(matching.metadata),
    ),
    PatternOperator(
        name="marker",
        meaning="the mark",
        example="~marker red",
        columns=("marked",),
        build=matching.text(matching.marker),
    ),
    PatternOperator(
        name="comment",
        meaning="the comment",
        example="~comment todo",
        columns=("comment",),
        build=matching.text(matching.comment),
    ),
    PatternOperator(
        name="any",
        meaning="anywhere: URL, headers, bodies, messages, comment",
        example="~any token",
        build=matching.anywhere,
    ),
    MeasureOperator(
        name="c",
        meaning="status of the response: 404, >=400, 400-499 or 4xx",
        example="~c 404",
        columns=("status",),
        units=COUNT,
        loose=True,
        number=matching.status,
    ),
    MeasureOperator(
        name="size",
        meaning="bytes of both bodies together, as sent: 0, >1m, 1k-10k (k is 1024)",
        example="~size >1m",
        columns=("request_bytes", "response_bytes"),
        units=SIZE,
        number=matching.size(matching.both),
    ),
    MeasureOperator(
        name="sizeq",
        meaning="bytes of the request's body, as sent",
        example="~sizeq >1m",
        columns=("request_bytes",),
        units=SIZE,
        number=matching.size(matching.request),
    ),
    MeasureOperator(
        name="sizes",
        meaning="bytes of the response's body, as sent",
        example="~sizes >1m",
        columns=("response_bytes",),
        units=SIZE,
        number=matching.size(matching.response),
    ),
    MeasureOperator(
        name="dur",
        meaning="time from the request's first byte to the response's last: >500ms, 1s-2s",
        example="~dur >500ms",
        columns=("duration",),
        units=TIME,
        number=matching.duration,
    ),
    MeasureOperator(
        name="ttfb",
        meaning="time from the request's first byte to the response's first",
        example="~ttfb >1s",
        columns=("ttfb",),
        units=TIME,
        number=matching.ttfb,
    ),
    MeasureOperator(
        name="cell",
        meaning="number of the notebook cell that caused it",
        example="~cell 12",
        columns=("cell",),
        units=COUNT,
        number=matching.cell,
    ),
    WithinOperator(
        name="since",
        meaning="it began within the last: 30s, 10m, 2h, 1d",
        example="~since 10m",
        columns=("time",),
        moment=matching.began,
    ),
    PatternOperator(
        name="col",
        meaning="a column of your own (nbproxy.column): its name, and what its value matches",
        example="~col user_id=^17$",
        build=matching.column_value,
    ),
    JSONOperator(
        name="json",
        meaning="a value inside a JSON body: $.user.name=ann, $.items[0].id=7, $.items[*].id=7",
        example="~json $.user.name=ann",
        build=matching.json_value,
    ),
)

BY_NAME: Mapping[str, Operator] = {operator.name: operator for operator in OPERATORS}


def describe() -> list[tuple[str, str, str]]:
    """The language as a table: operator with its `~`, argument ("" for none), meaning."""
    return [(f"~{each.name}", each.argument, each.meaning) for each in OPERATORS]
