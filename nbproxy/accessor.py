"""`df.flow`: from rows of a frame back to the flows they are of.

An accessor of pandas: it is there on every DataFrame once nbproxy has made one, and works on any
that still has the ids of flows, after `query`, `groupby`, `merge`, `sample`: as its index, as a
level of it named `id`, or in a column `id` (or `flow`). Ids are unique in a process, so rows of
several captures may stand in one frame.
"""

from __future__ import annotations

import json
import re
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd

from nbproxy.filters import parse
from nbproxy.filters.filter import Filter
from nbproxy.filters.frame import _Frame as ColumnsOf  # how `mask` there reads a frame
from nbproxy.filters.jsonpath import follow, parse_path
from nbproxy.filters.judging import NO, UNDECIDED, YES, Judge
from nbproxy.model.clean import clean_text
from nbproxy.store.frame import MARK
from nbproxy.store.schema import INDEX
from nbproxy.store.view import Flows

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Message
    from nbproxy.store.store import Store

Of = Literal["request", "response"]

_RECENT: Final = 16
_MANY: Final = 2000
"""So many flows to ask about at once are asked by their capture's columns first."""

_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""An escape in a JSON string; its group is half of a character: no column of text can hold it."""

_known: weakref.WeakSet[Store] = weakref.WeakSet()
_recent: deque[Store] = deque(maxlen=_RECENT)  # `nbproxy.open(...).df` leaves nobody else


def remember(store: Store, *, keep: bool = False) -> None:
    """A frame of this store's flows was given out: its ids may be asked for.

    Args:
        store: Which.
        keep: Whether it is kept for a while even if nobody else does.
    """
    _known.add(store)
    if keep and store not in _recent:
        _recent.append(store)


class FlowError(KeyError):
    """Rows that are of no flow, or of one that is gone."""

    def __str__(self) -> str:
        return str(self.args[0])


@pd.api.extensions.register_dataframe_accessor("flow")
class FlowAccessor:
    """What can be done with the flows that a frame's rows are of.

    Results are in the order of the rows, with their index, so that they can be assigned:
    `df["body"] = df.flow.text()`.

    Args:
        df: Any frame with ids of flows.

    Raises:
        AttributeError: It has none. (pandas wants this error from an accessor.)

    Example:
        >>> slow = nbproxy.df.query("duration > 1").flow.save("slow.har")  # doctest: +SKIP
    """

    def __init__(self, df: pd.DataFrame) -> None:
        self._df = df
        self._ids = _ids_of(df)

    @property
    def ids(self) -> list[int]:
        """The ids of the flows, one for each row."""
        return self._ids

    @property
    def objects(self) -> list[HTTPFlow]:
        """The flows, one for each row; the same flow twice is the same object.

        All are in memory as long as you keep the list. To go through many, use `iter`.

        Raises:
            FlowError: Some are gone: removed, or of a file that is not open any more.
        """
        return list(self)

    def __iter__(self) -> Iterator[HTTPFlow]:
        """The flows one by one, read from disk some hundred at a time."""
        ids = self._ids
        for start in range(0, len(ids), 256):
            some = ids[start : start + 256]
            found = _fetch(some)
            missing = [number for number in some if number not in found]
            if missing:
                raise FlowError(_gone(missing))
            for number in some:
                yield found[number]

    def __len__(self) -> int:
        return len(self._ids)

    def __repr__(self) -> str:
        return f"<flow accessor: {len(self._ids)} rows of flows>"

    @property
    def flows(self) -> Flows:
        """The flows as `Flows`, each once, in the order of ids: `filter`, `save`, `endpoints`, ...

        Raises:
            FlowError: They are of several captures, or gone.
        """
        ids = sorted(set(self._ids))
        for store in _stores():
            if all(number in store for number in ids):
                return Flows(store).of(ids)
        missing = [number for number in ids if not any(number in store for store in _stores())]
        raise FlowError(
            _gone(missing)
            if missing
            else "these rows are of flows of several captures; take those of one at a time"
        )

    # -- bodies

    def bodies(self, of: Of = "response") -> pd.Series[Any]:
        """The bodies, without their content coding: bytes; None where there is none.

        A body whose coding is broken is given as sent.

        Args:
            of: "response" or "request".
        """
        return self._each(of, lambda message: message.get_content(strict=False))

    def text(self, of: Of = "response") -> pd.Series[Any]:
        """The bodies as text, by their charset; missing where there is none.

        What is no text there, in a picture say, is U+FFFD, which a column of text can hold;
        `bodies` has the bytes.

        Args:
            of: "response" or "request".
        """
        values = self._each(of, lambda message: clean_text(message.get_text(strict=False)))
        return values.astype("str") if len(values) and values.notna().all() else values

    def json(self, path: str | None = None, of: Of = "response") -> pd.DataFrame | pd.Series[Any]:
        """JSON bodies as columns or rows.

        Args:
            path: Where in the document, `$.user.name` or `$.items[*]` (see `~json`). Without it a
                row for each row here, nested names joined by dots. With one that names one place:
                a Series of what is there. With `[*]` in it: a row for each match, under the flow's
                id; members of objects are columns, other matches a column `value`.
            of: "response" or "request".

        Returns:
            Missing values where a body is missing, no JSON, or has nothing at that place. Whole
            numbers beside missing ones are `Int64`: as floats long ids would not be what they were.

        Raises:
            ValueError: There is no such path; the message says what was expected.
        """
        documents = [_document(_message(flow, of)) for flow in self]
        if path is None:
            return self._table(documents, self._df.index)
        steps, pattern = parse_path(path)
        if pattern is not None:
            raise ValueError("a path here has no pattern: `=` is for filters")
        found = [[] if each is None else list(follow(each, steps)) for each in documents]
        if None not in steps:
            values = [matches[0] if matches else None for matches in found]
            series = pd.Series(values, index=self._df.index, dtype=object).infer_objects()
            return _exact(series, values).rename(path)
        flat = [match for matches in found for match in matches]
        index = self._df.index.repeat([len(matches) for matches in found])
        return self._table(flat, index)

    def _table(self, values: list[Any], index: pd.Index) -> pd.DataFrame:
        """Values as rows: members of objects as columns, others in a column `value`."""
        rows = [v if isinstance(v, dict) else {} if v is None else {"value": v} for v in values]
        flat = [_flat(row) for row in rows]
        frame = pd.DataFrame(flat)
        frame.index = index
        for name in frame.columns.tolist():
            if frame[name].dtype == "float64":
                frame[name] = _exact(frame[name], [row.get(name) for row in flat])
        return _marked(frame)

    # -- heads

    def headers(self, *names: str, of: Of = "response") -> pd.DataFrame:
        """Header fields as columns; without names, a row for each field of each flow.

        Args:
            *names: Names of fields, in any case. Values of repeated fields are joined by ", ";
                missing where there is none.
            of: "response" or "request".

        Returns:
            A frame with these columns, or with `name` and `value`, and the index of the rows.
        """
        index = self._df.index
        if names:
            columns: dict[str, list[str | None]] = {name: [] for name in names}
            for flow in self:
                message = _message(flow, of)
                for name, values in columns.items():
                    value = None if message is None else message.headers.get(name)
                    values.append(clean_text(value))
            return _marked(pd.DataFrame(columns, index=index))
        counts, pairs = [], []
        for flow in self:
            message = _message(flow, of)
            fields = [] if message is None else list(message.headers.items(multi=True))
            counts.append(len(fields))
            pairs += [(clean_text(name), clean_text(value)) for name, value in fields]
        frame = pd.DataFrame(pairs, columns=["name", "value"], index=index.repeat(counts))
        return _marked(frame)

    # -- filters, files, traffic

    def mask(self, expression: str | Filter) -> pd.Series[bool]:
        """Which rows a filter expression accepts: `df[df.flow.mask("~u api & ~bs error")]`.

        What these columns say is taken from them, then what those of the captures say, which are
        more, if many rows are left; flows are read for the rest.

        Raises:
            FilterError: The expression does not parse.
            FlowError: A flow that must be asked is gone.
        """
        wanted = parse(expression) if isinstance(expression, str) else expression
        judge = Judge(wanted)
        verdicts = judge(ColumnsOf(self._df))
        undecided = np.flatnonzero(verdicts == UNDECIDED)
        if len(undecided):
            at_now = Filter(wanted.tree, clock=lambda: judge.now)
            rows = undecided.tolist()
            accepted = _accepted(at_now, {self._ids[row] for row in rows})
            verdicts[undecided] = [YES if self._ids[row] in accepted else NO for row in rows]
        return pd.Series(verdicts == YES, index=self._df.index, dtype=bool)

    def save(self, path: str | os.PathLike[str], *args: Any, **kwargs: Any) -> int:
        """Write the flows to a file, each once; as `Flows.save`."""
        if Flows.saver is None:
            raise RuntimeError("nothing has said how flows are saved: import nbproxy.saved")
        ids = dict.fromkeys(self._ids)
        return Flows.saver(_Each(list(ids)), path, *args, **kwargs)

    def replay(self, **how: Any) -> Any:
        """Send the requests again, by the proxy; as `Flows.replay`."""
        return self.flows.replay(**how)

    def run(self, script: Any, **how: Any) -> Any:
        """Run a script over the flows, which stay as they are; as `Flows.run`."""
        return self.flows.run(script, **how)

    def _each(self, of: Of, value: Callable[[Message], Any]) -> pd.Series[Any]:
        messages = (_message(flow, of) for flow in self)
        values = [None if message is None else value(message) for message in messages]
        return pd.Series(values, index=self._df.index, dtype=object)


class _Each:
    """Flows by their ids, one by one; their number is known."""

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[HTTPFlow]:
        return iter(FlowAccessor(_rows_of(self._ids)))


def _ids_of(df: pd.DataFrame) -> list[int]:
    """The flows' ids in a frame."""
    if "file" in df.columns:
        raise AttributeError(
            "these rows are of files that nbproxy.scan has read, and their flows are not here: "
            "nbproxy.open(file) one of them, and take its df"
        )
    values: Any
    if INDEX in df.index.names:
        values = df.index.get_level_values(INDEX)
    elif INDEX in df.columns:
        values = df[INDEX]
    elif "flow" in df.columns:
        values = df["flow"]
    else:
        raise AttributeError(
            "these rows are not known to be of flows: the ids of flows are looked for in the index "
            "(named 'id'), or in a column 'id' or 'flow'. After a merge keep them by "
            "df.reset_index().merge(...)"
        )
    missing = int(pd.isna(values).sum())
    if missing:
        raise AttributeError(
            f"{missing} of {len(df)} rows have no id of a flow, as after an outer merge: leave "
            f"them out, df[df[{values.name!r}].notna()]"
        )
    kind = pd.api.types.infer_dtype(values)
    ids = [int(value) for value in values] if kind in {"integer", "floating", "empty"} else []
    if ids != list(values):  # those that were floats for a while, beside missing ones, are good
        raise AttributeError(f"the ids of flows are whole numbers; {values.name!r} here is {kind}")
    return ids


