"""Interrupts `next` or `next_sync` at every line of ours, one after the other; tells how many.

`python -m tests.control.interrupts next_sync CONFDIR` fails at the first line where an interrupt
leaves a handler behind.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbproxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

OURS = str(Path(nbproxy.__file__).parent)


def takes_back(frame: FrameType | None) -> bool:
    """Whether this is part of taking handlers back."""
    while frame is not None:
        if frame.f_code.co_name == "off":
            return True
        frame = frame.f_back
    return False


def interrupted(call: Callable[[], object], line: int) -> bool:
    """Run something with an interrupt at the so-many-eth line of ours; whether it got that far.

    Lines that take handlers back do not count, nor do those after the waiting.
    """
    left, over = line, False

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left, over
        over |= frame.f_code.co_name == "_last_chance"
        if not frame.f_code.co_filename.startswith(OURS) or left <= 0 or takes_back(frame) or over:
            return None
        if event == "line" and not over:
            left -= 1
            if not left:
                raise KeyboardInterrupt
        return trace

    gc.disable()  # what is finalized meanwhile would get our interrupt
    sys.settrace(trace)
    try:
        call()
    except (KeyboardInterrupt, TimeoutError):
        return left <= 0
    finally:
        sys.settrace(None)
        gc.enable()
    return left <= 0


def main(name: str, confdir: str) -> None:
    """See the module."""
    with nbproxy.Proxy(port=0, confdir=confdir, loop="thread") as proxy:
        calls: dict[str, Callable[[], object]] = {
            "next": lambda: proxy.next().close(),
            "next_sync": lambda: proxy.next_sync(timeout=0.01),
        }
        line = 1
        while interrupted(calls[name], line):
            assert len(proxy.handlers) == 0, f"the interrupt at line {line} leaves a handler"
            line += 1
    print(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
