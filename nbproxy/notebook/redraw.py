"""`nbproxy.live(function)`: a function of the frame, redrawn under its cell while traffic passes.

The function is called with the frame whenever flows have come or changed: on the thread that draws
live tables, at most four times a second, and for at most a twentieth of the time, so that neither
the proxy nor a cell is held up. What it returns is shown as if it were a cell's last line; a plot
of matplotlib as a picture. What it prints appears under its cell, each time anew.
"""

from __future__ import annotations

import base64
import contextlib
import html
import io
import sys
from typing import TYPE_CHECKING, Any

from nbproxy import _current
from nbproxy.handlers.reports import cut
from nbproxy.model.escape import visible
from nbproxy.notebook import state
from nbproxy.store.view import Flows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell

    from nbproxy.notebook.live import Bundle

    Follow: TypeAlias = Callable[[Flows, Callable[[bool], Bundle]], Callable[[], None]]

_MESSAGE = 500  # characters of an error


def live(function: Callable[[pd.DataFrame], Any], flows: Flows | None = None) -> Live | None:
    """Show what a function makes of the frame, and redraw it under this cell as traffic passes.

    At most four times a second, and never at the proxy's cost: on a thread of its own, for a
    twentieth of the time at most. Running the cell again, or deleting its output, ends it. If the
    function fails later on, the last picture stays, with a line that says why.

    Args:
        function: Is given the frame (`nbproxy.df`) and returns what is to be shown: a frame, a
            plot of matplotlib, anything that a cell's last line may be. Called on another thread
            than cells, so it should plot into axes of its own where a cell plots too.
        flows: Those of the frame; `nbproxy.flows` by default, or `nbproxy.flows.filter(...)`.

    Returns:
        A handle: `.off()` ends it, `.error` says why the last call failed. None outside IPython,
        where what the function returns is printed once.

    Raises:
        TypeError: This is no function, or these are no flows.
        Exception: What the function raises when it is called for the first time.

    Example:
        >>> nbproxy.live(lambda df: df.groupby("host").size().plot.barh())  # doctest: +SKIP
    """
    if not callable(function):
        raise TypeError(f"live() takes a function of the frame, not {type(function).__name__}")
    session = state.session
    if flows is None:
        flows = _current.get(started=False).flows
    elif not isinstance(flows, Flows):
        raise TypeError(f"live() follows flows such as nbproxy.flows, not {type(flows).__name__}")
    if session is None:
        print(function(flows.df))  # noqa: T201 - there is nobody else to show it
        return None
    try:
        return Live(session.shell, session.follow, flows, function)
    except Exception as error:
        cut(error)
        raise


class Live:
    """A display that follows the flows; `live` makes one.

    Attributes:
        updates: How often the function was called.
        error: Why the last call failed, None if it did not.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        follow: Follow,
        flows: Flows,
        function: Callable[..., Any],
    ) -> None:
        self.updates = 0
        self.error: BaseException | None = None
        self._shell = shell
        self._flows = flows
        self._function = function
        self._last: Bundle = {}
        self._stop = follow(flows, self._picture)

    def off(self) -> None:
        """Draw no more; what is shown stays. A second call changes nothing."""
        self._stop()

    def _picture(self, _live: bool) -> Bundle:
        """What the function makes of the frame now, by media type.

        Raises:
            Exception: What the function raises when it is called for the first time.
        """
        flows = self._flows.df
        self.updates += 1
        try:
            with _figures() as drawn:
                result = self._function(flows)
                self._last = self._bundle(result, _figure_of(result) or drawn())
        except Exception as error:
            cut(error)
            if flows.empty:  # few functions know how to draw nothing
                return {"text/plain": "nothing to show yet: there are no flows"}
            self.error = error
            if not self._last and self.updates == 1:
                raise
            return self._failed(error)
        self.error = None
        return self._last

    def _bundle(self, result: Any, figure: Any) -> Bundle:
        if figure is not None:
            return {"image/png": _png(figure), "text/plain": f"<{type(figure).__name__}>"}
        if result is None:
            return {"text/plain": ""}
        data, _ = self._shell.display_formatter.format(result)  # type: ignore[union-attr] # a kernel has one
        return {kind: _text(value) for kind, value in data.items()}

    def _failed(self, error: Exception) -> Bundle:
        """The last good picture with a line that says why there is no newer one."""
        text = visible(f"this is not current: {summary_of(error)}", _MESSAGE)
        last = self._last
        shown = {"text/plain": f"{last.get('text/plain', '')}\n{text}".strip()}
        page = last.get("text/html")
        if page is None and "image/png" in last:
            page = f'<img src="data:image/png;base64,{last["image/png"]}">'
        if page is not None:
            shown["text/html"] = f"{page}<p>⚠ {html.escape(text)}</p>"
        return shown

    def _ipython_display_(self) -> None:
        """As a cell's last line it shows nothing: the picture is there already."""

    def __repr__(self) -> str:
        state = f", failing: {summary_of(self.error)}" if self.error is not None else ""
        return f"<Live: {self.updates} updates{state}>"


def summary_of(error: BaseException) -> str:
    """An exception in a line."""
    return f"{type(error).__name__}: {error}"


def _text(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


@contextlib.contextmanager
def _figures() -> Iterator[Callable[[], Any]]:
    """Closes the figures that pyplot makes meanwhile; gives a function that finds the last drawn.

    One of our own is the current one, so that `Series.plot` does not draw into somebody else's.
    """
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    before = set(pyplot.get_fignums()) if pyplot is not None else set()
    if pyplot is not None:
        pyplot.figure()

    def made() -> list[int]:
        now: Any = sys.modules.get("matplotlib.pyplot")
        return sorted(set(now.get_fignums()) - before) if now is not None else []

    def drawn() -> Any:
        managers: Any = sys.modules.get("matplotlib._pylab_helpers")
        figures = [managers.Gcf.figs[number].canvas.figure for number in made()]
        return next((figure for figure in reversed(figures) if figure.axes), None)

    try:
        yield drawn
    finally:
        for number in made():
            sys.modules["matplotlib.pyplot"].close(number)


def _figure_of(result: Any) -> Any:
    """The figure that a result of matplotlib is in; None if it is something else."""
    module: Any = sys.modules.get("matplotlib.figure")
    if module is None:
        return None
    flat = getattr(result, "flat", None)  # an array of axes, as `subplots=True` gives
    if flat is not None and str(getattr(result, "dtype", "")) == "object" and len(flat):
        result = flat[0]
    if isinstance(result, module.Figure):
        return result
    figure = getattr(result, "figure", None)
    return figure if isinstance(figure, module.Figure) else None


def _png(figure: Any) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="png", bbox_inches="tight")
    return base64.b64encode(data.getvalue()).decode()
