"""`nbproxy.why(url)`: why a request is not in the table, or where it is.

Each check looks at one reason and says what to do about it. They look at what is recorded, at the
options, and at the variables of this process; of clients in other processes nothing is known but
what they said to the proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from nbproxy import _current
from nbproxy.capture.environment import NO_PROXY, PROXY, entry_for, without_loopback
from nbproxy.model.escape import visible
from nbproxy.model.masking import default_masker
from nbproxy.model.url import hostport, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from nbproxy.proxy import Proxy
    from nbproxy.store.view import Flows

_SHOWN: Final = 5  # ids that are named
_LOOKED_AT: Final = 50  # flows, the last ones, for one that came without a capture
_SETTLE_S: Final = 0.05
_PATIENCE_S: Final = 1.0
_WEB_SOCKET: Final = {"ws": "http", "wss": "https"}
# What `certs.explain.explain_client` says of clients that do not like our certificate.
_DISTRUST: Final = re.compile("does not trust the CA|closed the connection")
_TRUST: Final = (
    "put %%capture_http above the cell, or give the client the file nbproxy.ca_file (requests: "
    "verify=nbproxy.ca_file); README, Trust the CA, has many clients. One that pins certificates "
    'cannot be read: nbproxy.options.ignore_hosts = [r"{host}"] lets its TLS through.'
)
_SEND: Final = (
    "put %%capture_http above the cell, or tell the client: proxies=nbproxy.proxies, "
    "verify=nbproxy.ca_file (requests), proxy=nbproxy.url (httpx, aiohttp), -x $PROXY (curl). "
    "README, This cell's traffic, names clients that ignore such variables."
)


@dataclass(frozen=True, slots=True)
class Check:
    """One reason that was looked at.

    Attributes:
        ok: True if it is not the reason, False if it is (or may be), None for a fact beside.
        text: What was found.
        advice: What to do; "" for nothing.
    """

    ok: bool | None
    text: str
    advice: str = ""

    @property
    def sign(self) -> str:
        """✓, ✗ or ·."""
        return {True: "✓", False: "✗", None: "·"}[self.ok]


class Why:
    """The answer.

    Attributes:
        url: The URL that was asked about, masked.
        checks: What was looked at.
        flows: The flows of that very URL; empty if there are none.
    """

    def __init__(self, url: str, checks: list[Check], flows: Flows) -> None:
        self.url = url
        self.checks = checks
        self.flows = flows

    @property
    def problems(self) -> list[Check]:
        """The checks that found a reason."""
        return [check for check in self.checks if check.ok is False]

    def __bool__(self) -> bool:
        """Whether it is there."""
        return bool(self.flows)

    def __str__(self) -> str:
        lines = [f"why {self.url}"]
        for check in self.checks:
            lines.append(f"{check.sign} {check.text}")
            if check.advice:
                lines.append(f"    → {check.advice}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        if self.flows:
            outcome = f"recorded, {_count(len(self.flows), 'flow')}"
        else:
            outcome = f"not recorded, {_count(len(self.problems), 'possible reason')}"
        return f"<Why {self.url}: {outcome}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self) if cycle else str(self))

    def _repr_html_(self) -> str:
        rows = "".join(_row(check) for check in self.checks)
        return (
            '<div style="font-family: var(--jp-ui-font-family, system-ui, sans-serif); '
            'font-size: 13px; line-height: 1.5; color: var(--jp-ui-font-color1, inherit)">'
            f'<div style="font-weight: 600; overflow-wrap: anywhere">{html.escape(self.url)}</div>'
            '<div style="display: grid; grid-template-columns: max-content 1fr; gap: 2px 8px; '
            f'margin-top: 4px; max-width: 60em">{rows}</div></div>'
        )


_COLOURS: Final = {
    True: "var(--jp-success-color1, #1a7f37)",
    False: "var(--jp-error-color1, #d1242f)",
    None: "var(--jp-ui-font-color2, #616161)",
}


def _row(check: Check) -> str:
    advice = (
        f'<div style="color: var(--jp-ui-font-color2, inherit)">→ {html.escape(check.advice)}</div>'
        if check.advice
        else ""
    )
    return (
        f'<div style="color: {_COLOURS[check.ok]}; font-weight: 600">{check.sign}</div>'
        '<div style="min-width: 0; overflow-wrap: anywhere">'
        f"{html.escape(check.text)}{advice}</div>"
    )


def why(url: str, *, proxy: Proxy | None = None) -> Why:
    """Why a request is not among the flows, or where it is.

    Args:
        url: What was asked for; a bare host means https.
        proxy: The proxy; the notebook's own by default.

    Returns:
        The checks that were made, with what to do. It is true if the request is recorded.

    Raises:
        ValueError: It is no URL.
        TypeError: It is no str.

    Example:
        >>> nbproxy.why("https://example.org/")  # doctest: +SKIP
    """
    __tracebackhide__ = True  # IPython then shows the user's line, not ours
    _check_type(url)
    used = proxy if proxy is not None else _current.get(started=False)
    try:
        target = _Target.of(url)
    except ValueError as error:
        raise error.with_traceback(None) from None
    _settle(used)
    asked = _Asked(used, target)
    checks = [*_listening(used), *asked.recorded()]
    if not asked.same:
        checks += [*asked.refused(), *asked.unauthorized(), *asked.passed_through()]
        checks += _environment(used, target, asked.told)
        checks += _limits(used)
        if not asked.host_is_known:
            checks.append(_OTHERS)
    shown = visible(default_masker().mask_url(url.strip()), 300)
    return Why(shown, checks, used.flows.of(asked.same))


def _settle(proxy: Proxy) -> None:
    """Let the proxy take in what has come: a client fails before the proxy has heard that it did.

    So it is in a cell that asks right after the failure, the most natural thing to do. What the
    client has sent is there, and some turns of the proxy's loop record it.
    """
    runner = proxy.runner
    if runner is None or runner.owns_current_thread():
        return
    with contextlib.suppress(TimeoutError, RuntimeError):  # it is busy, or was stopped just now
        runner.submit(asyncio.sleep(_SETTLE_S)).result(_PATIENCE_S)


def _check_type(url: object) -> None:
    __tracebackhide__ = True
    if not isinstance(url, str):
        raise TypeError(f"why takes a URL, as a str, not {url!r:.80}; of a flow, its request.url")


@dataclass(frozen=True, slots=True)
class _Target:
    """What a URL leads to."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> _Target:
        text = url.strip()
        scheme = urlsplit(text).scheme if "://" in text else ""
        if not scheme:
            text = f"https://{text}"
        elif scheme in _WEB_SOCKET:
            text = _WEB_SOCKET[scheme] + text[len(scheme) :]
        elif scheme not in {"http", "https"}:
            raise ValueError(f"{scheme} does not go through an HTTP proxy; why asks of http, https")
        return cls(*parse(text))

    @property
    def authority(self) -> str:
        return hostport("", self.host, self.port)


