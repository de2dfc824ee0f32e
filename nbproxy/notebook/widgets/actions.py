"""What the buttons of the inspector do: to flows, to held flows, and to the notebook.

Each is a command (`nbproxy.notebook.widgets.commands`) and runs on the inspector's thread. What
takes the proxy's time, sending a request again, is handed to it and not waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nbproxy import filters, formats, saved
from nbproxy.notebook.shown import path_text, plain
from nbproxy.notebook.widgets import bodies, newcell
from nbproxy.notebook.widgets.detail import Eyes, describe
from nbproxy.notebook.widgets.editing import Editing, answer
from nbproxy.notebook.widgets.worker import aside
from nbproxy.replaying import prepared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from nbproxy.holding import Held
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Message
    from nbproxy.notebook.widgets.commands import Commands
    from nbproxy.proxy import Proxy
    from nbproxy.store.view import Flows

    Later = dict[str, Any] | Future[dict[str, Any]]
    """An answer; one that takes its time, or a script's, comes later, and keeps nobody waiting."""

#: How many flows are sent again, or marked, at a time.
MOST: Final = 1000

#: Seconds that a held flow waits while somebody edits it.
EDITING_S: Final = 600.0

_SHOWN_HELD: Final = 100
_RELEASED: Final = "released"  # what `nbproxy.holding` notes in a flow whose time was up


