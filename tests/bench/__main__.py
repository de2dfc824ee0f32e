"""The command: see `--help`. It always ends with status 0: figures are not tests."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.processes import BenchError
from tests.bench.report import machine, render
from tests.bench.scenarios import FULL, QUICK, SCENARIOS, Bench
from tests.bench.subjects import find_mitmdump
from tests.support.kernels import KernelError

if TYPE_CHECKING:
    from collections.abc import Sequence

_MISSING = """\
mitmdump is missing, so nothing is measured against it. `make bench` installs it into
.venv/mitmproxy/; another one is used if NBPROXY_MITMDUMP=/path/to/mitmdump names it.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure nbproxy beside mitmdump and beside no proxy.",
        epilog="scenarios:\n"
        + "\n".join(f"  {name:12}{each.title}" for name, each in SCENARIOS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = command.add_argument
    add("--quick", action="store_true", help="one short round each: about a minute in all")
    add(
        "--only",
        action="append",
        choices=list(SCENARIOS),
        metavar="NAME",
        help="this scenario; may be given several times",
    )
    add("--json", type=Path, metavar="FILE", help="write all figures to a file as well")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the arguments are those of the process if none are given."""
    arguments = parser().parse_args(argv)
    mitmdump = None
    try:
        mitmdump = find_mitmdump()
    except BenchError as error:
        print(error, file=sys.stderr)
    if mitmdump is None:
        print(_MISSING, file=sys.stderr, flush=True)
    about = machine(mitmdump)
    print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
    started = time.monotonic()
    sections = []
    with Bench(QUICK if arguments.quick else FULL, mitmdump) as bench:
        for name in arguments.only or SCENARIOS:
            try:
                section = bench.run(name)
            except (BenchError, KernelError, OSError) as error:
                print(f"\n{name}: NOT MEASURED: {error}", flush=True)
                continue
            sections.append(section)
            print(f"\n{render(section)}", flush=True)
    print(f"\n{time.monotonic() - started:.0f} s in all")
    if arguments.json is not None:
        result = {"machine": about, "scenarios": [section.as_json() for section in sections]}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
