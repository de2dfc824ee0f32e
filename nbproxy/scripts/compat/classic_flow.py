"""Flows, errors and replies as eras A to C knew them."""

from __future__ import annotations

from typing import Any, ClassVar

from nbproxy import filters
from nbproxy.errors import FilterError
from nbproxy.formats import mitm
from nbproxy.model import flow as model
from nbproxy.model import message as messages
from nbproxy.scripts.compat import classic_state
from nbproxy.scripts.compat.classic_connections import (
    ClientConnection,
    ConnectionHandler,
    ServerConnection,
    is_kill,
)
from nbproxy.scripts.compat.classic_messages import ClassicView
from nbproxy.scripts.compat.classic_request import REQUESTS
from nbproxy.scripts.compat.classic_response import RESPONSES
from nbproxy.scripts.compat.flows import real, text_id
from nbproxy.scripts.eras import Era

KILLED = "Connection killed"
"""What `error.msg` says of a flow that a script killed."""


class Error(ClassicView):
    """Why a flow failed."""

    _real: model.Error
    shown = "an error"
    _flow: Any = None

    def __init__(self, *args: Any) -> None:
        # era A: request, msg, timestamp; since: msg, timestamp
        words = [each for each in args if isinstance(each, str)]
        times = [each for each in args if isinstance(each, float)]
        own = model.Error(words[0] if words else "", times[0] if times else 0.0)
        self._adopt_in(own, Era.B)

    @property
    def msg(self) -> str:
        """The cause, in words."""
        killed = self._real.msg == model.Error.KILLED_MESSAGE
        return KILLED if killed else self._real.msg

    @msg.setter
    def msg(self, value: str) -> None:
        self._real.msg = value

    @property
    def timestamp(self) -> float:
        """When, Unix seconds."""
        return self._real.timestamp

    @property
    def request(self) -> Any:
        """Its request (era A)."""
        return self._flow.request if self._flow is not None else None

    @property
    def reply(self) -> Any:
        """Call it to go on (era A)."""
        return self._flow.reply

    def __str__(self) -> str:
        return self.msg

    __repr__ = __str__


class Reply:
    """`flow.reply`: nothing goes on, a response answers, KILL kills. The first call counts."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self.acked = False

    def __call__(self, message: Any = None) -> None:
        """Say how the flow goes on."""
        if self.acked:
            return
        self.acked = True
        own = self._flow.real_flow
        if isinstance(real(message), messages.Response):
            own.response = real(message)
        elif is_kill(message):
            self._flow.kill()
        elif own.intercepted:
            own.resume()

    def __repr__(self) -> str:
        return f"<Reply {'acked' if self.acked else 'open'}>"


class Live:
    """`flow.live`: the connection behind a flow that is under way."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    @property
    def c(self) -> ConnectionHandler:
        """Era B's ConnectionHandler."""
        flow = self._flow
        handler = ConnectionHandler.of(flow.real_flow.client_conn, flow._era)  # noqa: SLF001 - one of ours
        handler.server_conn = flow.server_conn
        return handler

    @property
    def client_conn(self) -> ClientConnection:
        """The client's connection."""
        client: ClientConnection = self._flow.client_conn
        return client

    @property
    def server_conn(self) -> ServerConnection:
        """The connection to the server."""
        server: ServerConnection = self._flow.server_conn
        return server

    def change_server(
        self,
        address: Any,
        ssl: bool | None = None,
        sni: Any = None,  # noqa: ARG002 - the era's signature
        force: bool = False,  # noqa: ARG002 - as above
        persistent_change: bool = False,  # noqa: ARG002 - as above
    ) -> bool:
        """Send this request elsewhere, with its URL as it is; True if that is a change."""
        own = self._flow.real_flow.request
        host, port = str(address[0]), int(address[1])
        changed = (own.host, own.port) != (host, port)
        request = self._flow.request
        request.host, request.port = host, port
        if ssl is not None:
            request.scheme = "https" if ssl else "http"
        return changed

    set_server = change_server

    def restore_server(self) -> None:
        """Nothing to do: a change is for one request."""

    def change_upstream_proxy_server(self, address: Any) -> None:
        """There is no upstream mode to change."""
        raise NotImplementedError(
            f"cannot send this flow through another proxy, {tuple(address)!r}: nbproxy sends "
            "requests to their servers; set flow.request.host and .port to send one elsewhere"
        )

    def __bool__(self) -> bool:
        return True


