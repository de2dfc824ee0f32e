"""What flows have others do: save them, write datasets, run scripts over them, send them again.

The store knows none of those who do it. They say so when they are imported, by setting the class
attributes here; until then the methods say what to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

    from nbproxy.store.changes import Changed


class Errands:
    """The methods of `Flows` for that; a part of it, not to be made alone."""

    saver: ClassVar[Callable[..., int] | None] = None
    """What `save` calls. `nbproxy.saved` or `nbproxy.owners` sets it: the store knows no files."""

    exporter: ClassVar[Callable[..., int] | None] = None
    """What `to_parquet` calls. `nbproxy.owners` sets it: the store knows no datasets."""

    runner: ClassVar[Callable[..., Changed] | None] = None
    """What `run` calls. `nbproxy.owners` sets it: the store knows no scripts."""

    replayer: ClassVar[Callable[..., Any] | None] = None
    """What `replay` calls. `nbproxy.owners` sets it: the store sends nothing."""

    def save(
        self,
        path: str | os.PathLike[str],
        format: str | None = None,  # noqa: A002 - the word for it
        *,
        secrets: Literal["keep", "mask"] = "keep",
    ) -> int:
        """Write these flows to a file, as `nbproxy.saved.save` describes it.

        Args:
            path: Where; `.nbproxy`, `.mitm`, `.har` or `.curl.sh` at its end say the format.
            format: "nbproxy", "mitm", "har" or "curl", whatever the name.
            secrets: "mask" replaces credentials, cookies and tokens in a HAR.

        Returns:
            How many flows were written.

        Raises:
            ValueError: The format is not known.
            OSError: The file cannot be written.
        """
        if self.saver is None:
            raise RuntimeError("nothing has said how flows are saved: import nbproxy.saved")
        return self.saver(self, path, format, secrets=secrets)

    def to_parquet(
        self,
        path: str | os.PathLike[str],
        *,
        bodies: bool = False,
        partition: Iterable[str] = ("date", "host"),
        compression: str = "zstd",
        append: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> int:
        """Write these flows to a Parquet dataset: a folder for each day and host, and files in it.

        The columns are those of `df`, with the headers and trailers of requests and responses, and
        bodies and WebSocket messages if you ask for them; `nbproxy.datasets.layout` describes them.
        `nbproxy.scan(path)` reads it again, and so does whatever reads Parquet. Memory does not
        grow with the number of flows; live ones are written as far as they have got. Certificates
        are not in it; a capture (`flows.save`) has all.

        Columns of your own (`nbproxy.column`) are columns there, too: of the type that fits all
        their values, or of text, with a warning, if none does. The frame is made for that. A
        dataset that is added to keeps the columns it has.

        Nothing is masked: headers, paths and bodies hold passwords and tokens as they were. Files
        here can be read by you alone (mode 0600); elsewhere it is yours to see to that.

        Args:
            path: A folder, or a URL that fsspec knows (`s3://bucket/flows`): that takes
                `pip install 'nbproxy[parquet]'`.
            bodies: Whether to write bodies too, as sent, and WebSocket messages.
            partition: What names the folders: "date" (of `time`, in UTC) and text columns of the
                frame; () for no folders. With very many hosts, ("date",) makes larger files.
            compression: "zstd", "snappy", "gzip", "lz4", "brotli" or "none".
            append: Whether to add to a dataset that is there.
            storage_options: For fsspec: credentials and the like.

        Returns:
            How many rows were written.

        Raises:
            FileExistsError: There is a dataset already, and `append` is not set.
            ImportError: A URL, and fsspec (or what it needs for that URL) is not installed.
            NotADirectoryError: There is a file of that name.
            OSError: It cannot be written. What had been written so far is removed.
            FormatError: What is there is no dataset of flows, or one of a newer nbproxy.
            ValueError: `partition` or `compression` is not known; or a column of yours has values
                that are not of its type in the dataset that is added to.
        """
        if self.exporter is None:
            raise RuntimeError("nothing has said how datasets are written: import nbproxy.proxy")
        return self.exporter(
            self,
            path,
            bodies=bodies,
            partition=partition,
            compression=compression,
            append=append,
            storage_options=storage_options,
        )

    def run(self, script: Any, *, era: str | float | None = None) -> Changed:
        """Run a script over these flows, in the order of events its era had for stored ones.

        It is executed anew and gets `done` at the end. These flows stay as they are.

        Args:
            script: A path with arguments ("script.py --all x"), an addon object, or a function of
                a flow, which is called for the hook it is named like, else for `response`.
            era: The release it was written for, such as "0.11"; by default it is recognised.

        Returns:
            New flows, with `df`, `filter`, `save`; `changes()` says what is different in them.

        Raises:
            ScriptError: It cannot be loaded; the cause is what it raised.
            TypeError: It is neither a path nor an object with hooks.
            ValueError: There is no such era.

        Example:
            >>> done = nbproxy.open("in.mitm").run("strip.py Cookie")  # doctest: +SKIP
            >>> done.changes().groupby("field").size()  # doctest: +SKIP
        """
        if self.runner is None:
            raise RuntimeError("nothing has said how scripts are run: import nbproxy.proxy")
        __tracebackhide__ = True
        return self.runner(self, script, era=era)

    async def replay(
        self,
        vary: Mapping[str, Any] | None = None,
        *,
        concurrency: int = 5,
        together: bool = False,
        **changes: Any,
    ) -> pd.DataFrame:
        """Send these requests again, each once, or once for every variation.

        All that is sent goes through the handlers and is recorded; see `HTTPFlow.replay`. A line
        on standard error says how far it is. When it is cancelled, what is under way ends.

        Args:
            vary: Names to the values to try: a field of the query, of a form or of a JSON body, or
                a header, where the request has one of that name (else it becomes a field of the
                query); `$.user.id` for a place in a JSON body; or "url" or "method". With "params",
                "headers", "json" or "data" as name, a mapping of names there.
            concurrency: How many are under way at a time.
            together: Try the first values of all names, then the second ones, and so on, instead
                of every combination.
            **changes: What to change in all of them, as `HTTPFlow.replay` takes it.

        Returns:
            A DataFrame, a row for each try in order: the values tried (and `original`, the id, if
            there are several flows), then `id` of the new flow, `status`, `duration` (seconds),
            `bytes` (of the response's body) and `error`.

        Raises:
            ValueError: Something cannot be sent so; then nothing was.
            RuntimeError: No proxy is running that could send it.

        Example:
            >>> await flows[-1:].replay(vary={"page": range(50)})  # doctest: +SKIP
        """
        __tracebackhide__ = True
        work = self._replay(vary, changes, concurrency, together=together, sync=False)
        frame: pd.DataFrame = await work
        return frame

    def replay_sync(
        self,
        vary: Mapping[str, Any] | None = None,
        *,
        concurrency: int = 5,
        together: bool = False,
        **changes: Any,
    ) -> pd.DataFrame:
        """The same as `replay`, for code that cannot await. An interrupt ends it.

        Raises:
            ValueError: Something cannot be sent so; then nothing was.
            RuntimeError: No proxy is running that could send it; or this was called by a handler
                or a coroutine on the proxy's own loop.
        """
        __tracebackhide__ = True
        frame: pd.DataFrame = self._replay(vary, changes, concurrency, together=together, sync=True)
        return frame

    def _replay(
        self,
        vary: Mapping[str, Any] | None,
        changes: dict[str, Any],
        concurrency: int,
        *,
        together: bool,
        sync: bool,
    ) -> Any:
        __tracebackhide__ = True
        if self.replayer is None:
            raise RuntimeError("nothing has said how requests are sent: import nbproxy.proxy")
        return self.replayer(
            self, vary, changes, concurrency=concurrency, together=together, sync=sync
        )
