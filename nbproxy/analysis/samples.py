"""Single flows out of many, and what their bodies say: as few as will do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from nbproxy.analysis.contract import FlowsLike
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Message

MAX_BODY: Final = 2 * 2**20
"""Bodies larger than this, in bytes as sent and decoded, are not read."""

MAX_SAMPLES: Final = 20_000
"""Flows that are looked at in all, but for one of each group."""

# What servers call JSON that call it nothing better.
_PERHAPS_JSON: Final = frozenset({"", "text/plain", "text/javascript", "text/html"})


class NotJSON(ValueError):  # noqa: N818 - says what it is
    """A body that is not JSON, or too large to be read."""


def evenly(members: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """So many of the members, from the first to the last at equal distances; all if fewer."""
    if len(members) <= count:
        return members
    positions = np.unique(np.linspace(0, len(members) - 1, count).round().astype(np.int64))
    chosen: npt.NDArray[np.int64] = members[positions]
    return chosen


def per_group(samples: int, groups: int) -> int:
    """How many samples of each group keep all samples within bounds."""
    return max(1, min(samples, MAX_SAMPLES // max(1, groups)))


def members_of(codes: npt.NDArray[np.int64], groups: int) -> list[npt.NDArray[np.int64]]:
    """The rows of each group, ascending.

    Args:
        codes: The group of each row; rows with -1 are in none.
        groups: How many groups there are.
    """
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(groups + 1))
    return [order[ends[i] : ends[i + 1]] for i in range(groups)]


def flows_at(flows: FlowsLike, ids: Sequence[int] | npt.NDArray[Any]) -> Iterator[HTTPFlow]:
    """The flows with these ids, but for those that are gone meanwhile."""
    for number in ids:
        try:
            yield flows.by_id(int(number))
        except KeyError:
            continue


def media_type(message: Message) -> str:
    """The media type of a message's body, lower-case, without parameters; "" if it names none."""
    return message.headers.get("content-type", "").partition(";")[0].strip().lower()[:200]


def content_of(message: Message) -> bytes | None:
    """The body without its content coding; None if there is none, or too much of it."""
    if not 0 < message.body_size <= MAX_BODY:
        return None
    try:
        content = message.get_content(strict=True)
    except (ValueError, OSError):  # damaged, or a bomb; or its file is gone
        return None
    return content if content and len(content) <= MAX_BODY else None


def json_of(message: Message) -> Any:
    """The body as JSON.

    Raises:
        NotJSON: It is none.
    """
    media = media_type(message)
    named = "json" in media
    if not named and media not in _PERHAPS_JSON:
        raise NotJSON(media)
    content = content_of(message)
    if content is None or (not named and content.lstrip()[:1] not in (b"{", b"[")):
        raise NotJSON(media)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NotJSON(media) from error
