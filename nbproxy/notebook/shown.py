"""How single values look: text from the wire, secrets, sizes, times, states; and the style sheet.

Whatever came off the wire passes through here on its way to a reader: secrets are masked first,
then everything invisible becomes an escape and the length is bounded, then HTML is escaped. The
style sheet takes the theme's colours from Jupyter's variables and does without them elsewhere.
"""

from __future__ import annotations

import html
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nbproxy.model.escape import visible
from nbproxy.model.masking import default_masker

if TYPE_CHECKING:
    from nbproxy.model.flow import HTTPFlow

_LOOK_AT = 8_000  # characters of a value that are searched for secrets: more than is ever shown

# White on these is readable (contrast above 4.5), and they stand out on light and on dark.
CSS = """<style>
.nbp{font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.45;
color:var(--jp-ui-font-color1,inherit);text-align:left;max-width:100%}
.nbp .nbp-head{display:flex;flex-wrap:wrap;gap:2px 14px;align-items:baseline;margin:2px 0 6px}
.nbp .nbp-title{font-weight:600;font-size:14px}
.nbp .nbp-dim{color:var(--jp-ui-font-color2,inherit);opacity:.85}
.nbp .nbp-bad{color:var(--jp-error-color1,#d1242f);font-weight:600}
.nbp .nbp-scroll{overflow-x:auto;border:1px solid var(--jp-border-color2,rgba(128,128,128,.35));
border-radius:6px}
.nbp table.nbp-table{border-collapse:collapse;border:0;margin:0;width:100%;font-size:12.5px;
table-layout:auto;color:inherit}
.nbp .nbp-table th,.nbp .nbp-table td{text-align:left;padding:3px 9px;border:0;
vertical-align:baseline;white-space:nowrap;max-width:none;background:transparent}
.nbp .nbp-table thead th{font-weight:600;font-size:11.5px;padding-top:5px;padding-bottom:5px;
color:var(--jp-ui-font-color2,inherit);background:var(--jp-layout-color2,rgba(128,128,128,.12));
border-bottom:1px solid var(--jp-border-color2,rgba(128,128,128,.35))}
.nbp .nbp-table tbody tr{background:transparent;
border-top:1px solid var(--jp-border-color3,rgba(128,128,128,.16))}
.nbp .nbp-table tbody tr:first-child{border-top:0}
.nbp .nbp-table tbody tr:hover{background:var(--jp-layout-color2,rgba(128,128,128,.1))}
.nbp .nbp-table tbody tr.nbp-more{border-top:0}
.nbp .nbp-table tbody tr.nbp-more td{padding-top:0;white-space:normal;overflow-wrap:anywhere}
.nbp .nbp-table .nbp-num{text-align:right;font-variant-numeric:tabular-nums}
.nbp .nbp-table tbody th{font-weight:400;color:var(--jp-ui-font-color2,inherit)}
.nbp .nbp-code,.nbp pre{font-family:var(--jp-code-font-family,ui-monospace,monospace);
font-size:12px}
.nbp .nbp-table td.nbp-path{width:45%;max-width:0;min-width:170px;overflow:hidden;
text-overflow:ellipsis}
.nbp .nbp-table td.nbp-host{max-width:220px;overflow:hidden;text-overflow:ellipsis}
.nbp .nbp-chip{display:inline-block;min-width:28px;padding:0 7px;border-radius:9px;color:#fff;
background:#59636e;font-size:11.5px;font-weight:600;line-height:17px;text-align:center;
font-variant-numeric:tabular-nums}
.nbp .nbp-s2{background:#1a7f37}.nbp .nbp-s3{background:#0969da}
.nbp .nbp-s4{background:#9a5b00}.nbp .nbp-s5,.nbp .nbp-serr{background:#cf222e}
.nbp .nbp-sheld{background:#8250df}
.nbp .nbp-open{background:transparent;color:inherit;box-shadow:inset 0 0 0 1px currentColor;
opacity:.7}
.nbp .nbp-took{display:inline-block;min-width:50px;text-align:right;
font-variant-numeric:tabular-nums}
.nbp .nbp-facts tbody th{width:1%;padding-right:24px}
.nbp .nbp-table.nbp-facts td{white-space:normal;overflow-wrap:anywhere}
.nbp .nbp-bar{display:inline-block;vertical-align:middle;width:64px;height:6px;margin-left:8px;
border-radius:3px;overflow:hidden;background:var(--jp-layout-color2,rgba(128,128,128,.2));
white-space:nowrap;font-size:0}
.nbp .nbp-bar div{display:inline-block;height:6px}
.nbp .nbp-wait{background:#8fb8e8}.nbp .nbp-recv{background:#2f7fd6}
.nbp details{margin:6px 0;border:1px solid var(--jp-border-color2,rgba(128,128,128,.35));
border-radius:6px;overflow:hidden}
.nbp summary{cursor:pointer;padding:4px 10px;font-weight:600;
background:var(--jp-layout-color2,rgba(128,128,128,.12))}
.nbp summary .nbp-dim{font-weight:400;margin-left:8px}
.nbp pre{margin:0;padding:8px 10px;white-space:pre-wrap;overflow-wrap:anywhere;color:inherit;
background:transparent;border:0;max-height:420px;overflow:auto;line-height:1.4}
.nbp .nbp-part{border-top:1px solid var(--jp-border-color3,rgba(128,128,128,.16));
padding:4px 10px 0}
.nbp pre b{font-weight:600}
.nbp .nbp-body{border-top:1px solid var(--jp-border-color3,rgba(128,128,128,.16))}
.nbp .nbp-note{padding:4px 10px;font-size:12px}
.nbp img{display:block;max-width:min(100%,480px);max-height:320px;margin:8px 10px;
background:repeating-conic-gradient(rgba(128,128,128,.25) 0 25%,transparent 0 50%) 0 0/16px 16px}
</style>"""


