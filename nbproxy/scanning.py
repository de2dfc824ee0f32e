"""`nbproxy.scan`: many captures as one Dask DataFrame, and scripts over all of them.

Dask knows nothing of flows: it is given functions that read a part of a capture, or run a script
over one, and runs them wherever the user's scheduler says: in threads, processes, on a cluster.
Everything that goes there can be pickled, and a worker opens the files by itself; so it has to see
them under the same names.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import pickle
import shlex
import sys
import tempfile
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from nbproxy import hooks, offline, saved
from nbproxy.analysis.extras import load
from nbproxy.datasets.parts import PART_ROWS, Part, Source, Where, parts_of
from nbproxy.errors import FormatError, ScriptError
from nbproxy.model.escape import visible
from nbproxy.proxy import Proxy
from nbproxy.scripts import arguments
from nbproxy.store.changes import Change, Changed, frame_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pandas as pd

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.scripts.manager import Loadable

    Row = tuple[str, int, str, Any, Any]

Format = Literal["nbproxy", "mitm", "har"]

_FORMATS: Final = ("nbproxy", "mitm", "har")
_SHOWN: Final = 20_000  # characters of a traceback
_TOLD: Final = 3  # failures that are shown, of those that differ
_PLAIN: Final = (str, bytes, int, float, bool, type(None))

#: Scripts of one process run one after the other: Python code is not faster in threads, and
#: scripts of old may touch what belongs to the process.
_turn = threading.Lock()


def scan(
    paths: Source | Iterable[Source],
    *,
    hosts: str | Iterable[str] | None = None,
    dates: str | dt.date | tuple[Any, Any] | None = None,
    strict: bool = False,
    rows: int = PART_ROWS,
    storage_options: Mapping[str, Any] | None = None,
) -> Scan:
    """Many captures as one Dask DataFrame: `pip install 'nbproxy[dask]'`.

    The columns and dtypes are those of `nbproxy.df`, those of your own that a dataset was written
    with (missing in other files), and `file`. The index, `id`, is the
    number of the flow in its file: the key of its row in a capture and in a dataset, its place,
    counted from 0, in others. It is no id of this process, so `df.flow` does not take it.

    Of a damaged file there are the flows before the damage, and a `UserWarning` when it is read.

    Args:
        paths: Captures (`.nbproxy`), files of mitmproxy, HAR, Parquet (a folder that
            `flows.to_parquet` made, or a URL of one): names, patterns, or several of them. What a
            file is stands in it.
        hosts: Flows to these hosts only. Folders of others are not read in a dataset.
        dates: Flows that began on this day, in UTC, or from one day to another: both ends are
            in it, None is open. "2026-11-21" or `datetime.date`. As for `hosts`.
        strict: Raise for damage instead of warning.
        rows: How many rows of a capture make a partition. Other files are one each; of a dataset
            small files are put together.
        storage_options: For fsspec, if there are URLs.

    Raises:
        ImportError: Dask is not installed; or for a URL, fsspec.
        FormatError: There is nothing but what cannot be used; with `strict`, anything of that.
        OSError: A file is not there, or cannot be read.

    Example:
        >>> week = nbproxy.scan("captures/*.nbproxy")  # doctest: +SKIP
        >>> week.groupby("host").size().compute()  # doctest: +SKIP
        >>> week.run("strip.py Cookie", out="stripped")  # doctest: +SKIP
    """
    __tracebackhide__ = True
    frames = load("dask.dataframe", "dask", "nbproxy.scan")
    from nbproxy.datasets.reading import empty_frame, frame_of_part  # noqa: PLC0415 - with pandas

    if rows < 1:
        raise ValueError(f"rows is 1 or more, not {rows!r}")
    where = Where(_names(hosts), *_days(dates))
    try:
        parts = parts_of(
            paths,
            where=where,
            strict=strict,
            rows=rows,
            options=storage_options or {},
        )
    except (FormatError, OSError) as error:
        raise error.with_traceback(None) from None
    own = parts[0].own if parts else {}
    # our text has the dtype that `df` has, whatever Dask would make of it
    with load("dask", "dask", "nbproxy.scan").config.set({"dataframe.convert-string": False}):
        ddf = frames.from_map(frame_of_part, parts, meta=empty_frame(own), label="nbproxy-scan")
    return Scan(ddf, parts)


def _names(hosts: str | Iterable[str] | None) -> frozenset[str] | None:
    if hosts is None:
        return None
    return frozenset([hosts] if isinstance(hosts, str) else hosts)


def _days(dates: Any) -> tuple[dt.date | None, dt.date | None]:
    first, last = dates if isinstance(dates, tuple | list) else (dates, dates)
    return _day(first), _day(last)


def _day(given: Any) -> dt.date | None:
    if given is None or type(given) is dt.date:
        return given
    try:
        return dt.date.fromisoformat(given)
    except (TypeError, ValueError):
        raise ValueError(f"dates takes days such as '2026-11-21', not {given!r}") from None


class Scan:
    """A Dask DataFrame over captures, which can run scripts; `nbproxy.scan` makes it.

    It has all that the DataFrame has; what comes of that are Dask's own objects.

    Attributes:
        ddf: The Dask DataFrame itself.
        parts: What each partition is read from.
    """

    def __init__(self, ddf: Any, parts: list[Part]) -> None:
        self.ddf = ddf
        self.parts = tuple(parts)

    @property
    def files(self) -> list[str]:
        """The files it reads, each once."""
        return list(dict.fromkeys(file for part in self.parts for file in part.files))

    @property
    def npartitions(self) -> int:
        """How many partitions there are."""
        return len(self.parts)

    def run(
        self,
        script: Any,
        *,
        out: str | os.PathLike[str] | None = None,
        era: str | float | None = None,
        format: Format = "nbproxy",  # noqa: A002 - the word for it
        hook: str | None = None,
    ) -> pd.DataFrame:
        """Run a script or a handler over all flows, on the scheduler that Dask uses here.

        Each partition is a run of its own: the script is loaded anew, `start` and `done` (and all
        it remembers) are of this partition. Files stay as they are. In one process partitions
        come one after the other; a cluster of processes is what makes it faster. What fails in the
        script is shown once, and counted in a warning.

        Args:
            script: A path with arguments ("script.py --all x"), an addon (an object, or a class),
                or a handler: a function of a flow.
            out: A new or empty folder: the flows as the script left them, one file a partition.
            era: The release the script was written for; by default it is recognised.
            format: Of the files there: "nbproxy", "mitm" or "har".
            hook: For a handler, when it is called; by default the hook it is named like, else
                "response".

        Returns:
            A pandas DataFrame, a row for each field that was changed: `file flow field before
            after`, where `flow` is the number in the file.

        Raises:
            ScriptError: It cannot be loaded.
            FileExistsError: There is something in `out`.
            ValueError: There is no such format, hook or era.
            TypeError: It is neither a path, nor a handler, nor an addon.
        """
        __tracebackhide__ = True
        if format not in _FORMATS:
            raise ValueError(f"format is 'nbproxy', 'mitm' or 'har', not {format!r}")
        job = Job(_packed(script, hook), era, _empty_folder(out), format)
        dask = load("dask", "dask", "nbproxy.scan")
        one = dask.delayed(run_part, pure=False)
        (done,) = dask.compute([one(number, part, job) for number, part in enumerate(self.parts)])
        _report(done)
        return _joined([result.changes for result in done])

    # -- as the Dask DataFrame

    def compute(self, **kwargs: Any) -> pd.DataFrame:
        """All rows as a pandas DataFrame; the arguments are Dask's."""
        frame: pd.DataFrame = self.ddf.compute(**kwargs)
        return frame

    def __getattr__(self, name: str) -> Any:
        if name in {"ddf", "parts"} or (name.startswith("_") and name not in _OF_DASK):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.ddf, name)

    def __getitem__(self, key: Any) -> Any:
        return self.ddf[key]

    def __len__(self) -> int:
        return len(self.ddf)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self.ddf)})

    def __repr__(self) -> str:
        files, parts = len(self.files), self.npartitions
        return (
            f"<Scan: {files} file{'' if files == 1 else 's'}, "
            f"{parts} partition{'' if parts == 1 else 's'}>"
        )

    def __dask_graph__(self) -> Any:
        return self.ddf.__dask_graph__()

    def __dask_keys__(self) -> Any:
        return self.ddf.__dask_keys__()

    def __dask_postcompute__(self) -> Any:
        return self.ddf.__dask_postcompute__()

    def __dask_postpersist__(self) -> Any:
        return self.ddf.__dask_postpersist__()

    def __dask_tokenize__(self) -> Any:
        return self.ddf.__dask_tokenize__()


