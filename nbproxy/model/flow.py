"""A flow: one recorded conversation.

An `HTTPFlow` is one exchange, request and response. While it is `live` the engine owns it and
waits at each hook; handlers may change it there. Afterwards it is a record.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from nbproxy.model import url
from nbproxy.model.connection import Client, Server
from nbproxy.model.escape import visible
from nbproxy.model.masking import default_masker
from nbproxy.model.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbproxy.model.message import Request, Response
    from nbproxy.model.websocket import WebSocketData

VIEW_PREFIX: Final = "_view_"
"""What the names of attributes begin with that have what a script sees of an object."""

_ids = itertools.count()


def take_ids(count: int) -> list[int]:
    """Numbers for so many flows that exist elsewhere; ascending, and nobody else gets them."""
    return list(itertools.islice(_ids, count))


class Error:
    """Why a flow failed.

    Attributes:
        msg: The cause, in words.
        timestamp: When, Unix seconds.
    """

    KILLED_MESSAGE = "killed by a handler"

    def __init__(self, msg: str, timestamp: float = 0.0) -> None:
        self.msg = msg
        self.timestamp = timestamp

    def __str__(self) -> str:
        return self.msg

    def __repr__(self) -> str:
        return f"<Error {_shown(self.msg)}>"


def _shown(text: str) -> str:
    """What an error says, in one line without secrets; it may quote the peer."""
    return visible(default_masker().mask_text(text), 200)


class Control(Protocol):
    """How a live flow reaches the exchange that carries it; the engine's side of it."""

    def resume(self) -> None:
        """Let a held flow go on. From any thread."""
        ...

    def kill(self) -> None:
        """Cut the exchange. From any thread."""
        ...


class Flow(Record):
    """What flows of every kind have.

    Attributes:
        id: Number of the flow, counted from 0 in the order of beginning; unique in this process.
        type: "http".
        client_conn: The connection from the client.
        server_conn: The connection to the server.
        error: Why it failed, or None.
        metadata: For handlers: anything by name; kept with the flow.
        comment: For people.
        marked: A mark for people: "" for none, else a name such as ":red_circle:".
        intercepted: True while it is held.
        hold_s: How long the handler that called `intercept` wants it held, in seconds; 0 for the
            option `intercept_timeout`, None if none did.
        is_replay: "request", "response" or None.
        timestamp_created: When it began, Unix seconds.
    """

    type = "flow"
    __slots__ = (
        "_comment",
        "_control",
        "_guard",
        "_id",
        "_marked",
        "_metadata",
        "_observer",
        "client_conn",
        "error",
        "hold_s",
        "intercepted",
        "is_replay",
        "server_conn",
        "timestamp_created",
    )

    def __init__(
        self, client_conn: Client | None = None, server_conn: Server | None = None
    ) -> None:
        self.client_conn = client_conn if client_conn is not None else Client()
        self.server_conn = server_conn if server_conn is not None else Server()
        self.timestamp_created = 0.0
        self.error: Error | None = None
        self.intercepted = False
        self.hold_s: float | None = None
        self.is_replay: str | None = None
        self._id: int | None = None
        self._comment = ""
        self._marked = ""
        self._metadata: dict[str, Any] | None = None
        self._control: Control | None = None
        self._observer: Callable[[Flow], None] | None = None
        self._guard: Callable[[Any], None] | None = None

    @property
    def id(self) -> int:
        """Number of the flow, given when somebody first asks: when it is recorded."""
        number = self._id
        if number is None:
            number = self._id = next(_ids)
        return number

    @property
    def metadata(self) -> dict[str, Any]:
        """For handlers: anything by name; kept with the flow."""
        if self._metadata is None:
            self._metadata = {}
        return self._metadata

    @metadata.setter
    def metadata(self, value: dict[str, Any]) -> None:
        self._metadata = value

    @property
    def comment(self) -> str:
        """Free text for people; a column of the frame."""
        return self._comment

    @comment.setter
    def comment(self, value: str) -> None:
        self._comment = value
        self._changed()

    @property
    def marked(self) -> str:
        """A mark for people, "" for none; a column of the frame. True stands for ":default:"."""
        return self._marked

    @marked.setter
    def marked(self, value: str | bool) -> None:
        self._marked = (":default:" if value else "") if isinstance(value, bool) else value
        self._changed()

    @property
    def live(self) -> bool:
        """True while the exchange is under way."""
        return self._control is not None

    @property
    def killable(self) -> bool:
        """True while `kill` has an effect."""
        return self.live and self.error is None

    def kill(self) -> None:
        """Cut the exchange: the client gets no answer, its connection is closed. Any thread."""
        control = self._control
        if control is None:
            raise ValueError(f"flow {self.id} is over, it cannot be killed any more")
        if self.error is None:
            self.error = Error(Error.KILLED_MESSAGE)
        self.intercepted = False
        control.kill()

    def intercept(self, timeout: float = 0.0) -> None:
        """Hold the flow at the hook that is running now, until `resume` or `kill`.

        Args:
            timeout: Seconds after which it goes on unchanged; 0 for the option
                `intercept_timeout`.
        """
        if self.live:
            self.hold_s = timeout
            self.intercepted = True
            self._changed()

    def resume(self) -> None:
        """Let a held flow go on. From any thread; nothing happens if it is not held."""
        if self.intercepted:
            self.intercepted = False
            if self._control is not None:
                self._control.resume()
            self._changed()

    def __del__(self) -> None:
        """Tell whoever lent this object that nobody needs it any more."""
        guard = self._guard
        if guard is not None:
            self._guard = None
            guard(self)

    def _changed(self) -> None:
        """Tell whoever keeps the flow (the store) that something shown has changed."""
        if self._observer is not None:
            self._observer(self)


