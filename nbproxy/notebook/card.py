"""The status card: where the proxy listens, how to go through it, what to do next.

HTML for a browser and text for everything else. The HTML has no script and no class of its own,
only inline styles in the colours of the surrounding theme, so it looks the same in JupyterLab,
Notebook, nbconvert and in viewers that strip style sheets.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbproxy.proxy import Proxy

_LOOPS = {
    "mounted": "on the kernel's event loop",
    "thread": "on a thread of its own",
    "running": "on the running event loop",
}

_INK = "var(--jp-ui-font-color1, #212121)"
_FAINT = "var(--jp-ui-font-color2, #616161)"
_LINE = "var(--jp-border-color2, #e0e0e0)"
_PANEL = "var(--jp-layout-color2, #f5f5f5)"
_ON = "var(--jp-success-color1, #388e3c)"
_OFF = "var(--jp-warn-color1, #f57c00)"
_TEXT = "font-family: var(--jp-ui-font-family, system-ui, sans-serif); font-size: 13px"
_CODE = "font-family: var(--jp-code-font-family, ui-monospace, monospace); font-size: 12px"


@dataclass(frozen=True, slots=True)
class Status:
    """What a card shows, read off a proxy at one moment.

    Attributes:
        running: Whether it listens.
        url: Where, such as "http://127.0.0.1:8080".
        mode: The option `mode`.
        loop: The runner's name, "" if there is none.
        ca_file: The CA's certificate, PEM; "" while it is stopped, as there may be no CA yet.
        flows: How many were captured.
        handlers: How many there are.
        is_own: Whether this is the notebook's own proxy, which is spoken to as `nbproxy`.
        capture: The file that it records to and that is kept, "" if none is.
        refusal: Why the disk takes no flows now, "" if it does.
        waiting: How many flows wait in memory for that disk.
        lost: How many flows could not be kept, because the disk had refused for too long.
    """

    running: bool
    url: str
    mode: str
    loop: str
    ca_file: str
    flows: int
    handlers: int
    is_own: bool
    capture: str = ""
    refusal: str = ""
    waiting: int = 0
    lost: int = 0

    @classmethod
    def of(cls, proxy: Proxy, *, is_own: bool) -> Status:
        """The status of a proxy now."""
        runner = proxy.runner
        refusal, waiting = proxy.store.session.refusal
        return cls(
            running=proxy.running,
            url=proxy.url if proxy.running else "",
            mode=str(proxy.options.mode),
            loop=runner.name if runner is not None else "",
            ca_file=str(proxy.ca_file) if proxy.running else "",
            flows=len(proxy.flows),
            handlers=len(proxy.handlers),
            is_own=is_own,
            capture=proxy.options.capture or "",
            refusal=refusal,
            waiting=waiting,
            lost=proxy.store.session.lost,
        )

    def headline(self) -> str:
        """One line: whether and where it listens."""
        if self.running:
            return f"listening on {self.url}"
        return "stopped; %nbproxy start" if self.is_own else "stopped"

    def facts(self) -> str:
        """One line: mode, loop, counts."""
        parts = [f"mode {self.mode}"]
        if self.running and self.loop:
            parts.append(_LOOPS.get(self.loop, self.loop))
        parts += [count(self.flows, "flow"), count(self.handlers, "handler")]
        if self.capture:
            parts.append(f"recording to {self.capture}")
        return " · ".join(parts)

    def trouble(self) -> str:
        """One line: what the disk refuses, and what that means; "" if all is well."""
        lost = ""
        if self.lost:
            were = "was" if self.lost == 1 else "were"
            lost = f"{count(self.lost, 'flow')} {were} lost while the disk refused"
        if not self.refusal:
            return lost
        waits = "waits" if self.waiting == 1 else "wait"
        parts = [self.refusal, f"{count(self.waiting, 'flow')} {waits} in memory", lost]
        return "; ".join(part for part in parts if part)

    def ways(self) -> list[tuple[str, str]]:
        """How to go through it: client and a line of code to copy."""
        if not self.running:
            return []
        if self.is_own:
            proxies, verify, url, cacert = (
                "nbproxy.proxies",
                "nbproxy.ca_file",
                "{nbproxy.url}",
                "{nbproxy.ca_file}",
            )
        else:
            proxies = repr({"http": self.url, "https": self.url})
            verify, url, cacert = repr(self.ca_file), self.url, self.ca_file
        return [
            ("Python", f'requests.get("https://example.org/", proxies={proxies}, verify={verify})'),
            ("shell", f"!curl -x {url} --cacert {cacert} https://example.org/"),
        ]


def text(status: Status) -> str:
    """The card as plain text, a few lines."""
    lines = [f"nbproxy {status.headline()}", f"  {status.facts()}"]
    if trouble := status.trouble():
        lines.append(f"  {'disk:':8}{trouble}")
    lines += [f"  {label + ':':8}{code}" for label, code in status.ways()]
    if status.ca_file:
        lines.append(f"  {'CA:':8}{_home(status.ca_file)}")
    if status.running and status.is_own:
        lines.append(f"  {'then:':8}nbproxy.flows   nbproxy.df   %nbproxy --help")
    return "\n".join(lines)


def line(status: Status) -> str:
    """The card in one line."""
    trouble = status.trouble()
    return f"nbproxy {status.headline()} ({status.facts()})" + (trouble and f": {trouble}")


def to_html(status: Status) -> str:
    """The card as HTML."""
    rows = [_row(label, _code(code)) for label, code in status.ways()]
    if trouble := status.trouble():
        rows.insert(0, _row("disk", f'<span style="color: {_OFF}">{html.escape(trouble)}</span>'))
    if status.ca_file:
        hint = (
            f'<div style="color: {_FAINT}; margin-top: 2px">browsers and phones get it from '
            '<a href="http://mitm.it/" target="_blank" rel="noopener noreferrer" '
            'style="color: var(--jp-content-link-color, #1976d2)">http://mitm.it/</a> '
            "when they go through the proxy; <b>%nbproxy ca</b> tells more</div>"
        )
        rows.append(_row("CA", _code(_home(status.ca_file)) + hint))
    if status.running and status.is_own:
        steps = ("nbproxy.flows", "nbproxy.df", '@nbproxy.on("response")', "%nbproxy --help")
        rows.append(_row("then", " &nbsp; ".join(_code(step) for step in steps)))
    colour, sign = (_ON, "●") if status.running else (_OFF, "○")
    return (
        f'<div style="{_TEXT}; color: {_INK}; border: 1px solid {_LINE}; border-left: 4px solid '
        f"{colour}; border-radius: 4px; padding: 8px 12px; max-width: 60em; "
        'box-sizing: border-box; line-height: 1.5">'
        f'<div><span style="color: {colour}" aria-hidden="true">{sign}</span> '
        f'<b style="font-size: 14px">nbproxy</b> {_headline(status)}</div>'
        f'<div style="color: {_FAINT}">{html.escape(status.facts())}</div>'
        '<div style="margin-top: 6px; display: grid; grid-template-columns: max-content 1fr; '
        f'gap: 4px 12px; align-items: baseline">{"".join(rows)}</div></div>'
    )


def bundle(status: Status) -> dict[str, str]:
    """The card by media type, as IPython publishes it."""
    return {"text/html": to_html(status), "text/plain": text(status)}


def count(number: int, noun: str) -> str:
    """A number of things in words: "1 flow", "1,200 flows"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _headline(status: Status) -> str:
    if not status.running:
        return html.escape(status.headline())
    return f'listening on <span style="{_CODE}; font-weight: 600">{html.escape(status.url)}</span>'


def _row(label: str, content: str) -> str:
    return (
        f'<div style="color: {_FAINT}">{html.escape(label)}</div>'
        f'<div style="min-width: 0; overflow-wrap: anywhere">{content}</div>'
    )


def _code(source: str) -> str:
    return (
        f'<code style="{_CODE}; background: {_PANEL}; color: {_INK}; border-radius: 3px; '
        f'padding: 1px 5px">{html.escape(source)}</code>'
    )


def _home(path: str) -> str:
    """A path for people: `~` for their own folder, whose name is nobody's business."""
    try:
        return f"~/{Path(path).relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return path