# what Dask asks besides the methods above
_OF_DASK: Final = frozenset(
    {"__dask_layers__", "__dask_optimize__", "__dask_scheduler__", "_repr_html_", "_meta"}
)


# -- running; what follows is done by workers


@dataclass(frozen=True)
class Job:
    """What is to be done with each part.

    Attributes:
        script: What is run.
        era: The release it was written for, if that was said.
        out: Folder of results.
        format: Their format.
    """

    script: File | Handler | Addon
    era: str | float | None
    out: str | None
    format: str


@dataclass(frozen=True)
class File:
    """A script. Its text goes along, for workers that do not see the file."""

    path: str
    argv: tuple[str, ...]
    text: bytes

    @contextlib.contextmanager
    def loadable(self) -> Iterator[Loadable]:
        """What `Scripts.load` takes."""
        if Path(self.path).is_file():
            yield shlex.join([self.path, *self.argv])
            return
        with tempfile.TemporaryDirectory(prefix="nbproxy-") as folder:
            path = Path(folder, Path(self.path).name)
            path.write_bytes(self.text)
            yield shlex.join([str(path), *self.argv])


@dataclass(frozen=True)
class Handler:
    """A function of a flow, for one hook."""

    function: Callable[..., Any]
    hook: str

    @contextlib.contextmanager
    def loadable(self) -> Iterator[Loadable]:
        """What `Scripts.load` takes."""
        yield offline.as_addon(self.function, self.hook)


