"""Asking a script's view of bodies, in the manner of its release.

Until 0.17 a view is called with Python 2's byte string, `headers` and `query`; until 6 with bytes,
and `message` and `flow` besides, and its `content_types` (or `should_render`) say what it fits.
Since 7 it gets `content_type`, `flow` and `http_message`, and `render_priority` says how well it
fits. All of these give a description and lines, which are lists of a style and a text. Since 12
`prettify` gives text, and is told all by one object. What decides is the view, not the release of
its script: each is offered what its function takes.
"""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any, Final

from nbproxy.contentviews.added import Laid
from nbproxy.model.message import Request, Response
from nbproxy.scripts.bytetext import text as byte_text
from nbproxy.scripts.compat import flows
from nbproxy.scripts.compat.contentviews import Metadata, View

if TYPE_CHECKING:
    from nbproxy.contentviews.body import Body
    from nbproxy.scripts.compat.classic_host import ClassicHost
    from nbproxy.scripts.eras import Era

#: Characters of a view's text that are taken; the rest is not even asked for.
MAX_TEXT: Final = 2**20
_SYNTAXES: Final = frozenset({"css", "javascript", "xml", "yaml"})


def is_modern(view: Any) -> bool:
    """Whether a view is written as since 12."""
    return callable(getattr(view, "prettify", None))


def layout_name(view: Any) -> str:
    """The function of a view that lays bodies out."""
    return "prettify" if is_modern(view) else "__call__"


def rating_name(view: Any) -> str:
    """What of a view says how well it fits."""
    own = getattr(type(view), "render_priority", None)
    if is_modern(view) or own not in (None, View.render_priority):
        return "render_priority"
    return "should_render" if hasattr(view, "should_render") else "content_types"


def rating(view: Any, era: Era, body: Body, host: ClassicHost | None) -> float:
    """How well a view fits a body. Calls its code, and raises what that raises."""
    name = rating_name(view)
    kind = body.media_type
    if name == "content_types":
        types = getattr(view, "content_types", None) or ()
        return float(kind in {str(each).lower() for each in types})
    function = getattr(view, name, None)
    if function is None:  # `prettify` and no more
        return 0.0
    data, about = _data(era, body), _about(era, body, host)
    if name == "should_render":
        first = kind if [*inspect.signature(function).parameters][:1] == ["content_type"] else data
        return float(bool(function(first, **_taken(function, about))))
    if is_modern(view):
        found = function(data, _metadata(about, body))
    else:
        found = function(data, **_taken(function, about))
    number = float(found or 0)
    return 0.0 if math.isnan(number) else number


def lay_out(view: Any, era: Era, body: Body, host: ClassicHost | None) -> Laid | None:
    """A body laid out; None if the view gives nothing. Raises what its code raises."""
    data, about = _data(era, body), _about(era, body, host)
    if is_modern(view):
        made = view.prettify(data, _metadata(about, body))
        syntax = str(getattr(view, "syntax_highlight", ""))
    else:
        made = view(data, **_taken(view, about))
        syntax = ""
    if made is None:
        return None
    description, content = "", made
    if not isinstance(made, (str, bytes, bytearray)):
        description, content = made
    text, notes = _text(content)
    kept = syntax if syntax in _SYNTAXES else ""
    return Laid(text, kept, _decoded(description or ""), notes)


# -- what it is given


def _data(era: Era, body: Body) -> Any:
    return byte_text(body.data) if era.has_context else body.data


def _about(era: Era, body: Body, host: ClassicHost | None) -> dict[str, Any]:
    """All that views of a release, or of those near it, ask for by name."""
    message = body.message
    # bytes from elsewhere have a head all the same: views until 6 take `headers` for granted
    real = message or Response.make(200, b"", {"content-type": body.content_type})
    shown = _shown(era, real, host)
    return {
        "content_type": body.media_type or None,
        # until 0.17 no view was told of the flow, and to show it renews what hooks hold of it
        "flow": None if era.has_context else flows.view(era, body.flow),
        "http_message": shown if message is not None else None,
        "message": shown,
        "headers": shown.headers,
        "query": shown.query if isinstance(real, Request) else None,
    }


def _shown(era: Era, value: Any, host: ClassicHost | None) -> Any:
    if not era.has_context:
        return flows.view(era, value)
    from nbproxy.scripts.compat import classic  # noqa: PLC0415 - old scripts only

    return classic.view(era.value, value, host)


def _metadata(about: dict[str, Any], body: Body) -> Metadata:
    names = ("flow", "content_type", "http_message")
    return Metadata(**{name: about[name] for name in names}, original_data=body.data)


def _taken(function: Any, about: dict[str, Any]) -> dict[str, Any]:
    """Of what there is to tell, what a function takes behind its first argument."""
    first, *others = inspect.signature(function).parameters.values()
    if any(each.kind is each.VAR_KEYWORD for each in others):
        return {name: value for name, value in about.items() if name != first.name}
    return {each.name: about[each.name] for each in others if each.name in about}


# -- what it gives


def _text(content: Any) -> tuple[str, tuple[str, ...]]:
    """Text of lines, or of text; as much of it as is taken."""
    if isinstance(content, (str, bytes, bytearray)):
        text = _decoded(content)
    else:
        lines, length = [], 0
        for line in content:
            lines.append(_line(line))
            length += len(lines[-1]) + 1
            if length - 1 > MAX_TEXT:
                break
        text = "\n".join(lines)
    if len(text) <= MAX_TEXT:
        return text, ()
    return text[:MAX_TEXT], (f"It gave more than {MAX_TEXT:,} characters; the rest is left out.",)


def _line(line: Any) -> str:
    """A line: pieces, each a style and a text."""
    if isinstance(line, (str, bytes, bytearray)):
        return _decoded(line)
    pieces = [line] if _is_piece(line) else line
    return "".join(_decoded(piece[1] if _is_piece(piece) else piece) for piece in pieces)


def _is_piece(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str)


def _decoded(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "backslashreplace")
    return str(value)
