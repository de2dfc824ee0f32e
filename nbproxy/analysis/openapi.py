"""An OpenAPI 3.1 document of what was seen: paths, parameters, bodies, answers, credentials.

It is a beginning that people go on with: it says what was, not what may be. No value of a body gets
in, of parameters only those that are no secrets by name, by looks, and by what was seen elsewhere.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from nbproxy.analysis import grouping, yaml
from nbproxy.analysis.json_schema import Shape
from nbproxy.analysis.samples import (
    NotJSON,
    content_of,
    evenly,
    flows_at,
    json_of,
    media_type,
    members_of,
    per_group,
)
from nbproxy.analysis.security import Credentials, is_credential
from nbproxy.analysis.shown import path_text
from nbproxy.analysis.templates import names, parameters
from nbproxy.analysis.values import Values
from nbproxy.model import forms, url
from nbproxy.model.reasons import REASONS

if TYPE_CHECKING:
    import os

    import numpy.typing as npt
    import pandas as pd

    from nbproxy.analysis.contract import FlowsLike
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Message

METHODS: Final = ("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE")
"""The methods that OpenAPI 3.1 can describe."""

_MAX_PATHS: Final = 2000  # different paths of an endpoint whose parameters are looked at
_MAX_MEDIA_TYPES: Final = 10
_MAX_ALTERNATIVES: Final = 6
_MEDIA_RE = re.compile(r"[a-z0-9!#$&^_.+-]{1,100}/[a-z0-9!#$&^_.+-]{1,100}")
_NAMES_RE = re.compile(r"\{[a-z0-9_]+\}")
_WORD_RE = re.compile(r"[A-Za-z0-9]+")
_FORM: Final = "application/x-www-form-urlencoded"


class OpenAPI(dict[str, Any]):
    """An OpenAPI document: a dict, with ways to write it."""

    def to_json(self, *, indent: int | None = 2) -> str:
        """The document as JSON."""
        return json.dumps(self, indent=indent, ensure_ascii=False)

    def to_yaml(self) -> str:
        """The document as YAML 1.2."""
        return yaml.dump(dict(self))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file: YAML if its name ends in `.yaml` or `.yml`, JSON if in `.json`.

        Raises:
            ValueError: It ends otherwise.
            OSError: It cannot be written.
        """
        target = Path(path)
        match target.suffix.lower():
            case ".json":
                text = self.to_json() + "\n"
            case ".yaml" | ".yml":
                text = self.to_yaml()
            case _:
                raise ValueError(f"the name {target.name!r} ends in neither .json, .yaml nor .yml")
        target.write_text(text, encoding="utf-8", errors="replace")

    def _repr_json_(self) -> dict[str, Any]:
        """JupyterLab shows it as a tree that folds."""
        return dict(self)

    def __repr__(self) -> str:
        paths = self.get("paths", {})
        operations = sum(method.upper() in METHODS for item in paths.values() for method in item)
        title = self.get("info", {}).get("title", "")
        return (
            f"<OpenAPI {self.get('openapi', '')} {title!r}: {len(paths)} paths, "
            f"{operations} operations; .to_yaml(), .to_json(), .save('api.yaml')>"
        )


def openapi(flows: FlowsLike, title: str | None, version: str, samples: int) -> OpenAPI:
    """The document; see `nbproxy.analysis.methods.Analysis.to_openapi`."""
    df = flows.df
    grouped = grouping.by_endpoint(df)
    groups = len(grouped.endpoints)
    credentials = Credentials()
    operations: dict[tuple[str, str], _Operation] = {}
    origins: dict[str, None] = {}
    templates: dict[str, str] = {}
    each = per_group(samples, groups)
    ids = df.index.to_numpy()
    by_count = sorted(enumerate(members_of(grouped.codes, groups)), key=lambda item: -len(item[1]))
    for group, rows in by_count:
        endpoint = grouped.endpoints[group]
        if endpoint.method not in METHODS or not endpoint.template.startswith("/"):
            continue
        origin = url.unparse(endpoint.scheme, endpoint.host, endpoint.port, "")
        origins[origin] = None
        # "/a/{id}" and "/a/{slug}" of two origins are one path to OpenAPI
        blank = _NAMES_RE.sub("{}", endpoint.template)
        template = templates.setdefault(blank, endpoint.template)
        operation = operations.get((template, endpoint.method))
        if operation is None:
            operation = operations[template, endpoint.method] = _Operation(template, credentials)
        operation.origins[origin] = None
        operation.take_paths(df["path"].iloc[evenly(rows, _MAX_PATHS)])
        for flow in flows_at(flows, ids[_chosen(df, rows, each)]):
            operation.take(flow)
    return _document(df, operations, origins, credentials, title, version)


