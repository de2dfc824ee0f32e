"""Saved flows as live ones: `nbproxy.open(...)` gives `Flows`, `save` writes them.

Ties files to the store, neither of which knows the other: what is read gets a store of its own,
ids of this process, and so a frame, filters and slices. Large bodies go where large bodies of
live flows go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from nbproxy.errors import FormatError
from nbproxy.formats import read_files, save_flows
from nbproxy.model.masking import default_masker
from nbproxy.store.store import Store
from nbproxy.store.view import Flows

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from nbproxy.model.flow import HTTPFlow


def open(*paths: str | os.PathLike[str], strict: bool = False) -> Flows:  # noqa: A001 - its public name
    """The flows of files, in the order of the files and of the flows in them.

    Each is a mitmproxy file of any version since 0.11, or a HAR (plain or compressed); that is
    found out by looking inside. The id that a flow has in the file is
    `flow.metadata["original_id"]`. TCP, UDP and DNS flows are left out, with a warning that says
    how many.

    Args:
        *paths: Names of files, or patterns such as `captures/*.mitm`.
        strict: Raise if anything in a file cannot be read. Otherwise the flows before a damaged
            place are given, and a `UserWarning` names file and place.

    Raises:
        FormatError: A file is damaged, and `strict` is set or there is not one flow to give.
        OSError: A file is not there, or cannot be read.

    Example:
        >>> nbproxy.open("session.mitm").df.groupby("host").size()  # doctest: +SKIP
    """
    if not paths:
        raise TypeError("open() takes the name of at least one file")
    __tracebackhide__ = True  # IPython then shows the user's line, not ours
    store = Store()
    try:
        for flow in read_files(paths, strict=strict, stacklevel=3):
            store.opened(flow)
            store.closed(flow)
    except (FormatError, OSError) as error:
        raise error.with_traceback(None) from None
    return Flows(store)


def save(
    flows: Iterable[HTTPFlow],
    path: str | os.PathLike[str],
    format: str | None = None,  # noqa: A002 - the word for it
    *,
    secrets: Literal["keep", "mask"] = "keep",
) -> int:
    """Write flows to a file that is replaced at once, when all is written.

    Args:
        flows: Which; live ones are written as far as they have got.
        path: Where. Its end says the format: `.mitm` (mitmproxy 11 and later reads it), `.har`,
            `.curl.sh` (a shell script).
        format: "mitm", "har" or "curl", whatever the name.
        secrets: "mask" replaces credentials, cookies and tokens in a HAR; "keep" writes all.

    Returns:
        How many flows were written.

    Raises:
        ValueError: The format is not known.
        OSError: The file cannot be written.
    """
    if secrets not in {"keep", "mask"}:
        raise ValueError(f"secrets is 'keep' or 'mask', not {secrets!r}")
    masker = default_masker() if secrets == "mask" else None
    return save_flows(flows, path, format, masker=masker)


Flows.saver = staticmethod(save)