@dataclass(frozen=True)
class Addon:
    """An object with methods for hooks, or a class of such."""

    addon: Any

    @contextlib.contextmanager
    def loadable(self) -> Iterator[Loadable]:
        """What `Scripts.load` takes."""
        yield self.addon


@dataclass(frozen=True)
class Result:
    """What came of a part.

    Attributes:
        changes: What was changed, in rows of the frame that `Scan.run` gives.
        failures: How many times the script failed.
        said: What it said, once each; the first ones.
        told: What could not be read.
    """

    changes: list[Row]
    failures: int
    said: tuple[str, ...]
    told: tuple[str, ...]


def run_part(number: int, part: Part, job: Job) -> Result:
    """Run a script over the flows of one part."""
    from nbproxy.datasets.reading import flows_of_part  # noqa: PLC0415 - with pandas

    told: list[str] = []
    with _turn, job.script.loadable() as loadable:
        proxy = Proxy(loop="thread")  # never started
        proxy.scripts.shows_failures = False  # every partition would show the same
        try:
            places: list[tuple[str, int]] = []
            flows = _counted(flows_of_part(part, told.append), places)
            done = offline.run(flows, loadable, proxy.scripts, era=job.era)
            if job.out is not None:
                stem = Path(part.files[0]).stem or "flows"
                saved.save(done, Path(job.out, f"{number:05}-{stem}.{job.format}"), job.format)
            changes = _rows(done, places)
            errors = [entry.text for entry in proxy.log.filter("error").entries()]
        finally:
            proxy.close()
    return Result(changes, len(errors), _distinct(errors), tuple(told))


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))[:_TOLD]


def _counted(
    flows: Iterable[tuple[str, HTTPFlow]], places: list[tuple[str, int]]
) -> Iterator[HTTPFlow]:
    """Flows with ids from 0 on; where each comes from, by this id, is noted."""
    for file, flow in flows:
        number, flow._id = flow.id, len(places)  # noqa: SLF001 - numbers of several files
        places.append((file, number))
        yield flow


def _rows(done: Changed, places: list[tuple[str, int]]) -> list[Row]:
    rows = done.changes().itertuples(index=False, name=None)
    return [
        (*places[number], field, _portable(before), _portable(after))
        for number, field, before, after in rows
    ]


def _portable(value: Any) -> Any:
    """A value as it can go to another process; what cannot (in `flow.metadata`) as its text."""
    if isinstance(value, _PLAIN):
        return value
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - it is the user's
        return repr(value)
    return value


# -- before and after, where the user is


def _packed(script: Any, hook: str | None) -> File | Handler | Addon:
    """A script as it goes to workers."""
    if isinstance(script, (str, os.PathLike)):
        file, argv = arguments.split(script)
        try:
            return File(str(file.absolute()), tuple(argv), file.read_bytes())
        except OSError as error:
            raise ScriptError(f"it cannot be read: {error}", str(file)) from error
    if offline.is_function(script):
        wanted = offline.hook_of(script) if hook is None else hooks.canonical(hook)
        return Handler(script, wanted)
    offline.check(script)
    return Addon(script)


def _empty_folder(out: str | os.PathLike[str] | None) -> str | None:
    """The folder of results, made if it is not there."""
    if out is None:
        return None
    folder = Path(out).expanduser().absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{str(folder)!r} is not empty: name a new folder for the results")
    return str(folder)


def _report(done: list[Result]) -> None:
    """Tell what could not be read, and what failed."""
    for text in [text for result in done for text in result.told]:
        warnings.warn(text, UserWarning, stacklevel=3)
    failed = [result for result in done if result.failures]
    if failed:
        total = sum(result.failures for result in failed)
        said = _distinct(text for result in failed for text in result.said)
        for text in said:
            shown = visible(text, _SHOWN, multiline=True)
            print(f"nbproxy.scan: {shown}", file=sys.stderr)  # noqa: T201 - to the user
        last = visible(said[0].rpartition("\n")[2], 300)
        warnings.warn(
            f"the script failed {total:,} time{'' if total == 1 else 's'} in {len(failed)} of "
            f"{len(done)} partition{'' if len(done) == 1 else 's'}; the first time: {last}",
            UserWarning,
            stacklevel=3,
        )


def _joined(results: list[list[Row]]) -> pd.DataFrame:
    from nbproxy.datasets.reading import text_column  # noqa: PLC0415 - with pandas

    rows = [row for result in results for row in result]
    frame = frame_of(Change(*row[1:]) for row in rows)
    frame.insert(0, "file", text_column([row[0] for row in rows]))
    return frame