def _chosen(df: pd.DataFrame, rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Some rows of each status."""
    status = df["status"].iloc[rows].to_numpy(dtype=np.float64, na_value=-1)
    parts = [evenly(rows[status == code], count) for code in np.unique(status)]
    return np.sort(np.concatenate(parts)) if parts else rows


class _Content:
    """Bodies in one place, by media type."""

    def __init__(self) -> None:
        self.shapes: dict[str, Shape | None] = {}

    def take(self, message: Message) -> None:
        """Take in a body, if there is one."""
        if not message.body_size:
            return
        media = media_type(message)
        if not _MEDIA_RE.fullmatch(media):
            media = "application/octet-stream"
        if media not in self.shapes and len(self.shapes) >= _MAX_MEDIA_TYPES:
            return
        shape = self.shapes.setdefault(media, None)
        for value in _parsed(message, media):
            if shape is None:
                shape = self.shapes[media] = Shape()
            shape.add(value)

    def describe(self) -> dict[str, Any]:
        """OpenAPI's media type objects."""
        return {media: _media_object(media, shape) for media, shape in sorted(self.shapes.items())}


def _parsed(message: Message, media: str) -> list[Any]:
    """What is in a body, as JSON has it; one value, or none if that is not known."""
    if media in {_FORM, "multipart/form-data"}:
        content = content_of(message)
        if content is None:
            return []
        try:
            return [_form(message.headers.get("content-type", ""), media, content)]
        except ValueError:
            return []
    if media.startswith("text/") and "json" not in media and media != "text/plain":
        return []
    try:
        return [json_of(message)]
    except NotJSON:
        return []


def _form(content_type: str, media: str, content: bytes) -> dict[str, str]:
    if media == _FORM:
        return dict(forms.parse_urlencoded(content))
    parts = forms.parse_parts(content_type, content)
    return {part.name: "" for part in parts if part.name}


def _media_object(media: str, shape: Shape | None) -> dict[str, Any]:
    if shape is not None and shape.count:
        return {"schema": shape.to_schema()}
    return {"schema": {"type": "string"}} if media.startswith("text/") else {}


class _Operation:
    """A method on a path.

    Attributes:
        origins: Where it was seen.
    """

    def __init__(self, template: str, credentials: Credentials) -> None:
        self.origins: dict[str, None] = {}
        self._template = template
        self._credentials = credentials
        self._path = {name: Values(name, is_path=True) for name in names(template)}
        self._query: dict[str, Values] = {}
        self._query_counts: defaultdict[str, int] = defaultdict(int)
        self._paths = 0
        self._requests = 0
        self._with_body = 0
        self._body = _Content()
        self._answers: dict[int, _Content] = {}
        self._alternatives: dict[frozenset[str], None] = {}

    def take_paths(self, paths: pd.Series[str]) -> None:
        """Take in whole paths: what stands in the places of parameters."""
        for path, count in paths.value_counts(sort=False).items():
            self._paths += int(count)
            text = str(path)
            for name, value in parameters(self._template, text.partition("?")[0]):
                self._path[name].add(url.unquote(value))
            pairs = url.query_pairs(text)[:100]
            known = set(grouping.query_names(text))
            here = dict.fromkeys(name for name, _ in pairs)
            for name in (name for name in here if name in known and not is_credential(name)):
                values = self._query.setdefault(name, Values(name))
                own = [value for other, value in pairs if other == name]
                values.is_list |= len(own) > 1
                self._query_counts[name] += int(count)
                for value in own:
                    values.add(value)

    def take(self, flow: HTTPFlow) -> None:
        """Take in a whole flow."""
        request, response = flow.request, flow.response
        self._requests += 1
        self._with_body += bool(request.body_size)
        self._body.take(request)
        used = self._credentials.of(flow)
        status = response.status_code if response is not None else None
        if used or status not in {401, 403, None}:  # who was refused does not show what is enough
            self._alternatives[used] = None
        if response is not None and isinstance(status, int) and 100 <= status <= 599:
            self._answers.setdefault(status, _Content()).take(response)

    def describe(self, identity: str) -> dict[str, Any]:
        """OpenAPI's operation object."""
        found: dict[str, Any] = {"operationId": identity}
        described = [*self._path_parameters(), *self._query_parameters()]
        if described:
            found["parameters"] = described
        body = self._body.describe()
        if body:
            found["requestBody"] = {"required": self._with_body == self._requests, "content": body}
        found["responses"] = {
            str(status): _answer(status, self._answers[status]) for status in sorted(self._answers)
        } or {"default": {"description": "No answer was seen."}}
        alternatives = list(self._alternatives)[:_MAX_ALTERNATIVES]
        if any(alternatives):
            found["security"] = [{name: [] for name in sorted(used)} for used in alternatives]
        return found

    def _path_parameters(self) -> list[dict[str, Any]]:
        return [self._parameter(values, "path", required=True) for values in self._path.values()]

    def _query_parameters(self) -> list[dict[str, Any]]:
        ordered = sorted(self._query.values(), key=lambda values: -self._query_counts[values.name])
        return [
            self._parameter(
                values, "query", required=self._query_counts[values.name] == self._paths
            )
            for values in ordered[:50]
        ]

    def _parameter(self, values: Values, place: str, *, required: bool) -> dict[str, Any]:
        found: dict[str, Any] = {"name": values.name, "in": place, "required": required}
        found["schema"] = values.schema()
        example = values.example(self._credentials.secrets)
        if example is not None:
            found["example"] = example
        return found


def _answer(status: int, content: _Content) -> dict[str, Any]:
    found: dict[str, Any] = {"description": REASONS.get(status, f"Status {status}")}
    described = content.describe()
    if described:
        found["content"] = described
    return found


def _document(
    df: pd.DataFrame,
    operations: dict[tuple[str, str], _Operation],
    origins: dict[str, None],
    credentials: Credentials,
    title: str | None,
    version: str,
) -> OpenAPI:
    paths: dict[str, dict[str, Any]] = {}
    taken: set[str] = set()
    for template, method in sorted(operations, key=lambda key: (key[0], METHODS.index(key[1]))):
        operation = operations[template, method]
        item = paths.setdefault(path_text(template), {})
        described = operation.describe(_identity(method, template, taken))
        if len(operation.origins) < len(origins):
            described["servers"] = [{"url": origin} for origin in operation.origins]
        item[method.lower()] = described
    hosts = list(dict.fromkeys(url.parse(f"{origin}/")[1] for origin in origins))
    many = f" and {len(hosts) - 1} more" if len(hosts) > 1 else ""
    document = OpenAPI(
        openapi="3.1.0",
        info={
            "title": title if title is not None else f"{hosts[0]}{many}" if hosts else "Nothing",
            "version": version,
            "description": f"Made by nbproxy of {len(df):,} recorded flows{_when(df)}.",
        },
        servers=[{"url": origin} for origin in origins],
        paths=paths,
    )
    if not origins:
        del document["servers"]
    if credentials.schemes:
        document["components"] = {"securitySchemes": dict(sorted(credentials.schemes.items()))}
    return document


def _when(df: pd.DataFrame) -> str:
    times = df["time"].dropna()
    if times.empty:
        return ""
    first, last = (f"{moment:%Y-%m-%d}" for moment in (times.min(), times.max()))
    return f" of {first}" if first == last else f" from {first} to {last}"


def _identity(method: str, template: str, taken: set[str]) -> str:
    """A name for an operation that no other one has: `get_users_by_id`."""
    words = [method.lower()]
    for segment in template.split("/"):
        inside = _NAMES_RE.search(segment)
        words += ["by", inside[0][1:-1]] if inside else _WORD_RE.findall(segment)
    base = name = "_".join(words)[:80] if len(words) > 1 else f"{words[0]}_root"
    number = 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    taken.add(name)
    return name
