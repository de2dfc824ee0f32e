"""mitmproxy's files of flows: every version since 0.8 is read, the current one is written.

A file is one typed netstring a flow (`nbproxy.formats.tnetstring`), so that flows can be appended
to it, and what stands before a damaged place can be read. What is read is brought to the current
layout first (`nbproxy.formats.mitm_upgrade`); `nbproxy.formats.mitm_import` then makes flows of it,
and `nbproxy.formats.mitm_export` makes of flows what is written.

What the model has no place for is not kept: the state before the first change ("backup"), the
certificate that was shown to the client, the ciphers that were offered, the proxy's mode. A flow's
id there is a UUID; it is found in `flow.metadata["original_id"]`, and used again when the flow is
written. Connections keep theirs, as a number.

In header fields of a file there may be line breaks, folded ones or forged ones; each becomes a
blank (RFC 9112, 5.2), so that a flow that is sent again has the fields that it shows.
"""

from __future__ import annotations

import io
import uuid
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Protocol

from nbproxy.errors import FormatError
from nbproxy.formats import tnetstring
from nbproxy.formats.mitm_export import connection_id, to_state
from nbproxy.formats.mitm_import import ORIGINAL_ID, Builder, kind_of
from nbproxy.formats.mitm_upgrade import Upgrader
from nbproxy.formats.notes import Notes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbproxy.formats.mitm_upgrade import State
    from nbproxy.formats.tnetstring import Readable
    from nbproxy.model.flow import HTTPFlow

__all__ = [
    "ORIGINAL_ID",
    "Writable",
    "Writer",
    "connection_id",
    "from_state",
    "read",
    "to_state",
    "write",
]

_REMEMBERED: Final = 50_000  # ids that a writer knows: copies follow their originals sooner


class Writable(Protocol):
    """What is written to: a file opened in binary mode."""

    def write(self, data: bytes, /) -> object:
        """Take all of it."""
        ...


def read(file: Readable, notes: Notes | None = None) -> Iterator[HTTPFlow]:
    """The HTTP flows of a file, one by one; not more than one of them is held.

    Args:
        file: Opened in binary mode; read to its end, not closed.
        notes: Told of TCP, UDP and DNS flows, which are left out.

    Raises:
        FormatError: The file is damaged, or of an unknown version; the flows before that place
            have been given. `offset` counts from where reading began.
    """
    upgrader, builder = Upgrader(), Builder()
    notes = Notes() if notes is None else notes
    for offset, state in tnetstring.read(file):
        try:
            current = upgrader.upgrade(state)
            kind = kind_of(current)
            flow = builder.flow(current) if kind == "http" else None
        except FormatError as error:
            error.offset = offset
            raise
        except KeyError as error:
            raise FormatError(f"the flow that begins here has no {error}", offset=offset) from None
        except (AttributeError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise FormatError(
                f"the flow that begins here is damaged: {error}", offset=offset
            ) from None
        if flow is None:
            notes.leave_out(f"{kind.upper()} flow")
        else:
            yield flow


def from_state(state: State) -> HTTPFlow:
    """The flow that a state of any version stands for; the inverse of `to_state`.

    Raises:
        FormatError: It is no state of an HTTP flow.
    """
    try:
        raw = tnetstring.write(state)
    except (TypeError, ValueError) as error:
        raise FormatError(f"this is no state of a flow: {error}") from None
    flows = list(read(io.BytesIO(raw)))
    if not flows:
        raise FormatError("this is no state of an HTTP flow")
    return flows[0]


class Writer:
    """Writes flows to a file; may be used to append to one.

    Args:
        file: Opened in binary mode for writing or appending; not closed.
        notes: Told of what could not be written.
    """

    def __init__(self, file: Writable, notes: Notes | None = None) -> None:
        self._file = file
        self._notes = Notes() if notes is None else notes
        self._ids: OrderedDict[str, None] = OrderedDict()

    def write(self, flow: HTTPFlow) -> None:
        """Append a flow, in one piece.

        Raises:
            OSError: The file, or that of a large body, cannot be used.
        """
        state = to_state(flow, self._notes)
        # mitmproxy keeps the first of two flows with one id: a copy and its original are two
        if state["id"] in self._ids:
            state["id"] = str(uuid.uuid4())
        self._ids[state["id"]] = None
        if len(self._ids) > _REMEMBERED:
            self._ids.popitem(last=False)
        self._file.write(tnetstring.write(state))


def write(flows: Iterable[HTTPFlow], file: Writable, notes: Notes | None = None) -> None:
    """Write flows to a file opened in binary mode.

    Raises:
        OSError: The file cannot be written.
    """
    writer = Writer(file, notes)
    for flow in flows:
        writer.write(flow)
