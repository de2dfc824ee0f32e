"""Views of bodies: what a request, a response or any bytes hold, laid out for a reader.

`names` says which views fit a body, `render` gives a part of one as data that is safe to show:
secrets masked, active characters escaped, time and memory bounded whatever the body holds. Nothing
here executes, resolves or loads what a body speaks of. Views that scripts add by mitmproxy's
`contentviews.add` take part; of these code of the user runs, apart and for a bounded time.
"""

from __future__ import annotations

from nbproxy.contentviews.body import Body
from nbproxy.contentviews.choosing import VIEWS, names, render
from nbproxy.contentviews.view import Image, Node, View

__all__ = ["VIEWS", "Body", "Image", "Node", "View", "names", "render"]
