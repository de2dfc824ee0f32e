"""Flows as scripts since 0.18 know them; the views of their parts are found here as well."""

from __future__ import annotations

import time
from typing import Any, ClassVar, Final

from nbproxy.model.connection import Client as RealClient
from nbproxy.model.connection import Server as RealServer
from nbproxy.model.flow import Error as RealError
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request as RealRequest
from nbproxy.model.message import Response as RealResponse
from nbproxy.scripts.compat.connections import Address, Certificate, Client, Connection, Server
from nbproxy.scripts.compat.messages import (
    Message,
    OldWebSocketMessage,
    Request,
    Response,
    make_error_response,
)
from nbproxy.scripts.compat.views import View, real, text_id
from nbproxy.scripts.eras import Era

__all__ = [
    "Address",
    "Certificate",
    "Client",
    "Connection",
    "ControlException",
    "Error",
    "Flow",
    "Live",
    "Message",
    "Reply",
    "Request",
    "Response",
    "Server",
    "View",
    "make_error_response",
    "real",
    "text_id",
    "view",
]


class ControlException(Exception):  # noqa: N818 - mitmproxy's name
    """A flow cannot be controlled so (any more)."""


def view(era: Era, value: Any) -> Any:
    """The view of a flow, a message or a connection; anything else is given back as it is."""
    for kind, wrapper in _VIEWS:
        if isinstance(value, kind):
            return wrapper.of(value, era)
    return value


class Error(View):
    """`flow.Error`."""

    KILLED_MESSAGE = "Connection killed."
    shown = "an error"

    def __init__(self, msg: str, timestamp: float | None = None) -> None:
        self._adopt(RealError(msg, time.time() if timestamp is None else timestamp))

    @property
    def msg(self) -> str:
        """The cause, in words."""
        msg = str(self._real.msg)
        if msg != RealError.KILLED_MESSAGE:
            return msg
        return self.KILLED_MESSAGE if self._era >= Era.F else self.KILLED_MESSAGE.rstrip(".")

    @msg.setter
    def msg(self, value: str) -> None:
        self._real.msg = value

    def __str__(self) -> str:
        return self.msg


class Reply:
    """What `flow.reply` was from 0.18 to 7.0: lets go, kills, or answers."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self.state = "taken" if flow._era > Era.D else "handled"  # noqa: SLF001 - one of ours
        self.has_message = False

    def __call__(self, message: Any = None) -> None:
        """Go on, or answer."""
        self.send(message)

    def ack(self, force: bool = False) -> None:
        """Go on."""

    def take(self) -> None:
        """The script will commit later: handled by holding the flow."""
        self.state = "taken"

    def commit(self) -> None:
        """Go on, or be gone."""
        self.state = "committed"

    def send(self, message: Any, force: bool = False) -> None:  # noqa: ARG002 - as above
        """Answer with a response."""
        if isinstance(message, (Response, RealResponse)):
            self._flow.response = message
            self.has_message = True

    def kill(self, force: bool = False) -> None:  # noqa: ARG002 - as above
        """Kill the flow."""
        if self._flow.killable:
            self._flow.kill()


class Live:
    """What `flow.live` was until 6: the layer that carries the flow."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    def set_server(self, address: Any, *_: Any, **__: Any) -> None:
        """Go to another server."""
        own = real(self._flow)
        own.request.host, own.request.port = address[0], address[1]

    change_server = set_server

    def change_upstream_proxy_server(self, address: Any) -> None:
        """There is no upstream mode to change."""
        raise NotImplementedError(
            f"cannot send this flow through {address!r}: nbproxy has no upstream mode yet; "
            "set flow.request.host and .port instead"
        )