def _listening(proxy: Proxy) -> Iterator[Check]:
    if proxy.running:
        yield Check(True, f"the proxy listens on {proxy.url}")
    else:
        yield Check(False, "the proxy is stopped", "%nbproxy start, or nbproxy.start()")


class _Asked:
    """What is recorded of a target.

    Attributes:
        same: Ids of flows of this very URL.
        host_is_known: Whether anything came for this host.
    """

    def __init__(self, proxy: Proxy, target: _Target) -> None:
        self._proxy = proxy
        self._target = target
        df = proxy.flows.frame()
        here = (df["host"].str.lower() == target.host.lower()) & (df["port"] == target.port)
        tunnel = df["method"] == "CONNECT"
        self._requests: pd.DataFrame = df[here & ~tunnel]
        self._ours: list[int] = df.index[~tunnel & (here | df["cell"].notna())].tolist()
        self._tunnels: pd.DataFrame = df[here & tunnel]
        self._refused: pd.DataFrame = df[df["error"].str.startswith("refused: ", na=False)]
        question = "?" in target.path
        paths = self._requests["path"]
        if not question:  # what was asked with which query was not said
            paths = paths.str.replace(r"\?.*", "", regex=True)
        found = self._requests[paths == target.path]
        self.same: list[int] = found.index.tolist()
        self.host_is_known = len(self._requests) > 0

    def told(self) -> int | None:
        """The last request of this kernel, or for this host, that came without a capture.

        Its client was told of the proxy by other means than the variables; None if there is none.
        """
        some = self._proxy.flows.of(self._ours[-_LOOKED_AT:])
        told = (f for f in reversed(some) if "capture" not in f.metadata and not f.is_replay)
        return next((flow.id for flow in told), None)

    def recorded(self) -> Iterator[Check]:
        if self.same:
            states = self._requests.loc[self.same, "status"]
            answered = bool(states.notna().iloc[-1])
            outcome = f"status {int(states.iloc[-1])}" if answered else "no answer"
            yield Check(
                True,
                f"it is recorded: {_ids(self.same)}, the last with {outcome}",
                f"nbproxy.flows.by_id({self.same[-1]})",
            )
        elif self.host_is_known:
            count = _count(len(self._requests), "other request")
            yield Check(
                None,
                f"{count} to {self._target.authority} came: {_ids(self._requests.index.tolist())}; "
                "so a client of this host does come through the proxy",
                "perhaps the answer was in the client's cache, or a redirect led elsewhere",
            )
        else:
            yield Check(False, f"no request to {self._target.authority} came")

    def refused(self) -> Iterator[Check]:
        failed = self._tunnels[self._tunnels["error"].notna()]
        if not len(failed):
            if self._target.scheme == "https":
                yield Check(True, "no client for it refused the proxy's certificate")
            return
        number = int(failed.index[-1])
        text = visible(default_masker().mask_text(str(failed["error"].iloc[-1])), 300)
        when = _ago(failed["time"].iloc[-1].timestamp())
        what = f"a client for it did not get through {when} (flow {number}): {text}"
        if self.host_is_known and int(self._requests.index[-1]) > number:
            yield Check(None, what)  # it has been got right since
            return
        distrusts = _DISTRUST.search(text) is not None
        yield Check(
            False, what, _TRUST.format(host=re.escape(self._target.host)) if distrusts else ""
        )

    def unauthorized(self) -> Iterator[Check]:
        if self._proxy.options.proxyauth is None:
            return
        refused = self._refused[self._refused["path"].str.contains(self._target.host, regex=False)]
        if len(refused):
            yield Check(
                False,
                "a client for it gave no valid credentials, which proxyauth asks for: "
                f"{_ids(refused.index.tolist())}",
                "http://USER:PASSWORD@ADDRESS as the proxy's address",
            )

    def passed_through(self) -> Iterator[Check]:
        options, target = self._proxy.options, self._target
        unread = self._tunnels[self._tunnels["error"].isna()].index.tolist()
        seen = f"; {_count(len(unread), 'tunnel')} passed unread: {_ids(unread)}" if unread else ""
        where = f"{target.host}:{target.port}"
        ignored = [p for p in options.ignore_hosts if re.search(p, where, re.IGNORECASE)]
        allowed = options.allow_hosts
        if target.scheme == "https" and ignored:
            yield Check(
                False,
                f"ignore_hosts has {ignored[0]!r}, so its TLS passes unread{seen}",
                "take it out of nbproxy.options.ignore_hosts",
            )
        elif (
            target.scheme == "https"
            and allowed
            and not any(re.search(p, where, re.IGNORECASE) for p in allowed)
        ):
            yield Check(
                False,
                f"allow_hosts does not match it, so its TLS passes unread{seen}",
                "add it to nbproxy.options.allow_hosts, or empty that",
            )
        elif unread:
            yield Check(
                False,
                f"what was in its {_count(len(unread), 'tunnel')} was neither TLS nor HTTP, and "
                f"passed unread: {_ids(unread)}",
            )
        else:
            yield Check(True, "no option lets it pass unread")


