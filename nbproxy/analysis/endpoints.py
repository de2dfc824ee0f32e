"""Endpoints: methods on path templates, how often they were asked, how they answered, in what form.

Counting is done on the columns of the frame, for all flows. Bodies are read of a few flows of each
endpoint, from the first to the last at equal distances.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nbproxy.analysis import grouping
from nbproxy.analysis.frames import MARK, Pictured, pictured
from nbproxy.analysis.json_schema import Shape, step
from nbproxy.analysis.samples import (
    NotJSON,
    evenly,
    flows_at,
    json_of,
    members_of,
    per_group,
)
from nbproxy.model.clean import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from nbproxy.analysis.contract import FlowsLike
    from nbproxy.model.message import Message

    Rows = npt.NDArray[np.int64]

_BOTH = ("request", "response")


class Endpoints(Pictured):
    """See `endpoints`."""

    _drawn = "endpoints"

    def fields(self) -> pd.DataFrame:
        """The fields of all JSON bodies, a row each.

        Returns:
            A DataFrame: `endpoint` (the index of the row here), `method`, `template`, `message`
            ("request" or "response"), `field` (a JSON path), `type`, `format`, `null_rate` (the
            part of the values that were null) and `presence` (the part of the objects that had
            the field).
        """
        rows: list[tuple[Any, ...]] = []
        for number, row in zip(self.index, self.to_dict("records"), strict=True):
            for message in _BOTH:
                schema = row[f"{message}_schema"]
                if isinstance(schema, dict):
                    where = (number, row["method"], row["template"], message)
                    fields = _fields(schema, "$", 1.0)
                    rows += [(*where, clean_text(path), *rest) for path, *rest in fields]
        names = ["endpoint", "method", "template", "message"]
        names += ["field", "type", "format", "null_rate", "presence"]
        made = pd.DataFrame(rows, columns=names)
        for name in ("method", "template", "message", "field", "type", "format"):
            made[name] = made[name].astype(grouping.TEXT)
        made.attrs.update(MARK)
        return made


def _fields(schema: dict[str, Any], path: str, presence: float) -> Iterator[tuple[Any, ...]]:
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    nulls = schema.get("x-null-rate", 1.0 if kinds == ["null"] else 0.0)
    names = " | ".join(kind for kind in kinds if kind != "null" or len(kinds) == 1)
    yield path, names, schema.get("format"), nulls, presence
    if schema.get("items"):
        yield from _fields(schema["items"], f"{path}[*]", 1.0)
    if "additionalProperties" in schema:
        yield from _fields(schema["additionalProperties"], f"{path}[*]", 1.0)
    for name, field in schema.get("properties", {}).items():
        yield from _fields(field, path + step(name), field.get("x-presence", 1.0))


def endpoints(flows: FlowsLike, samples: int) -> Endpoints:
    """The frame; see `nbproxy.analysis.methods.Analysis.endpoints`."""
    df = flows.df
    grouped = grouping.by_endpoint(df)
    codes, keys = grouped.codes, grouped.endpoints
    count = len(keys)
    total = grouping.counts(codes, count)
    shapes = read_shapes(flows, df, codes, count, samples)
    columns: dict[str, Any] = {
        "method": _text([key.method for key in keys]),
        "scheme": _text([key.scheme for key in keys]),
        "host": _text([key.host for key in keys]),
        "port": np.array([key.port for key in keys], dtype=np.int64),
        "template": _text([key.template for key in keys]),
        "count": total,
        **grouping.status_mix(codes, count, df["status"]),
        "failed": grouping.sums(codes, count, df["error"].notna()),
        **grouping.percentiles(codes, count, df["duration"]),
        "request_bytes": grouping.sums(codes, count, df["request_bytes"]),
        "response_bytes": grouping.sums(codes, count, df["response_bytes"]),
        "query": _text([", ".join(names) for names in grouping.query_columns(df, grouped)]),
    }
    for message in _BOTH:
        own = [shape if shape.count else None for shape in shapes[message]]
        columns[f"{message}_samples"] = np.array([s.count if s else 0 for s in own], dtype=np.int64)
        columns[f"{message}_schema"] = _objects([s.to_schema() if s else None for s in own])
    order = sorted(range(count), key=lambda i: (-int(total[i]), keys[i]))
    index = np.array(order, dtype=np.int64)
    made: Endpoints = pictured(Endpoints, {k: v[index] for k, v in columns.items()})
    return made


def read_shapes(
    flows: FlowsLike, df: pd.DataFrame, codes: Rows, groups: int, samples: int
) -> dict[str, list[Shape]]:
    """What the JSON bodies of each group are like: "request" and "response"."""
    shapes = {message: [Shape() for _ in range(groups)] for message in _BOTH}
    ids = df.index.to_numpy()
    each = per_group(samples, groups)
    wanted = {
        "request": members_of(np.where(df["request_bytes"] > 0, codes, -1), groups),
        "response": members_of(np.where(_may_be_json(df), codes, -1), groups),
    }
    good = _is_good(df)
    for group in range(groups):
        answers = wanted["response"][group]
        if good[answers].any():  # a page of an error is not what an endpoint answers
            answers = answers[good[answers]]
        for flow in flows_at(flows, ids[evenly(wanted["request"][group], each)]):
            _take(shapes["request"][group], flow.request)
        for flow in flows_at(flows, ids[evenly(answers, each)]):
            _take(shapes["response"][group], flow.response)
    return shapes


def _take(shape: Shape, message: Message | None) -> None:
    if message is None:
        return
    try:
        shape.add(json_of(message))
    except NotJSON:
        return


def _may_be_json(df: pd.DataFrame) -> npt.NDArray[np.bool_]:
    kinds = df["content_type"]
    named = kinds.str.contains("json", regex=False, na=False).to_numpy(dtype=np.bool_)
    vague = kinds.isna() | kinds.isin(["", "text/plain", "text/javascript"])
    sent: npt.NDArray[np.bool_] = (df["response_bytes"] > 0).to_numpy(dtype=np.bool_)
    return sent & (named | vague.to_numpy(dtype=np.bool_))


def _is_good(df: pd.DataFrame) -> npt.NDArray[np.bool_]:
    good: npt.NDArray[np.bool_] = (
        df["status"].between(200, 299).to_numpy(dtype=np.bool_, na_value=False)
    )
    return good


def _text(values: list[str]) -> Any:
    return pd.array(values, dtype=grouping.TEXT)


def _objects(values: list[Any]) -> npt.NDArray[np.object_]:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made
