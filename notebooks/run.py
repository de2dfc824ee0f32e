"""Runs a notebook headless in a real kernel and prints the last table it made.

    python notebooks/run.py notebooks/01-quickstart.ipynb

Each code cell is named as it ends. Where one fails, its source and its error are printed and the
exit status is 1. Nothing is written: the notebook's file stays as it was, and the kernel gets an
IPython folder of its own, without anybody's start-up files.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

if TYPE_CHECKING:
    from collections.abc import Sequence

CELL_TIMEOUT_S = 60
WIDEST_COLUMN = 40

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_CELL_TAGS = {"th", "td"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the notebook named on the command line; the result is the exit status."""
    parser = argparse.ArgumentParser(
        description="Run a notebook headless and print its last table."
    )
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--timeout", type=int, default=CELL_TIMEOUT_S, help="seconds for each cell")
    options = parser.parse_args(arguments)
    path: Path = options.notebook
    try:
        notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except (OSError, nbformat.reader.NotJSONError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    started = time.monotonic()
    if not execute(notebook, path, options.timeout):
        return 1
    print(f"{path.name}: done in {time.monotonic() - started:.1f} s\n")
    print(last_table(notebook) or "(the notebook shows no table)")
    return 0


def execute(notebook: Any, path: Path, timeout_s: int) -> bool:
    """Runs each cell in the notebook's own folder, saying how far it is.

    Args:
        notebook: Filled with the outputs.
        path: Where it was read from.
        timeout_s: For each cell.

    Returns:
        False if a cell failed, which has then been shown.
    """
    total = sum(cell.cell_type == "code" for cell in notebook.cells)
    cell_started = time.monotonic()
    done = 0
    running: Any = None

    def on_start(cell: Any, **_: Any) -> None:
        nonlocal cell_started, running
        cell_started, running = time.monotonic(), cell

    def on_executed(cell: Any, **_: Any) -> None:
        nonlocal done
        done += 1
        seconds = time.monotonic() - cell_started
        print(f"cell {done:2} of {total}  {seconds:5.1f} s  {_first_line(cell.source)}", flush=True)

    print(f"{path.name}: starting a kernel", flush=True)
    os.environ["JUPYTER_PREFER_ENV_PATH"] = (
        "1"  # this environment's kernel, not a user's of that name
    )
    with tempfile.TemporaryDirectory(prefix="nbproxy-run-") as folder:
        os.environ["IPYTHONDIR"] = folder
        client = NotebookClient(
            notebook,
            timeout=timeout_s,
            kernel_name="python3",
            extra_arguments=["--log-level=ERROR"],  # 7.4 warns of unencrypted TCP, which stays here
            resources={"metadata": {"path": str(path.parent.resolve())}},
            on_cell_start=on_start,
            on_cell_executed=on_executed,
        )
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            _show_failure(path, running, error)
            return False
    return True


def _first_line(source: str) -> str:
    return next((line for line in source.splitlines() if line.strip()), "")[:70]


def _show_failure(path: Path, cell: Any, error: Exception) -> None:
    """Prints the cell that was running, if any was, and what became of it."""
    lines = [f"\n{path.name}: a cell failed"]
    if cell is not None:
        lines += [f"    {line}" for line in cell.source.splitlines()]
        lines += [_output_text(output) for output in cell.get("outputs", ())]
    if not isinstance(error, CellExecutionError):  # whose traceback is among the outputs
        lines.append(f"{type(error).__name__}: {error}")
    print("\n".join(lines), file=sys.stderr)


def _output_text(output: Any) -> str:
    if output.output_type == "stream":
        return str(output.text).rstrip()
    if output.output_type == "error":
        trace = "\n".join(output.traceback) or f"{output.ename}: {output.evalue}"
        return _ANSI.sub("", trace)
    return str(output.data.get("text/plain", "")).rstrip()


def last_table(notebook: Any) -> str | None:
    """The notebook's last table as aligned text, or None where it shows none."""
    for cell in reversed(notebook.cells):
        for output in reversed(cell.get("outputs", [])):
            html = "".join(output.get("data", {}).get("text/html", ""))
            rows = table_rows(html)
            if rows:
                return aligned(rows)
    return None


def table_rows(html: str) -> list[list[str]]:
    """The text of each cell of the tables in a piece of HTML, row by row."""
    reader = _TableReader()
    reader.feed(html)
    reader.close()
    return [row for row in reader.rows if row]


class _TableReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag == "tr":
            self.rows.append([])
        elif tag in _CELL_TAGS and self.rows:
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in _CELL_TAGS:
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


def aligned(rows: list[list[str]]) -> str:
    """Rows as text in columns; long values are cut."""
    cut = [[_cut(" ".join(value.split())) for value in row] for row in rows]
    count = max(len(row) for row in cut)
    full = [row + [""] * (count - len(row)) for row in cut]
    widths = [max(len(row[column]) for row in full) for column in range(count)]
    lines = (
        "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True))
        for row in full
    )
    return "\n".join(line.rstrip() for line in lines)


def _cut(value: str) -> str:
    return value if len(value) <= WIDEST_COLUMN else value[: WIDEST_COLUMN - 1] + "…"


if __name__ == "__main__":
    sys.exit(main())
