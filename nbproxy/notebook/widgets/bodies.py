"""Views of a body, a window at a time: what the tabs Request and Response show below the head.

The views themselves are `nbproxy.contentviews`. What comes out fits into JSON and is text, masked
and visible, or the data of an image that cannot hold anything active; the browser (`body.mjs`)
makes no markup of any of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nbproxy import contentviews
from nbproxy.contentviews.added import ADDED

if TYPE_CHECKING:
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Message

#: Characters in a window, roughly.
WINDOW: Final = 64 * 1024


def revision() -> int:
    """Changes when the views do that scripts have added."""
    return ADDED.revision


def views(message: Message, flow: HTTPFlow | None = None) -> list[str]:
    """The names of the views of a message's body, the best first; none if there is no body."""
    if not message.body_size:
        return []
    # fields of the query have a place of their own, beside the head
    return [name for name in contentviews.names(message, flow=flow) if name != "query"]


def runs_scripts(view: str = "") -> bool:
    """Whether a view runs a script's code, which may let one wait; "" for all, as `views` does."""
    return view not in contentviews.VIEWS if view else bool(ADDED.views(()))


def render(
    message: Message,
    view: str,
    offset: int = 0,
    limit: int = WINDOW,
    *,
    reveal: bool = False,
    flow: HTTPFlow | None = None,
) -> dict[str, Any]:
    """A part of a view, as `nbproxy.contentviews.View.to_dict` gives it.

    Raises:
        ValueError: There is no such view.
    """
    return contentviews.render(
        message, view, offset=offset, limit=limit, reveal=reveal, flow=flow
    ).to_dict()