class Flow(View):
    """`http.HTTPFlow`."""

    shown = "a flow"
    hints: ClassVar = {
        "match": "since mitmproxy 0.18 it is `flowfilter.match(expression, flow)`",
        "intercepting": "since mitmproxy 0.11 it is `intercepted`",
    }

    def __init__(self, client_conn: Any = None, server_conn: Any = None, live: Any = None) -> None:  # noqa: ARG002 - mitmproxy's signature
        request = RealRequest("GET", "http", "localhost", 80, "/")
        own = HTTPFlow(request, real(client_conn), real(server_conn))
        self._adopt(own)

    @property
    def id(self) -> str:
        """A UUID."""
        metadata = self._real.metadata
        return str(metadata.get("original_id") or text_id(self._real.id))

    @property
    def request(self) -> Request:
        """The request."""
        return Request.of(self._real.request, self._era)

    @request.setter
    def request(self, value: Any) -> None:
        self._real.request = real(value)

    @property
    def response(self) -> Response | None:
        """The response; None while there is none."""
        response = self._real.response
        return None if response is None else Response.of(response, self._era)

    @response.setter
    def response(self, value: Any) -> None:
        self._real.response = real(value)

    @property
    def error(self) -> Error | None:
        """Why it failed, or None."""
        error = self._real.error
        return None if error is None else Error.of(error, self._era)

    @error.setter
    def error(self, value: Any) -> None:
        self._real.error = real(value)

    @property
    def client_conn(self) -> Client:
        """The client's connection."""
        return Client.of(self._real.client_conn, self._era)

    @client_conn.setter
    def client_conn(self, value: Any) -> None:
        self._real.client_conn = real(value)

    @property
    def server_conn(self) -> Server:
        """The connection to the server; in a tunnel its address is known before it is made."""
        own = self._real.server_conn
        if own.address is None and self._real.client_conn.tunnel is not None:
            own.address = self._real.client_conn.tunnel
        return Server.of(own, self._era)

    @server_conn.setter
    def server_conn(self, value: Any) -> None:
        self._real.server_conn = real(value)

    @property
    def marked(self) -> Any:
        """A mark: true or false until 6, text since."""
        marked = self._real.marked
        return bool(marked) if self._era <= Era.F else marked

    @marked.setter
    def marked(self, value: Any) -> None:
        self._real.marked = value

    @property
    def live(self) -> Any:
        """Whether it is under way; until 6 the layer that carries it, or False."""
        live = self._real.live
        return Live(self) if live and self._era <= Era.F else live

    @property
    def reply(self) -> Reply:
        """The reply object; gone since 8."""
        if self._era >= Era.H:
            raise AttributeError(
                "flow.reply is gone since mitmproxy 8.0: assign flow.response, or use "
                "flow.kill(), flow.intercept(), flow.resume()"
            )
        found = self._real.__dict__.get("_nbproxy_reply")
        if found is None or found._flow is not self:  # noqa: SLF001 - one of ours
            found = self._real.__dict__["_nbproxy_reply"] = Reply(self)
        return found  # type: ignore[no-any-return]

    @property
    def mode(self) -> str:
        """How the client came to us."""
        return "regular"

    def accept_intercept(self, _master: Any = None) -> None:
        """Let it go, as it was called in 0.18."""
        self._real.resume()

    # -- WebSocket flows until 6 were flows of their own

    @property
    def messages(self) -> list[OldWebSocketMessage]:
        """The messages of a WebSocket, as they were until 6; since then in `flow.websocket`."""
        websocket = self._real.websocket
        if websocket is None or self._era >= Era.G:
            raise AttributeError("this flow has no messages; since 7 they are in flow.websocket")
        return [OldWebSocketMessage(message) for message in websocket.messages]

    @property
    def handshake_flow(self) -> Any:
        """The HTTP flow that began it: the same one here."""
        return self

    @property
    def ended(self) -> bool:
        """Whether the WebSocket was closed."""
        websocket = self._real.websocket
        return websocket is not None and websocket.timestamp_end is not None

    # -- control

    def kill(self, _master: Any = None) -> None:
        """Cut it off."""
        try:
            self._real.kill()
        except ValueError as error:
            raise ControlException(str(error)) from None

    def intercept(self, _master: Any = None) -> None:
        """Hold it at this hook."""
        self._real.intercept()

    def resume(self) -> None:
        """Let it go."""
        self._real.resume()

    # -- versions

    def copy(self) -> Any:
        """An independent flow with the same content."""
        return Flow.of(self._real.copy(), self._era)

    def backup(self, force: bool = False) -> None:
        """Remember it as it is now, if it is not remembered already."""
        if force or "_nbproxy_backup" not in self._real.__dict__:
            self._real.__dict__["_nbproxy_backup"] = self._real.copy()

    def modified(self) -> bool:
        """Whether it differs from what was remembered."""
        backup = self._real.__dict__.get("_nbproxy_backup")
        return backup is not None and _state(backup) != _state(self._real)

    def revert(self) -> None:
        """Make it what was remembered."""
        backup = self._real.__dict__.pop("_nbproxy_backup", None)
        if backup is not None:
            own = self._real
            own.request, own.response, own.error = backup.request, backup.response, backup.error

    def replace(self, pattern: Any, repl: Any, flags: int = 0, count: int = 0) -> int:
        """Replace in request and response; gives the count (until 5.1)."""
        total = self.request.replace(pattern, repl, flags, count)
        if self.response is not None:
            total += self.response.replace(pattern, repl, flags, count)
        return total

    def get_state(self) -> dict[str, Any]:
        """All of it as plain data, in the layout of today's files."""
        from nbproxy.formats import mitm  # noqa: PLC0415 - seldom needed

        return {**mitm.to_state(self._real), "id": self.id}

    def set_state(self, state: Any) -> None:
        """Become what a state says, of whatever release's layout it is."""
        from nbproxy.scripts.compat.classic_state import load  # noqa: PLC0415 - as above

        load(self._real, state)

    @classmethod
    def from_state(cls, state: Any) -> Any:
        """A flow of a state."""
        from nbproxy.formats import mitm  # noqa: PLC0415 - as above

        return cls.of(mitm.from_state(state), cls.era)

    def __repr__(self) -> str:
        own = self._real
        lines = ["<HTTPFlow"]
        for name in ("request", "response", "error", "client_conn", "server_conn"):
            value = getattr(own, name)
            if value is not None:
                lines.append(f"  {name} = {value!r}")
        return "\r\n".join(lines) + "\r\n>"


def _state(flow: HTTPFlow) -> Any:
    from nbproxy.formats import mitm  # noqa: PLC0415 - seldom needed

    state = mitm.to_state(flow)
    return state["request"], state["response"], state["error"]


_VIEWS: Final[tuple[tuple[type, type[View]], ...]] = (
    (HTTPFlow, Flow),
    (RealClient, Client),
    (RealServer, Server),
    (RealRequest, Request),
    (RealResponse, Response),
    (RealError, Error),
)
