"""Web applications that answer in a server's place: WSGI of all eras, ASGI since 5.3."""

from __future__ import annotations

import io
import sys
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from nbproxy.handlers.concurrent import concurrent
from nbproxy.model.headers import Headers
from nbproxy.model.message import Response
from nbproxy.scripts.compat.flows import real

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Request


def matches(request: Request, host: str, port: int | None) -> bool:
    """Whether a request is for an application's name, by its target or by its Host field."""
    if port is not None and request.port != port:
        named = request.host_header or ""
        return named.lower() == f"{host}:{port}".lower()
    return host.lower() in {request.host.lower(), request.pretty_host.lower()}


def answer(app: Callable[..., Any], flow: HTTPFlow) -> None:
    """Have a WSGI application answer a flow; an exception becomes a 500."""
    try:
        flow.response = _call(app, flow)
    except Exception:  # noqa: BLE001 - the application's, shown to who asks it
        flow.response = Response.make(
            500, traceback.format_exc(), {"content-type": "text/plain; charset=utf-8"}
        )


def _call(app: Callable[..., Any], flow: HTTPFlow) -> Response:
    started: dict[str, Any] = {}

    def start_response(status: str, fields: Any, exc_info: Any = None) -> Callable[[bytes], None]:  # noqa: ARG001 - PEP 3333
        code, _, reason = status.partition(" ")
        started.update(code=int(code), reason=reason, fields=list(fields))
        return written.append

    written: list[bytes] = []
    result = app(environment(flow), start_response)
    try:
        body = b"".join([*written, *result])
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in started["fields"]]
    kept = [pair for pair in pairs if pair[0].lower() != b"content-length"]
    response = Response(started["code"], reason=started["reason"], headers=Headers(kept))
    response.raw_content = body
    response.headers["content-length"] = str(len(body))
    return response


def environment(flow: HTTPFlow) -> dict[str, Any]:
    """A request as WSGI gives it to an application (PEP 3333)."""
    request = flow.request
    path, _, query = request.path.partition("?")
    client = flow.client_conn.peername or ("127.0.0.1", 0)
    environ: dict[str, Any] = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": io.BytesIO(request.content or b""),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "SERVER_SOFTWARE": "nbproxy",
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path, "latin-1"),
        "QUERY_STRING": query,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": request.headers.get("content-length", ""),
        "SERVER_NAME": request.host,
        "SERVER_PORT": str(request.port),
        "SERVER_PROTOCOL": request.http_version,
        "REMOTE_ADDR": client[0],
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            environ[f"HTTP_{key}"] = value
    return environ


class WSGIApp:
    """An addon: a WSGI application under a name.

    Args:
        app: The application.
        host: The name.
        port: The port; None for any.
    """

    def __init__(self, app: Any, host: str, port: int | None) -> None:
        self.app, self.host, self.port = app, host, port

    @property
    def name(self) -> str:
        """What the addon is called."""
        return f"wsgiapp:{self.host}:{self.port}"

    @concurrent
    def request(self, flow: Any) -> None:
        """Answer what is for the name."""
        own = real(flow)
        if (
            own.response is None
            and own.error is None
            and matches(own.request, self.host, self.port)
        ):
            answer(self.app, own)


class ASGIApp:
    """An addon: an ASGI application under a name."""

    def __init__(self, asgi_app: Any, host: str, port: int | None) -> None:
        self.asgi_app, self.host, self.port = asgi_app, host, port

    @property
    def name(self) -> str:
        """What the addon is called."""
        return f"asgiapp:{self.host}:{self.port}"

    async def request(self, flow: Any) -> None:
        """Answer what is for the name."""
        own = real(flow)
        if (
            own.response is None
            and own.error is None
            and matches(own.request, self.host, self.port)
        ):
            await _answer_async(self.asgi_app, own)


async def _answer_async(app: Any, flow: HTTPFlow) -> None:
    request = flow.request
    path, _, query = request.path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.1"},
        "http_version": request.http_version.removeprefix("HTTP/"),
        "method": request.method,
        "scheme": request.scheme,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.fields],
        "client": list(flow.client_conn.peername or ("127.0.0.1", 0)),
        "server": [request.host, request.port],
        "extensions": {"nbproxy.master": None},
    }
    pending = [{"type": "http.request", "body": request.content or b"", "more_body": False}]
    response: dict[str, Any] = {"status": 500, "headers": []}
    body: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(event: dict[str, Any]) -> None:
        if event["type"] == "http.response.start":
            response.update(event)
        elif event["type"] == "http.response.body":
            body.append(event.get("body", b""))

    try:
        await app(scope, receive, send)
    except Exception:  # noqa: BLE001 - the application's, shown to who asks it
        text = traceback.format_exc()
        flow.response = Response.make(500, text, {"content-type": "text/plain; charset=utf-8"})
        return
    fields = [(n, v) for n, v in response["headers"] if n.lower() != b"content-length"]
    made = Response(response["status"], headers=Headers(fields))
    made.raw_content = b"".join(body)
    made.headers["content-length"] = str(made.body_size)
    flow.response = made


class Registry:
    """`context.app_registry` (0.11 to 0.17) and `ctx.master.apps` (0.18): WSGI by name and port.

    Args:
        register: Called with an addon for each application.
    """

    def __init__(self, register: Callable[[WSGIApp], None]) -> None:
        self._register = register
        self._apps: dict[tuple[str, int], Any] = {}

    def add(self, app: Any, domain: str, port: int) -> None:
        """Answer for a name with an application."""
        self._apps[domain, port] = app
        self._register(WSGIApp(app, domain, port))

    def get(self, request: Any) -> Any:
        """The application for a request, or None."""
        own = real(request)
        for (host, port), app in self._apps.items():
            if matches(own, host, port):
                return app
        return None


class WSGIAdaptor:
    """`netlib.wsgi.WSGIAdaptor`: the application; `context.app_registry.add` takes it as well."""

    def __init__(self, app: Any, domain: str, port: int, sversion: str = "") -> None:
        self.app, self.domain, self.port, self.sversion = app, domain, port, sversion

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Ask the application."""
        return self.app(environ, start_response)