def tag(name: str, content: str, css: str = "", **attributes: str) -> str:
    """An element around markup; attributes are escaped here, the content is not."""
    if css:
        attributes = {"class": css, **attributes}
    inside = "".join(f' {key}="{html.escape(value)}"' for key, value in attributes.items())
    return f"<{name}{inside}>{content}</{name}>"


def as_html(text: str) -> str:
    """Text that is fit to be shown, as markup."""
    return html.escape(text)


def plain(value: object, limit: int = 200) -> str:
    """Text from the wire in one bounded line, tokens masked."""
    text = value if isinstance(value, str) else str(value)
    return visible(default_masker().mask_text(text[:_LOOK_AT]), limit)


def remarks(flow: HTTPFlow, limit: int = 200) -> list[str]:
    """Its mark and its comment, what there is of them; the usual mark as a star."""
    mark = "★" if flow.marked == ":default:" else flow.marked
    return [plain(text, limit) for text in (mark, flow.comment) if text]


def path_text(path: str, limit: int = 160) -> str:
    """A path with its query, or a URL, masked."""
    return visible(default_masker().mask_url(path[:_LOOK_AT]), limit)


def header_text(name: str, value: str, limit: int = 1000) -> str:
    """The value of a field, masked."""
    return visible(default_masker().mask_header(name, value[:_LOOK_AT]), limit)


def size_text(size_bytes: int) -> str:
    """A size for people: "0 B", "512 B", "3.4 kB", "12 MB"."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    number = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB"):
        number /= 1000
        if number < 999.5 or unit == "TB":
            break
    return f"{number:.1f} {unit}" if number < 9.95 else f"{number:.0f} {unit}"


def duration_text(seconds: float | None) -> str:
    """A duration for people: "<1 ms", "12 ms", "1.24 s", "3 min 5 s"; "" if it is not known."""
    if seconds is None:
        return ""
    if seconds < 0.001:
        return "<1 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def clock_text(timestamp: float | None) -> str:
    """The time of day where we are, to the millisecond; "" if it is not known."""
    moment = _moment(timestamp)
    return "" if moment is None else moment.astimezone().strftime("%H:%M:%S.%f")[:-3]


def moment_text(timestamp: float | None) -> str:
    """Date, time and offset where we are; "" if it is not known."""
    moment = _moment(timestamp)
    return "" if moment is None else moment.astimezone().isoformat(" ", "milliseconds")


def _moment(timestamp: float | None) -> datetime | None:
    if not timestamp:
        return None
    try:
        return datetime.fromtimestamp(timestamp, UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def state_text(flow: HTTPFlow) -> str:
    """How far a flow is: its status code, "error", "held", or "…" while it is under way."""
    if flow.intercepted:
        return "held"
    if flow.response is not None:
        return visible(str(flow.response.status_code), 10)
    return "error" if flow.error is not None else "…"


def state_chip(flow: HTTPFlow) -> str:
    """The state as markup: the text says it, the colour repeats it."""
    text = state_text(flow)
    kinds = {"held": "nbp-sheld", "error": "nbp-serr", "…": "nbp-open"}
    css = kinds.get(text) or f"nbp-s{text[:1] if text[:1] in '2345' else '0'}"
    title = {"…": "under way", "held": "held: resume or kill it"}.get(text, "")
    if flow.response is not None and text not in kinds:
        title = plain(flow.response.reason, 60)
    more = {"title": title} if title else {}
    return tag("span", as_html(text), f"nbp-chip {css}", **more)


def bar(flow: HTTPFlow, longest_s: float) -> str:
    """The duration as a bar: waiting for the response, then receiving it."""
    duration = flow.duration
    if duration is None or longest_s <= 0:
        return ""
    waited = min(flow.ttfb or 0.0, duration)
    total = max(3.0, 100 * duration / longest_s)
    wait = total * waited / duration if duration else 0.0
    parts = (("nbp-wait", wait), ("nbp-recv", total - wait))
    inside = "".join(tag("div", "", css, style=f"width:{p:.0f}%") for css, p in parts if p >= 0.5)
    title = f"{duration_text(waited)} until the first byte, {duration_text(duration)} in all"
    return tag("div", inside, "nbp-bar", title=title, role="img")
