"""Views that others add to those built in: what such a view promises, and where all of them are.

They are asked as those built in are, by `names` and `render`. Those who keep views (the scripts of
a proxy) join `ADDED` and say when theirs have changed; they are held weakly, so that a proxy which
nobody holds any more takes its views with it.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from nbproxy.contentviews.body import Body


@dataclass(frozen=True, slots=True)
class Laid:
    """A body as an added view lays it out: text of any kind, neither masked nor escaped.

    Attributes:
        text: The whole of it.
        syntax: What it is written in, see `View.syntax`; also "yaml".
        description: What the view says of it in a few words, or "".
        notes: Sentences on what was cut.
    """

    text: str
    syntax: str = ""
    description: str = ""
    notes: tuple[str, ...] = ()


class AddedView(Protocol):
    """A view that is not built in. Its calls take a bounded time; from any thread."""

    @property
    def name(self) -> str:
        """What people call it, one line."""
        ...

    @property
    def by(self) -> str:
        """Who added it, one line."""
        ...

    def rate(self, body: Body) -> float:
        """How well it fits: from 1 before the views built in, from 0 before plain text.

        Never raises. Until 0 it is there for who asks for it by its name.
        """
        ...

    def lay_out(self, body: Body, *, again: bool) -> Laid:
        """A body laid out.

        Args:
            body: Not empty.
            again: A later part of the same is wanted: what was kept will do.

        Raises:
            ValueError: It failed, in words for people.
        """
        ...


class Source(Protocol):
    """Who keeps views."""

    def shown(self) -> Iterable[AddedView]:
        """Those there are, by distinct names in whatever case, in order."""
        ...


class Additions:
    """All added views, of all sources; from any thread.

    Attributes:
        revision: Changes whenever views come or go.
    """

    def __init__(self) -> None:
        self.revision = 0
        self._sources: tuple[weakref.ref[Source], ...] = ()
        self._lock = threading.Lock()

    def join(self, source: Source) -> None:
        """Ask a source from now on, for as long as somebody else holds it."""
        with self._lock:
            found = [each for each in self._sources if each() is not None]
            if all(each() is not source for each in found):
                found.append(weakref.ref(source))
            self._sources = tuple(found)

    def changed(self) -> None:
        """Views came or went."""
        with self._lock:
            self.revision += 1

    def views(self, taken: Container[str]) -> dict[str, AddedView]:
        """Every view by the name that it is asked for with.

        Args:
            taken: Names, in lower case, that are others' already: a view of such a name gets a
                number behind it.
        """
        found: dict[str, AddedView] = {}
        lower: set[str] = set()
        for source in [each() for each in self._sources]:
            for view in source.shown() if source is not None else ():
                name, number = view.name, 1
                while name.lower() in taken or name.lower() in lower:
                    number += 1
                    name = f"{view.name} ({number})"
                lower.add(name.lower())
                found[name] = view
        return found


ADDED: Final = Additions()
"""Those of this process, whatever proxy their scripts belong to."""
