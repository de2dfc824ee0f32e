"""Saved flows as live ones: `nbproxy.open(...)` gives `Flows`, `save` writes them.

Ties files to the store, neither of which knows the other: what is read gets a store of its own,
ids of this process, and so a frame, filters and slices. A capture is read where it lies, also while
another process records to it; of other files a few thousand flows are kept in memory, and more go
to a private capture.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from nbproxy.errors import FormatError
from nbproxy.formats import SUFFIXES, find, read_files, save_flows
from nbproxy.model.masking import default_masker
from nbproxy.scripts.progress import progress
from nbproxy.store import captures
from nbproxy.store.saved_file import is_capture
from nbproxy.store.session import Reader, write_capture
from nbproxy.store.store import IN_MEMORY, Store
from nbproxy.store.view import Flows

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.store.captures import Captures

#: The end of a capture's name, and the name of its format.
CAPTURE = "nbproxy"

_SUFFIXES: Final = {f".{CAPTURE}": CAPTURE, **SUFFIXES}
_FORMATS: Final = tuple(dict.fromkeys(_SUFFIXES.values()))


def open(*paths: str | os.PathLike[str], strict: bool = False) -> Flows:  # noqa: A001 - its public name
    """The flows of files, in the order of the files and of the flows in them.

    Each is a capture of ours (`.nbproxy`), a mitmproxy file of any version since 0.8, or a HAR
    (plain or compressed); that is found out by looking inside. A capture may be one that another
    process is recording to: the flows are those that are in it now. The id that a flow has in a
    mitmproxy file is `flow.metadata["original_id"]`. TCP, UDP and DNS flows are left out, with a
    warning that says how many.

    Args:
        *paths: Names of files, or patterns such as `captures/*.mitm`.
        strict: Raise if anything in a file cannot be read. Otherwise the flows before a damaged
            place are given, and a `UserWarning` names file and place.

    Raises:
        FormatError: A file is damaged, and `strict` is set or there is not one flow to give; or a
            capture was written by a newer version.
        OSError: A file is not there, or cannot be read.

    Example:
        >>> nbproxy.open("session.mitm").df.groupby("host").size()  # doctest: +SKIP
    """
    if not paths:
        raise TypeError("open() takes the name of at least one file")
    __tracebackhide__ = True  # IPython then shows the user's line, not ours
    try:
        files = find(paths)
        if len(files) == 1 and is_capture(files[0]):
            reader = Reader(files[0])
            return Flows(Store.over(reader, reader.ids()))
        store = Store(in_memory=IN_MEMORY)
        for flow in _read(files, strict=strict):
            store.opened(flow)
            store.closed(flow)
    except (FormatError, OSError) as error:
        raise error.with_traceback(None) from None
    return Flows(store)


def _read(files: list[Path], *, strict: bool) -> Iterator[HTTPFlow]:
    """The flows of several files, of ours and of others."""
    others: list[Path] = []
    for path in files:
        if not is_capture(path):
            others.append(path)
            continue
        if others:
            yield from read_files(others, strict=strict, stacklevel=4)
            others = []
        reader = Reader(path)
        yield from Store.over(reader, reader.ids()).each(reader.ids())
    if others:
        yield from read_files(others, strict=strict, stacklevel=4)


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
        path: Where. Its end says the format: `.nbproxy` (a capture: SQLite), `.mitm` (mitmproxy 11
            and later reads it), `.har`, `.curl.sh` (a shell script).
        format: "nbproxy", "mitm", "har" or "curl", whatever the name.
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
    kind = _format_of(path) if format is None else format
    if kind not in _FORMATS:
        raise ValueError(f"{kind!r} is not a format to write: {_named()}")
    if isinstance(flows, Flows):
        flows = progress(flows, "flows")
    if kind == CAPTURE:
        if masker is not None:
            raise ValueError("secrets can be masked in a HAR only")
        return write_capture(flows, Path(path).expanduser())
    return save_flows(flows, path, kind, masker=masker)


def _format_of(path: str | os.PathLike[str]) -> str:
    """The format that a file's name asks for."""
    name = Path(path).name
    for suffix, kind in _SUFFIXES.items():
        if name.lower().endswith(suffix):
            return kind
    raise ValueError(
        f"{name!r} does not say in which format to write: it should end with one of "
        f"{', '.join(_SUFFIXES)}; or name it: format={_named()}"
    )


def _named() -> str:
    *some, last = map(repr, _FORMATS)
    return f"{', '.join(some)} or {last}"


def recover(directory: str | os.PathLike[str] | None = None) -> Captures:
    """Captures that kernels and programs have left behind which ended without closing them.

    Args:
        directory: The folder of private captures; by default that in the user's state folder.

    Returns:
        A sequence, the newest first: `recover()[0].open()` gives its flows, `.save(path)` keeps it,
        `.delete()` removes it.
    """
    return captures.recover(None if directory is None else Path(directory).expanduser())


def _open_capture(path: Path) -> Any:
    return open(path)


captures.Capture.opener = staticmethod(_open_capture)
Flows.saver = staticmethod(save)
