"""The views of bodies that scripts add: kept by name, and asked in the manner of their releases.

A view is code of the user, called when somebody looks at a body: in a thread of its own, for a
bounded time, and with what fails in it in the log, under the script's name. It belongs to one
execution of its script and goes away with that, when the script is loaded again or taken out.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nbproxy.contentviews.added import ADDED, Laid
from nbproxy.handlers import reports
from nbproxy.model.escape import visible
from nbproxy.scripts.bounded import Bounded
from nbproxy.scripts.compat import viewing
from nbproxy.scripts.eras import Era
from nbproxy.scripts.program import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nbproxy.contentviews.body import Body
    from nbproxy.scripts.script import Script

#: How long a view may think about whether it fits, and how long it may take for a body, in seconds.
RATE_S: Final = 3.0
LAY_OUT_S: Final = 10.0
_NAME: Final = 60  # characters of a name


class ScriptView:
    """A view that a script added: a `nbproxy.contentviews.AddedView`.

    Args:
        given: What the script gave: an object, or its class.
        script: The script; None for views that belong to none.
        execution: Which execution of it.

    Attributes:
        view: The object.
        name: What people call it.
        by: The script, without its folder.
        prompt: Its shortcut in mitmproxy's console until 2.0; scripts rely on its being checked.
    """

    def __init__(self, given: Any, script: Script | None = None, execution: int = 0) -> None:
        self.given = given
        self.view = given() if isinstance(given, type) else given
        self.script, self.execution = script, execution
        name = str(getattr(self.view, "name", "")) or type(self.view).__name__
        self.name = visible(name, _NAME)
        self.by = visible(Path(script.label).name if script is not None else "a script", _NAME)
        self.prompt = getattr(self.view, "prompt", None)
        self._era = script.era if script is not None else Era.H
        # apart: a body that takes its time must not make the view look slow in rating
        self._rating = Bounded(f"nbproxy-rating-{self.name}")
        self._laying_out = Bounded(f"nbproxy-view-{self.name}")
        self._is_slow = False
        self._told: set[tuple[str, object]] = set()
        self._kept: tuple[bytes, str, Laid] | None = None

    def is_same(self, given: Any) -> bool:
        """Whether a script means this one."""
        return given is self.given or given is self.view

    def is_alike(self, given: Any) -> bool:
        """Whether it is of the same making as one that a script means."""
        return type(self.view) is (given if isinstance(given, type) else type(given))

    def rate(self, body: Body) -> float:
        """How well it fits; 0 if it fails, or did not come to an end before."""
        if self._is_slow:
            return 0.0
        host = self.script.classic_host if self.script is not None else None
        what = viewing.rating_name(self.view)
        try:
            rating = self._call(
                self._rating,
                what,
                lambda: viewing.rating(self.view, self._era, body, host),
                RATE_S,
            )
        except TimeoutError:
            self._is_slow = True
            later = "it is not asked again, and shown only to who chooses it"
            self._complain(what, f"{what} of the view {self.name} took {RATE_S:g} s: {later}")
            return 0.0
        except ValueError:
            return 0.0
        return float(rating)

    def lay_out(self, body: Body, *, again: bool) -> Laid:
        """A body laid out.

        Raises:
            ValueError: It failed, gave nothing, or took too long.
        """
        kept = self._kept
        if again and kept is not None and kept[:2] == (body.data, body.content_type):
            return kept[2]
        host = self.script.classic_host if self.script is not None else None
        what = viewing.layout_name(self.view)
        try:
            laid: Laid | None = self._call(
                self._laying_out,
                what,
                lambda: viewing.lay_out(self.view, self._era, body, host),
                LAY_OUT_S,
            )
        except TimeoutError:
            text = f"{what} of the view {self.name} took more than {LAY_OUT_S:g} s for a body"
            self._complain(what, f"{text} and was given up")
            raise ValueError(f"it took more than {LAY_OUT_S:g} s and was given up") from None
        if laid is None:
            raise ValueError("it gave nothing for this body")
        self._kept = (body.data, body.content_type, laid)
        return laid

    def _call(
        self, bounded: Bounded, what: str, function: Callable[[], Any], limit_s: float
    ) -> Any:
        if self.script is not None:
            function = self.script.with_output(function)
        value, failure = bounded.call(function, limit_s)
        if failure is not None:
            raise ValueError(self._report(what, failure))
        return value

    def _report(self, what: str, failure: BaseException) -> str:
        """Put a failure into the log, each place once; gives it in words."""
        path = ""
        if self.script is not None:
            path = str(self.script.file or self.script.label)
        told = refusal(failure, path)  # cuts the traceback, too
        if self.script is not None:
            place = (what, reports.location(failure))
            if place in self._told:
                self.script.errors += 1
            else:
                self._told.add(place)
                self.script.failed(f"{what} of the view {self.name}", failure)
        line = f", line {told.line}" if told.line is not None else ""
        return f"{told.message} ({self.by}{line}); the log has the traceback"

    def _complain(self, what: str, text: str) -> None:
        if self.script is not None and (what, "late") not in self._told:
            self._told.add((what, "late"))
            self.script.say("error", f"{text}.")

    def __repr__(self) -> str:
        return f"<View {self.name}, by {self.by}>"


class Contentviews:
    """The views that scripts have added, by name in any case; from any thread.

    Attributes:
        all: All of them, in order; of a name there may be several.
    """

    def __init__(self) -> None:
        self.all: tuple[ScriptView, ...] = ()
        self._lock = threading.Lock()

    def of(self, script: Script) -> OwnViews:
        """Those of one script, for it to add and remove."""
        return OwnViews(self, script)

    @property
    def views(self) -> dict[str, Any]:
        """The views, by name in lower case; of several of a name the last."""
        return {each.name.lower(): each.view for each in self.all}

    def shown(self) -> Iterable[ScriptView]:
        """The same as those take part who show bodies: `nbproxy.contentviews.added.Source`."""
        return {each.name.lower(): each for each in self.all}.values()

    def add(self, view: Any) -> None:
        """Add a view, an object or its class.

        Raises:
            ValueError: There is one of that name, or one with its key.
        """
        self.put(ScriptView(view))

    def remove(self, view: Any) -> None:
        """Remove a view; one that is not there does not matter."""
        self.drop(lambda each: each.is_same(view))

    def get(self, name: str) -> Any:
        """The view of that name, or None."""
        return self.views.get(name.lower())

    def put(self, new: ScriptView) -> None:
        """Add a view.

        Raises:
            ValueError: As `add`. Since 12 a view takes the place of one of its name. One of an
                execution of the same script before this one does not matter: it is about to go.
        """
        with self._lock:
            others = [e for e in self.all if e.script is not new.script or new.script is None]
            others += [e for e in self.all if e not in others and e.execution == new.execution]
            if not viewing.is_modern(new.view) and any(
                each.name.lower() == new.name.lower() for each in others
            ):
                raise ValueError(f"Duplicate view: {new.name}")
            if new.prompt and any(each.prompt == new.prompt for each in others):
                raise ValueError(f"Duplicate view shortcut: {new.prompt}")
            self.all = (*self.all, new)
        ADDED.join(self)
        ADDED.changed()

    def drop(self, test: Callable[[ScriptView], bool]) -> bool:
        """Remove all views that a test says; whether there were any."""
        with self._lock:
            left = tuple(each for each in self.all if not test(each))
            some = len(left) < len(self.all)
            self.all = left
        if some:
            ADDED.changed()
        return some


class OwnViews:
    """`contentviews` of one script.

    Args:
        views: Those of all.
        script: The script.

    Attributes:
        offered: False for a script that meets no traffic: what it adds is not shown.
    """

    def __init__(self, views: Contentviews, script: Script) -> None:
        self._views = views
        self._script = script
        self._execution = 0
        self.offered = True

    def add(self, view: Any) -> None:
        """Add a view, an object or its class.

        Raises:
            ValueError: See `Contentviews.put`.
        """
        if self.offered:
            self._views.put(ScriptView(view, self._script, self._execution))

    def remove(self, view: Any) -> None:
        """Remove a view of the script; one that is not there does not matter.

        While it is loaded again the former execution takes out what it has added, and the new one
        may have added the same object, of a module that both import: the older goes.
        """
        own = [each for each in self._views.all if each.script is self._script]
        found = [each for each in own if each.is_same(view)]
        found = found or [each for each in own if each.is_alike(view)]
        if found:
            oldest = min(found, key=lambda each: each.execution)
            self._views.drop(lambda each: each is oldest)

    def get(self, name: str) -> Any:
        """The view of that name, whoever added it, or None."""
        return self._views.get(name)

    def begin(self) -> None:
        """The script is executed anew: what it adds from now on belongs to that."""
        self._execution += 1

    def settle(self) -> None:
        """The new execution stays: what those before it added goes away."""
        now = self._execution
        self._views.drop(lambda each: each.script is self._script and each.execution < now)

    def withdraw(self) -> None:
        """The new execution failed: what it added goes away."""
        now = self._execution
        self._views.drop(lambda each: each.script is self._script and each.execution == now)
        self._execution -= 1

    def clear(self) -> None:
        """The script is taken out."""
        self._views.drop(lambda each: each.script is self._script)