class HTTPFlow(Flow):
    """One exchange.

    Attributes:
        request: The request.
        response: The response; None while there is none. A handler that assigns one in `request`
            answers in the server's place.
        websocket: The WebSocket's messages, or None.
    """

    type = "http"
    __slots__ = ("request", "response", "websocket")
    runner: ClassVar[Callable[..., HTTPFlow] | None] = None
    """What `run` calls. `nbproxy.owners` sets it: the model knows no scripts."""
    replayer: ClassVar[Callable[..., Any] | None] = None
    """What `replay` calls. `nbproxy.owners` sets it: the model sends nothing."""

    def __init__(
        self,
        request: Request,
        client_conn: Client | None = None,
        server_conn: Server | None = None,
    ) -> None:
        super().__init__(client_conn, server_conn)
        self.request = request
        self.response: Response | None = None
        self.websocket: WebSocketData | None = None
        self.timestamp_created = request.timestamp_start

    @property
    def duration(self) -> float | None:
        """Seconds from the request's first byte to the response's last; None if it has not come."""
        response = self.response
        if response is None or response.timestamp_end is None:
            return None
        return max(0.0, response.timestamp_end - self.request.timestamp_start)

    @property
    def ttfb(self) -> float | None:
        """Seconds from the request's first byte to the response's first; None before that."""
        response = self.response
        if response is None or not response.timestamp_start:
            return None
        return max(0.0, response.timestamp_start - self.request.timestamp_start)

    def run(self, script: Any, *, era: str | float | None = None) -> HTTPFlow:
        """Run a script over this flow alone; the flow stays as it is.

        Args:
            script: A path with arguments, or an addon object, as for `nbproxy.load`; or a function
                of a flow, which is called for the hook it is named like, else for `response`.
            era: The release it was written for; by default it is recognised.

        Returns:
            A new flow, as the script left it.

        Raises:
            ScriptError: The script cannot be loaded.
            TypeError: It is neither a path nor an object with hooks.
        """
        if self.runner is None:
            raise RuntimeError("nothing runs scripts yet: import nbproxy.proxy")
        __tracebackhide__ = True
        return self.runner(self, script, era=era)

    async def replay(self, **changes: Any) -> HTTPFlow:
        """Send the request again, with changes; this flow stays as it is.

        It goes through the handlers of the proxy that recorded it, else of the notebook's own, and
        is recorded there; `metadata["replayed_from"]` of the new flow is this flow's id.

        Args:
            **changes: `method`, `url` (or a path on the same server), `params` (fields of the
                query) and `headers`, whose values replace, and None removes; a body by one of
                `json`, `data` (fields of a form, as `params`), `text` and `content` (bytes). And
                `proxy`: another proxy to send it.

        Returns:
            The new flow when it is over; if it failed, it has an `error`.

        Raises:
            ValueError: It cannot be sent so.
            RuntimeError: No proxy is running that could send it.

        Example:
            >>> new = await flow.replay(params={"page": 2}, headers={"cookie": None})
            ... # doctest: +SKIP
        """
        __tracebackhide__ = True
        found: HTTPFlow = await self._replayer()(self, changes, sync=False)
        return found

    def replay_sync(self, **changes: Any) -> HTTPFlow:
        """The same as `replay`, for code that cannot await. An interrupt ends it.

        Raises:
            ValueError: It cannot be sent so.
            RuntimeError: No proxy is running that could send it; or this was called by a handler
                or a coroutine on the proxy's own loop.
        """
        __tracebackhide__ = True
        found: HTTPFlow = self._replayer()(self, changes, sync=True)
        return found

    def _replayer(self) -> Callable[..., Any]:
        if self.replayer is None:
            raise RuntimeError("nothing sends requests yet: import nbproxy.proxy")
        return self.replayer

    def copy(self) -> HTTPFlow:
        """An independent flow with the same content and a new id; not live."""
        other = HTTPFlow(self.request.copy(), self.client_conn, self.server_conn)
        other.response = self.response.copy() if self.response is not None else None
        other.error = self.error
        other.is_replay = self.is_replay
        other.websocket = self.websocket.copy() if self.websocket is not None else None
        other._comment, other._marked = self._comment, self._marked
        other.timestamp_created = self.timestamp_created
        if self._metadata is not None:
            other.metadata = dict(self._metadata)
        return other

    def __repr__(self) -> str:
        request = self.request
        # no path: it may carry secrets, and reprs end up in notebooks
        where = url.hostport(request.scheme, request.host, request.port)
        outcome = "…"
        if self.response is not None:
            outcome = str(self.response.status_code)
        elif self.error is not None:
            outcome = _shown(self.error.msg)
        return f"<HTTPFlow {self.id}: {request.method} {request.scheme}://{where} → {outcome}>"
