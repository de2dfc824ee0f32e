"""`throttle`: a slow, narrow or unreliable network for some requests."""

from __future__ import annotations

import asyncio
import numbers
import random
from typing import TYPE_CHECKING, ClassVar

from nbproxy.addons.rules import Rule
from nbproxy.model.message import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from nbproxy.model.flow import HTTPFlow


class Throttle(Rule):
    """Delays requests, limits how fast bodies pass, and lets some requests fail.

    Only the flows it is for wait; see `nbproxy.throttle` for the arguments.

    Attributes:
        failures: How many requests it let fail.

    Raises:
        ValueError: A number that makes no sense, or nothing to do.
    """

    kind: ClassVar[str] = "throttle"

    def __init__(
        self,
        filter: str | None = None,  # noqa: A002 - the public name
        *,
        latency: float | tuple[float, float] | None = None,
        bandwidth: float | None = None,
        fail: float | None = None,
        status: int | None = None,
        seed: int | None = None,
    ) -> None:
        __tracebackhide__ = True
        super().__init__(filter)
        if latency is None and bandwidth is None and fail is None and status is None:
            raise ValueError("throttle takes latency=, bandwidth=, fail= or status=")
        self._latency = _range(latency)
        _check_numbers(bandwidth=bandwidth, fail=fail, status=status)
        if bandwidth is not None and not bandwidth > 0:
            raise ValueError(f"bandwidth = {bandwidth!r}: it takes bytes per second, above 0")
        self._bandwidth = bandwidth
        if fail is None:
            fail = 0.0 if status is None else 1.0
        if not 0 <= fail <= 1:
            raise ValueError(f"fail = {fail!r}: it takes a probability, from 0 to 1")
        self._fail = fail
        if status is not None and not 200 <= status <= 999:
            raise ValueError(f"status = {status!r}: it takes a status to answer with, 200 to 999")
        self._status = status
        self._random = random.Random(seed)  # noqa: S311 - chance for tests, not for secrets
        self.failures = 0

    def hooks(self) -> Mapping[str, Callable[..., Any]]:
        """See `Rule`."""
        hooks: dict[str, Callable[..., Any]] = {}
        if self._bandwidth is not None:
            hooks["requestheaders"] = self._narrow_request
            hooks["responseheaders"] = self._narrow_response
        if self._latency[1] > 0 or self._fail > 0:
            hooks["request"] = self._request
        return hooks

    def describe(self) -> str:
        """See `Rule`."""
        low, high = self._latency
        delay = f"{low:g} s" if low == high else f"{low:g} to {high:g} s"
        parts = [
            delay if high else "",
            f"{self._bandwidth:g} B/s" if self._bandwidth else "",
            f"{self._fail:.0%} fail" if self._fail else "",
        ]
        return f"{self.filter or 'everything'}, {', '.join(part for part in parts if part)}"

    def outcome(self) -> str:
        """See `Rule`."""
        failed = f", {self.failures} let fail" if self._fail else ""
        return super().outcome() + failed

    def _narrow_request(self, flow: HTTPFlow) -> None:
        flow.request.bandwidth = self._bandwidth
        if self._latency[1] == 0 and self._fail == 0:
            self.hits += 1

    def _narrow_response(self, flow: HTTPFlow) -> None:
        if flow.response is not None:
            flow.response.bandwidth = self._bandwidth

    async def _request(self, flow: HTTPFlow) -> None:
        self.hits += 1
        # both drawn at once, so that a seed gives the same course whatever is slow
        delay_s = self._random.uniform(*self._latency)
        fails = self._random.random() < self._fail
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        if not fails or flow.response is not None:
            return
        self.failures += 1
        flow.metadata["throttled"] = self._status or "cut"
        if self._status is not None:
            headers = {"content-type": "text/plain; charset=utf-8"}
            flow.response = Response.make(self._status, "failed by nbproxy.throttle\n", headers)
        elif flow.killable:
            flow.kill()


def _check_numbers(**given: object) -> None:
    for name, value in given.items():
        if value is not None and not isinstance(value, numbers.Real):
            raise TypeError(f"{name} = {value!r}: it takes a number")


def _range(latency: object) -> tuple[float, float]:
    given = 0.0 if latency is None else latency
    ends = given if isinstance(given, (tuple, list)) else (given, given)
    wrong = f"latency = {latency!r}: it takes seconds, or (from, to) in seconds"
    if not all(isinstance(end, numbers.Real) for end in ends):
        raise TypeError(wrong)
    if len(ends) != 2 or not 0 <= ends[0] <= ends[1] < float("inf"):
        raise ValueError(wrong)
    return ends[0], ends[1]