class Actions:
    """The commands about flows.

    Args:
        flows: The flows that are looked at.
        proxy: Which sends again and holds.
    """

    def __init__(self, flows: Flows, proxy: Proxy) -> None:
        self._flows = flows
        self._proxy = proxy
        self._editing = Editing()
        self._held_before: dict[tuple[int, str], tuple[HTTPFlow, Any]] = {}
        self._expired = [0, -1]
        self._saving: list[_Saving] = []

    def register(self, commands: Commands) -> None:
        """Put them into a table."""
        for run in (
            *(self.detail, self.body, self.editable, self.curl, self.url, self.code),
            *(self.replay, self.send, self.mark, self.commented, self.comment, self.save),
            *(self.intercept, self.resume, self.resume_all, self.kill, self.edit, self.answer),
            *(self.extend, self.remove),
        ):
            commands.add(run.__name__, run)

    def state(self) -> dict[str, Any]:
        """What there is to know besides flows: where the proxy listens, what it holds."""
        proxy = self._proxy
        running = proxy.running
        intercepts = proxy.intercepts
        held = intercepts.held
        return {
            "listening": running,
            "url": proxy.url if running else "",
            "can_intercept": running,
            "intercept": ", ".join(rule.filter or "~all" for rule in intercepts.rules)[:200],
            "held": [_held(each) for each in held[:_SHOWN_HELD]],
            "held_count": len(held),
            "body_views": bodies.revision(),
            "expired": self._note_expired(held),
            "saving": self._note_saving(),
        }

    def _note_expired(self, held: Sequence[Held]) -> list[int]:
        """How many flows went on because their time was up, as far as seen, and the last one."""
        before, now = self._held_before, {}
        for each in held:
            key = each.flow.id, each.hook
            now[key] = before.get(key) or (each.flow, each.flow.metadata.get(_RELEASED))
        for key in before.keys() - now.keys():
            flow, noted = before[key]
            if flow.metadata.get(_RELEASED) is not noted:  # not `!=`: the same may be noted twice
                self._expired = [self._expired[0] + 1, flow.id]
        self._held_before = now
        return self._expired

    def _note_saving(self) -> list[int]:
        """How many flows are written by now, and how many are to be; nothing if none are."""
        some = tuple(self._saving)
        return [sum(each.done for each in some), sum(each.total for each in some)] if some else []

    def _flow(self, number: int) -> HTTPFlow:
        """A flow by id; of the inspected ones, or one that is held by the proxy."""
        flow = self._flows.store.get(int(number))
        if flow is None:
            raise KeyError(f"flow {number} is not there any more")
        return flow

    def _some(self, numbers: Sequence[int]) -> list[HTTPFlow]:
        return [self._flow(number) for number in list(numbers)[:MOST]]

    def _message(self, number: int, side: str) -> Message:
        flow = self._flow(number)
        message = flow.request if side == "request" else flow.response
        if message is None:
            raise ValueError(f"flow {number} has no response")
        return message

    # -- looking

    def detail(self, flow: int, *, reveal: bool = False) -> Later:
        """All about a flow but its bodies."""
        of = self._flow(flow)

        def look() -> dict[str, Any]:
            return describe(of, Eyes(bool(reveal)))

        return aside(look, f"nbproxy-detail-{flow}") if bodies.runs_scripts() else look()

    def body(
        self, flow: int, side: str, view: str, offset: int = 0, *, reveal: bool = False
    ) -> Later:
        """A part of a body."""
        message, of = self._message(flow, side), self._flow(flow)

        def render() -> dict[str, Any]:
            return bodies.render(message, view, int(offset), reveal=bool(reveal), flow=of)

        return aside(render, f"nbproxy-body-{flow}") if bodies.runs_scripts(view) else render()

    def editable(self, flow: int, side: str) -> dict[str, Any]:
        """A message as text for the editor."""
        return self._editing.editable(self._message(flow, side))

    # -- taking away

    def curl(self, flow: int) -> str:
        """The request as a command, for the clipboard: with its secrets."""
        return formats.curl_command(self._flow(flow))

    def url(self, flow: int) -> str:
        """The request's URL, for the clipboard."""
        return self._flow(flow).request.url

    def code(self, flow: int, library: str) -> str:
        """The request as code for a cell, without secrets."""
        return newcell.code(self._flow(flow), library)

    def save(self, flows: Sequence[int], path: str) -> Later:
        """Write flows to a file; relative to the kernel's folder."""
        name = path.strip()
        if not name:
            raise ValueError("a file needs a name, such as flows.har")
        saving = _Saving(self._flows.of(sorted(flows)))

        def write() -> dict[str, Any]:
            self._saving.append(saving)
            try:
                return {"count": saved.save(saving, name), "path": name}
            finally:
                self._saving.remove(saving)

        return aside(write, "nbproxy-save")

    # -- changing

    def mark(self, flows: Sequence[int], mark: str) -> int:
        """Mark flows, or with "" take marks off; how many."""
        some = self._some(flows)
        for flow in some:
            flow.marked = str(mark)[:100]
        return len(some)

    def commented(self, flow: int) -> str:
        """A flow's comment to be edited: as it is, where `detail` gives one masked line of it."""
        return self._flow(flow).comment

    def comment(self, flows: Sequence[int], text: str) -> int:
        """Comment on flows; how many."""
        some = self._some(flows)
        for flow in some:
            flow.comment = str(text)[:10_000]
        return len(some)

    def remove(self, flows: Sequence[int]) -> None:
        """Forget flows."""
        self._flows.store.remove([int(number) for number in flows])

    # -- sending again

    def replay(self, flows: Sequence[int]) -> list[int]:
        """Send requests again as they were; the ids of the new flows."""
        return [self._resend(flow, flow.request.copy()) for flow in self._some(flows)]

    def send(self, flow: int, edited: dict[str, Any]) -> int:
        """Send a request again as it was edited; the id of the new flow."""
        original = self._flow(flow)
        request = original.request.copy()
        self._editing.apply(request, edited)
        return self._resend(original, request)

    def _resend(self, original: HTTPFlow, request: Any) -> int:
        request.stream = False
        new = prepared(original, request)
        self._proxy.resend(new)
        return new.id

    # -- holding

    def intercept(self, source: str) -> None:
        """Hold flows that match; "" ends it, and lets what is held go on."""
        if not source.strip():
            self._proxy.intercepts.off()
            return
        filters.parse(source)
        self._proxy.intercept(source.strip())

    def resume(self, flows: Sequence[int]) -> None:
        """Let held flows go on."""
        for number in flows:
            self._proxy.intercepts.resume(int(number))

    def resume_all(self) -> int:
        """Let all held flows go on."""
        return self._proxy.intercepts.resume_all()

    def kill(self, flows: Sequence[int]) -> None:
        """End held flows."""
        for number in flows:
            self._proxy.intercepts.kill(int(number))

    def extend(self, flow: int) -> None:
        """Somebody is editing a held flow: give it the time for that."""
        self._proxy.intercepts.extend(self._held(flow), EDITING_S)

    def edit(self, flow: int, edited: dict[str, Any]) -> None:
        """Change a held message, and let its flow go on."""
        held = self._held(flow)
        message = held.request if edited.get("side") == "request" else held.response
        if message is None:
            raise ValueError(f"flow {flow} has no response yet")
        trial = message.copy()  # a mistake must leave the flow as it is
        self._editing.apply(trial, edited)
        self._editing.apply(message, edited)
        self._proxy.intercepts.resume(held)

    def answer(self, flow: int, edited: dict[str, Any]) -> None:
        """Answer a held flow."""
        self._proxy.intercepts.answer(self._held(flow), answer(edited))

    def _held(self, number: int) -> HTTPFlow:
        for each in self._proxy.intercepts.held:
            if each.flow.id == int(number):
                return each.flow
        raise ValueError(f"flow {number} is not held any more")


class _Saving:
    """Flows on their way to a file: gives them one after the other, and counts."""

    def __init__(self, flows: Flows) -> None:
        self.done = 0
        self.total = len(flows)
        self._flows = flows

    def __iter__(self) -> Iterator[HTTPFlow]:
        for flow in self._flows:
            yield flow
            self.done += 1


def _held(each: Held) -> dict[str, Any]:
    """A held flow for the queue."""
    request = each.flow.request
    return {
        "id": each.flow.id,
        "method": plain(request.method, 20),
        "url": path_text(request.url, 500),
        "side": "response" if each.hook == "response" else "request",
        "until": round(1000 * each.deadline),
    }