def _environment(proxy: Proxy, target: _Target, told: Callable[[], int | None]) -> Iterator[Check]:
    """The variables of this process, which most of its clients and subprocesses look at."""
    for name in NO_PROXY:
        entry = entry_for(os.environ.get(name, ""), target.host, target.port)
        if entry is not None:
            alone = f"%%capture_http --no-proxy '', or take it out of os.environ[{name!r}]"
            yield Check(
                False,
                f"{name} has {visible(entry, 80)!r}, which keeps clients from using a proxy for it",
                alone if without_loopback(entry) else "%%capture_http takes no notice of it",
            )
            break
    else:
        yield Check(True, "no_proxy does not name it")
    names = [n for n in PROXY if n.lower() == f"{target.scheme}_proxy"]
    given = next((os.environ[n] for n in names if os.environ.get(n)), None)
    if given is None and (number := told()) is not None:
        yield Check(
            None,
            f"{names[0]} is not set: of the clients here those come that are told of the proxy, as "
            f"that of #{number} was",
            _SEND,
        )
    elif given is None:
        yield Check(False, f"{names[0]} is not set: clients here do not know of the proxy", _SEND)
    elif not _is_of(given, proxy):
        shown = visible(default_masker().mask_url(given), 120)
        yield Check(False, f"{names[0]} leads to another proxy, {shown}", _SEND)
    else:
        yield Check(True, f"{names[0]} leads clients to the proxy")


def _is_of(address: str, proxy: Proxy) -> bool:
    own, given = urlsplit(proxy.url), urlsplit(address if "://" in address else f"//{address}")
    try:
        return (given.hostname in {own.hostname, "localhost"}) and given.port == own.port
    except ValueError:
        return False


def _limits(proxy: Proxy) -> Iterator[Check]:
    limits = [
        f"{name} = {value}"
        for name in ("max_flows", "max_bytes", "max_age")
        if (value := getattr(proxy.options, name, None))
    ]
    if limits:
        yield Check(
            None,
            f"old flows are removed: {', '.join(limits)}",
            f"nbproxy.options.{limits[0].partition(' ')[0]} = 0 keeps all",
        )


_OTHERS: Final = Check(
    None,
    "a client that was made before a capture began, a httpx.Client for instance, may keep the "
    "proxies of that time; one that speaks HTTP/3 uses no proxy",
    "make it in the cell",
)


def _ids(ids: list[int]) -> str:
    shown = ", ".join(f"#{number}" for number in ids[-_SHOWN:])
    return f"…, {shown}" if len(ids) > _SHOWN else shown


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _ago(moment: float) -> str:
    seconds = max(0, round(time.time() - moment))
    if seconds < 120:
        return f"{seconds} s ago"
    return f"{seconds // 60} min ago" if seconds < 7200 else f"{seconds // 3600} h ago"
