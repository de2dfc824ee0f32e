"""`flows.to_parquet`: its signature and documentation, without pandas and pyarrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from nbproxy.model.flow import HTTPFlow


def to_parquet(
    flows: Iterable[HTTPFlow],
    path: str | os.PathLike[str],
    *,
    bodies: bool = False,
    partition: Iterable[str] = ("date", "host"),
    compression: str = "zstd",
    append: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> int:
    """Write flows to a Parquet dataset: a folder for each day and host, and files in it.

    The columns are those of `df`, with the headers of requests and responses, and bodies if you
    ask for them; `nbproxy.datasets.layout` describes them. `nbproxy.scan(path)` reads it again, and
    so does whatever reads Parquet. Memory does not grow with the number of flows. Trailers and
    WebSocket messages are not in it, nor columns of your own; a capture (`flows.save`) has all.

    Nothing is masked: headers, paths and bodies hold passwords and tokens as they were. Files here
    can be read by you alone (mode 0600); elsewhere it is yours to see to that.

    Args:
        flows: Which; live ones are written as far as they have got.
        path: A folder, or a URL that fsspec knows (`s3://bucket/flows`): that takes
            `pip install 'nbproxy[parquet]'`.
        bodies: Whether to write bodies too, as sent.
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
        OSError: It cannot be written. What had been written so far is removed.
        ValueError: `partition` or `compression` is not known.
    """
    from nbproxy.datasets.writing import write  # noqa: PLC0415 - pandas and pyarrow are slow

    return write(
        flows,
        path,
        bodies=bodies,
        partition=partition,
        compression=compression,
        append=append,
        storage_options=storage_options,
    )
