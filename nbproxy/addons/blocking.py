"""`block`: requests that are answered here with an error, or not at all.

The patterns are those of mitmproxy's option `block_list`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from nbproxy.addons.rules import Part, PartedRule, check_type, condition_of
from nbproxy.filters import parse
from nbproxy.model.message import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from nbproxy.model.flow import HTTPFlow

HANG_UP: Final = 444
"""The status that stands for no answer at all."""

_SPEC = re.compile(r"([^\w\s~!(\"'])(.+)\1([0-9]{3})", re.DOTALL)
# What was meant as one: an operator right behind such a sign.
_MEANT_AS_SPEC = re.compile(r"[^\w\s~!(\"'][!(]*~[a-z]")


@dataclass(frozen=True, slots=True)
class _Blocked(Part):
    status: int


class Block(PartedRule[_Blocked]):
    """Answers requests with a status, or breaks their connection."""

    kind: ClassVar[str] = "block"

    @classmethod
    def of(cls, filter: str | None, status: int | None) -> Block:  # noqa: A002 - the public name
        """The rule for the arguments of `nbproxy.block`.

        Raises:
            ValueError: There is no such status, or it is a pattern gone wrong.
            TypeError: These are neither a filter nor a status.
        """
        __tracebackhide__ = True
        check_type("block", filter, "a filter, as a str", (str, type(None)))
        if (
            status is None
            and filter is not None
            and (_SPEC.fullmatch(filter) or _MEANT_AS_SPEC.match(filter))
        ):
            return cls.of_specs((filter,))
        code = 403 if status is None else status
        _check(code)
        return cls(filter, [_Blocked(None, code)], f"{filter or 'everything'} ({_word(code)})")

    @classmethod
    def of_specs(cls, specs: Sequence[str]) -> Block:
        """The rule for patterns; the first that matches counts.

        Raises:
            ValueError: One of them is none.
        """
        __tracebackhide__ = True
        read: list[tuple[str, int]] = []
        for text in specs:
            match = _SPEC.fullmatch(text)
            if match is None:
                raise ValueError(
                    f"{text!r} is no pattern of block_list: write :filter:status, with any sign in "
                    f"place of the colon; {HANG_UP} hangs up"
                )
            parse(match[2])
            _check(int(match[3]))
            read.append((match[2], int(match[3])))
        several = len(read) > 1
        blocked = [_Blocked(condition_of(f) if several else None, code) for f, code in read]
        label = "; ".join(f"{condition} ({_word(code)})" for condition, code in read)
        return cls(None if several else read[0][0], blocked, label)

    def hooks(self) -> Mapping[str, Callable[..., Any]]:
        """See `Rule`."""
        return {"request": self._request}

    def _request(self, flow: HTTPFlow) -> None:
        if flow.response is not None:
            return
        for each in self._parts:
            if each.fits(flow):
                flow.metadata["blocked"] = each.status
                self.hits += 1
                if each.status == HANG_UP:
                    if flow.killable:
                        flow.kill()
                else:
                    text = "blocked by a rule of nbproxy\n" if each.status not in {204, 304} else ""
                    flow.response = Response.make(
                        each.status, text, {"content-type": "text/plain; charset=utf-8"}
                    )
                return


def _check(status: object) -> None:
    if not isinstance(status, int):
        raise TypeError(f"{status!r} is no status to answer with: it takes a number, such as 404")
    if not 200 <= status <= 999:
        raise ValueError(f"{status!r} is no status to answer with: 200 to 999, {HANG_UP} for none")


def _word(status: int) -> str:
    return "no answer" if status == HANG_UP else str(status)
