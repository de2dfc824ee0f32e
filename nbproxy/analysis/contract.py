"""What analysis needs of flows: a frame of all, and single ones by id.

`nbproxy.store.view.Flows` fulfils it. This room stands below the store, so that the store's views
can have the methods; it never asks for more than this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from nbproxy.model.flow import HTTPFlow


class FlowsLike(Protocol):
    """A view of flows."""

    @property
    def df(self) -> pd.DataFrame:
        """One row a flow, indexed by id, with the columns of `nbproxy.store.schema`."""
        ...

    def by_id(self, number: int) -> HTTPFlow:
        """The flow with this id.

        Raises:
            KeyError: It is not here any more.
        """
        ...

    def __iter__(self) -> Iterator[HTTPFlow]: ...

    def __len__(self) -> int: ...