class Flow(ClassicView):
    """A flow. `flow.Flow` in era A, `HTTPFlow` since."""

    _real: model.HTTPFlow
    shown = "a flow"
    type = "http"
    _reply: Reply | None = None
    hints: ClassVar = {
        "marked": "it came with mitmproxy 0.18",
        "metadata": "it came with mitmproxy 1.0; set attributes of the flow instead",
        "comment": "it came with mitmproxy 7",
        "resume": "that name came with mitmproxy 1.0; it is `accept_intercept(master)` here",
        "is_replay": "it is `flow.request.is_replay` here",
        "websocket": "it came with mitmproxy 7",
    }

    def __init__(
        self,
        client_conn: Any = None,
        server_conn: Any = None,
        live: Any = None,  # noqa: ARG002 - the era's signature
    ) -> None:
        # era A: Flow(request)
        request = real(client_conn) if isinstance(real(client_conn), messages.Request) else None
        own = model.HTTPFlow(
            request or messages.Request("GET", "http", "localhost", 80, "/"),
            real(client_conn) if request is None else None,
            real(server_conn),
        )
        self._adopt_in(own, self.era)

    era = Era.B

    @property
    def real_flow(self) -> model.HTTPFlow:
        """The real one."""
        return self._real

    # -- what it has

    @property
    def request(self) -> Any:
        """The request."""
        return self._message(REQUESTS, self._real.request)

    @request.setter
    def request(self, value: Any) -> None:
        self._real.request = real(value)

    @property
    def response(self) -> Any:
        """The response; None as long as there is none."""
        return self._message(RESPONSES, self._real.response)

    @response.setter
    def response(self, value: Any) -> None:
        self._real.response = real(value)

    def _message(self, kinds: Any, own: Any) -> Any:
        if own is None:
            return None
        found = kinds[self._era].of(own, self._era)
        found.__dict__["_flow"] = self
        return found

    @property
    def error(self) -> Any:
        """Why it failed, or None."""
        own = self._real.error
        if own is None:
            return None
        found = Error.of(own, self._era)
        found._flow = self  # noqa: SLF001 - one of ours
        return found

    @error.setter
    def error(self, value: Any) -> None:
        self._real.error = real(value)

    @property
    def client_conn(self) -> Any:
        """The client's connection."""
        return ClientConnection.of(self._real.client_conn, self._era)

    @client_conn.setter
    def client_conn(self, value: Any) -> None:
        self._real.client_conn = real(value)

    @property
    def server_conn(self) -> Any:
        """The connection to the server."""
        return ServerConnection.of(self._real.server_conn, self._era)

    @server_conn.setter
    def server_conn(self, value: Any) -> None:
        self._real.server_conn = real(value)

    @property
    def id(self) -> str:
        """A UUID."""
        return text_id(self._real.id)

    @property
    def live(self) -> Any:
        """The connection behind it, False if it is over."""
        return Live(self) if self._real.live else False

    # -- control

    @property
    def reply(self) -> Reply:
        """Says how it goes on; each hook has a new one."""
        if self._reply is None:
            self._reply = Reply(self)
        return self._reply

    @reply.setter
    def reply(self, value: Any) -> None:
        self._reply = value

    def renew(self) -> None:
        """A hook is about to be called with it."""
        self._reply = None

    @property
    def intercepted(self) -> bool:
        """True while it is held."""
        return self._real.intercepted

    intercepting = intercepted

    def intercept(self, _master: Any = None) -> None:
        """Hold it at this hook."""
        self._real.intercept()

    def accept_intercept(self, _master: Any = None) -> None:
        """Let it go."""
        self._real.resume()

    def kill(self, _master: Any = None) -> None:
        """Cut it off; nothing happens if it is over."""
        if self._real.live:
            self._real.kill()
        elif self._real.error is None:
            self._real.error = model.Error(model.Error.KILLED_MESSAGE)

    # -- matching and replacing

    def match(self, expression: Any) -> bool:
        """Whether a filter, or the expression of one, speaks of this flow; None does of all.

        Raises:
            ValueError: The expression is none.
        """
        if not expression:
            return True
        if isinstance(expression, str):
            try:
                expression = filters.parse(expression, compat=True)
            except FilterError as error:
                raise ValueError(f"Invalid filter expression: {error}") from None
        return bool(expression(self._real))

    def replace(self, pattern: Any, repl: Any, *args: Any, **kwargs: Any) -> int:
        """Replace, by regex, in request and response; gives how often."""
        total: int = self.request.replace(pattern, repl, *args, **kwargs)
        if self.response is not None:
            total += self.response.replace(pattern, repl, *args, **kwargs)
        return total

    # -- versions

    def copy(self) -> Any:
        """An independent flow with the same content; not live."""
        return type(self).of(self._real.copy(), self._era)

    def backup(self, force: bool = False) -> None:
        """Remember it as it is, if it is not remembered already."""
        if force or self.__dict__.get("_backup") is None:
            self.__dict__["_backup"] = self._real.copy()

    def modified(self) -> bool:
        """Whether it differs from what was remembered; in era A, whether anything was."""
        backup = self.__dict__.get("_backup")
        if backup is None or self._era == "A":
            return backup is not None
        return bool(_content(backup) != _content(self._real))

    def revert(self) -> None:
        """Make it what was remembered."""
        backup = self.__dict__.pop("_backup", None)
        if backup is not None:
            own = self._real
            own.request, own.response, own.error = backup.request, backup.response, backup.error

    def get_state(self, short: bool = False) -> dict[str, Any]:  # noqa: ARG002 - the era's signature
        """All of it as plain data, in the layout of the era's files."""
        return classic_state.flow_state(self._real, self._era)

    def load_state(self, state: Any) -> None:
        """Become what a state says, of whatever release's layout it is."""
        classic_state.load(self._real, state)

    @classmethod
    def from_state(cls, state: Any) -> Any:
        """A flow of a state."""
        own = mitm.from_state(state)
        return cls.of(own, cls.era)

    set_state = load_state
    _get_state, _load_state, _from_state = get_state, load_state, from_state

    def __repr__(self) -> str:
        lines = ["<HTTPFlow"]
        for name in ("request", "response", "error", "client_conn", "server_conn"):
            value = getattr(self, name)
            if value is not None:
                lines.append(f"  {name} = {value!r}")
        return "\r\n".join(lines) + ">"


class FlowA(Flow):
    """`libmproxy.flow.Flow` of 0.8 to 0.10."""

    era = Era.A


class FlowB(Flow):
    """`libmproxy.protocol.http.HTTPFlow` of 0.11 to 0.13."""

    era = Era.B


class FlowC(Flow):
    """`models.HTTPFlow` of 0.14 to 0.17."""

    era = Era.C


FLOWS = {"A": FlowA, "B": FlowB, "C": FlowC}


def _content(flow: model.HTTPFlow) -> Any:
    request, response = flow.request, flow.response
    first: list[Any] = [request.method, request.url, request.headers.fields, request.raw_content]
    if response is not None:
        first += [response.status_code, response.reason, response.headers.fields]
        first.append(response.raw_content)
    return first
