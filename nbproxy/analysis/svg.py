"""Pieces of SVG: text is escaped here, colours suit light and dark, and nothing runs or fetches.

The theme's colours come from Jupyter's variables; without them a picture takes the colour of the
text around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nbproxy.analysis.shown import cut, escaped, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable

STATUS_COLOURS: Final = {
    "1xx": "#8250df",
    "2xx": "#2da44e",
    "3xx": "#218bff",
    "4xx": "#d4a017",
    "5xx": "#cf222e",
    "unanswered": "#8c959f",
}
"""For bars: seen on white and on black."""

CHIP_COLOURS: Final = {
    "1xx": "#8250df",
    "2xx": "#1a7f37",
    "3xx": "#0969da",
    "4xx": "#9a5b00",
    "5xx": "#cf222e",
    "unanswered": "#59636e",
}
"""For the ground below white text: contrast above 4.5."""

_FONT: Final = "var(--jp-ui-font-family,system-ui,sans-serif)"
_TEXT: Final = "var(--jp-ui-font-color1,currentColor)"
_LETTER: Final = 0.56  # of the size: how wide a letter is, about
_BOLD_LETTER: Final = 0.63


def number(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def letter(size: float = 11.5, *, bold: bool = False) -> float:
    """How wide a letter of this size is, about, in pixels."""
    return size * (_BOLD_LETTER if bold else _LETTER)


def text(
    x: float,
    y: float,
    content: str,
    *,
    width: float = 0,
    size: float = 11.5,
    anchor: str = "start",
    dim: bool = False,
    bold: bool = False,
    fill: str = "",
    both_ends: bool = False,
) -> str:
    """Text on a base line; cut to a width in pixels if one is given, the whole as its title.

    `both_ends` leaves out the middle, not the end.
    """
    letters = max(1, int(width / letter(size, bold=bold))) if width else len(content)
    shown = shortened(content, letters) if both_ends else cut(content, letters)
    more = f' text-anchor="{anchor}"' if anchor != "start" else ""
    more += ' opacity="0.72"' if dim else ""
    more += ' font-weight="600"' if bold else ""
    more += f' style="fill:{fill}"' if fill else ""
    more += f' font-size="{number(size)}"' if size != 11.5 else ""
    title = f"<title>{escaped(content)}</title>" if shown != content else ""
    return f'<text x="{number(x)}" y="{number(y)}"{more}>{escaped(shown)}{title}</text>'


def rect(
    x: float,
    y: float,
    width: float,
    height: float,
    fill: str,
    *,
    title: str = "",
    radius: float = 0,
) -> str:
    """A filled rectangle; the title shows when the mouse is over it."""
    more = f' rx="{number(radius)}"' if radius else ""
    inside = f"<title>{escaped(title)}</title>" if title else ""
    return (
        f'<rect x="{number(x)}" y="{number(y)}" width="{number(max(width, 0.5))}" '
        f'height="{number(height)}" fill="{fill}"{more}>{inside}</rect>'
    )


def line(x1: float, y1: float, x2: float, y2: float, *, dashed: bool = False) -> str:
    """A thin grey line."""
    more = ' stroke-dasharray="2 3"' if dashed else ""
    return (
        f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}" '
        f'stroke="#8c959f" stroke-opacity="{0.9 if dashed else 0.35}"{more}/>'
    )


def chip(x: float, y: float, status: str, kind: str) -> str:
    """A status code, white on the colour of its class; centred at `x`, on the base line `y`."""
    ground = rect(x - 15, y - 10.5, 30, 14, CHIP_COLOURS[kind], radius=7)
    return ground + text(x, y, status, anchor="middle", size=10, bold=True, fill="#fff")


def legend(x: float, y: float, entries: Iterable[tuple[str, str]]) -> str:
    """Names and their colours, in a line."""
    parts = []
    for name, colour in entries:
        parts += [rect(x, y - 8, 10, 8, colour, radius=2), text(x + 14, y, name, size=11)]
        x += 14 + len(name) * letter(11) + 14
    return "".join(parts)


def document(width: float, height: float, content: str, label: str) -> str:
    """The picture as a whole: as wide as there is room, up to its own width.

    Args:
        width: Of the coordinates, in pixels.
        height: Likewise.
        content: Made by the functions above.
        label: What the picture shows, for those who do not see it.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escaped(label)}" '
        f'viewBox="0 0 {number(width)} {number(height)}" width="100%" '
        f'style="max-width:{number(width)}px;height:auto;display:block;font-family:{_FONT};'
        f'fill:{_TEXT}" font-size="11.5">{content}</svg>'
    )