def _rows_of(ids: Sequence[int]) -> pd.DataFrame:
    """A frame of nothing but ids."""
    return pd.DataFrame(index=pd.Index(np.asarray(ids, "int64"), name=INDEX))


def _stores() -> list[Store]:
    return list(_known)


def _fetch(ids: Sequence[int]) -> dict[int, HTTPFlow]:
    """The flows with these ids that are somewhere here."""
    found: dict[int, HTTPFlow] = {}
    for store in _stores():
        rest = [number for number in ids if number not in found and number in store]
        pairs = zip(rest, store.get_all(rest), strict=True) if rest else ()
        found.update((number, flow) for number, flow in pairs if flow is not None)
    return found


def _accepted(wanted: Filter, ids: set[int]) -> set[int]:
    """Those of the flows with these ids that a filter accepts, by columns as far as they say."""
    accepted: set[int] = set()
    rest = sorted(ids)
    for store in _stores():
        here = [number for number in rest if number in store]
        if len(here) < _MANY:
            continue
        with store.lock:
            numbers, verdicts = store.frame().judge(wanted, here)
        accepted.update(numbers[verdicts == YES].tolist())
        decided = set(numbers[verdicts != UNDECIDED].tolist())
        rest = [number for number in rest if number not in decided]
    for flow in FlowAccessor(_rows_of(rest)):
        if wanted(flow):
            accepted.add(flow.id)
    return accepted


