"""`mitmproxy.io`: readers and writers of saved flows for scripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbproxy.errors import FormatError
from nbproxy.scripts.compat.flows import real

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class FlowReadException(Exception):  # noqa: N818 - mitmproxy's name
    """A file of flows cannot be read."""


def reader(show: Callable[[Any], Any]) -> type:
    """`FlowReader` whose flows are seen by a script's era.

    Args:
        show: From a real flow to the script's view of it.
    """

    class FlowReader:
        """Reads flows from a binary file."""

        def __init__(self, fo: Any) -> None:
            self.fo = fo

        def stream(self) -> Iterator[Any]:
            """The flows, one by one."""
            from nbproxy.formats import mitm  # noqa: PLC0415 - seldom needed

            try:
                for flow in mitm.read(self.fo):
                    yield show(flow)
            except FormatError as error:
                raise FlowReadException(str(error)) from None

    return FlowReader


class FlowWriter:
    """Writes flows to a binary file; a text file such as standard output is taken too."""

    def __init__(self, fo: Any) -> None:
        from nbproxy.formats import mitm  # noqa: PLC0415 - seldom needed

        self.fo = fo
        self._writer = mitm.Writer(getattr(fo, "buffer", fo))

    def add(self, flow: Any) -> None:
        """Append a flow."""
        self._writer.write(real(flow))
        flush = getattr(self.fo, "flush", None)
        if flush is not None:  # scripts never close their files
            flush()


class FilteredFlowWriter(FlowWriter):
    """Writes the flows that match."""

    def __init__(self, fo: Any, flt: Any) -> None:
        super().__init__(fo)
        self.flt = flt

    def add(self, flow: Any) -> None:
        """Append a flow if it matches."""
        if self.flt is None or self.flt(real(flow)):
            super().add(flow)


def read_flows_from_paths(show: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    """`io.read_flows_from_paths` for a script's era."""

    def read(paths: Any) -> list[Any]:
        flows: list[Any] = []
        for path in paths:
            with Path(path).expanduser().open("rb") as file:
                flows.extend(reader(show)(file).stream())
        return flows

    return read