def _gone(missing: Sequence[int]) -> str:
    shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
    return (
        f"{len(missing)} of these rows are of flows that are not here (ids {shown}): they were "
        "removed, or their file is not open; nbproxy.open(...) it and take its df"
    )


def _message(flow: HTTPFlow, of: Of) -> Message | None:
    if of == "response":
        return flow.response
    if of == "request":
        return flow.request
    raise ValueError(f"of={of!r}: it is 'request' or 'response'")


def _document(message: Message | None) -> Any:
    """The JSON document in a body; None if it is none."""
    content = None if message is None else message.get_content(strict=False)
    if not content:
        return None
    try:
        # as `json.loads` does with bytes
        text = clean_text(content.decode(json.detect_encoding(content), "surrogatepass")) or ""
        return json.loads(_ESCAPE.sub(_whole, text) if _HALF.search(text) else text)
    except (ValueError, RecursionError):
        return None


def _whole(escape: re.Match[str]) -> str:
    return r"\ufffd" if escape[1] else escape[0]


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    """A JSON object without objects in it: nested names joined by dots. It may be very deep."""
    flat: dict[str, Any] = {}
    open_ = [("", iter(document.items()))]
    while open_:
        prefix, members = open_[-1]
        for name, value in members:
            if isinstance(value, dict):
                open_.append((f"{prefix}{name}.", iter(value.items())))
                break
            flat[prefix + name] = value
        else:
            open_.pop()
    return flat


def _exact(series: pd.Series[Any], values: list[Any]) -> pd.Series[Any]:
    """Whole numbers that pandas has made floats, since some are missing, as they were."""
    present = [value for value in values if value is not None]
    if series.dtype != "float64" or not all(type(value) is int for value in present) or not present:
        return series
    fits = all(-(2**63) <= value < 2**63 for value in present)
    return pd.Series(values, index=series.index, dtype="Int64" if fits else object)


def _marked(frame: pd.DataFrame) -> pd.DataFrame:
    frame.attrs.update(MARK)
    return frame
