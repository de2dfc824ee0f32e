"""Flows for the tests of filters: real model classes, and the kinds that have no class yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nbproxy.model.connection import Client, Server
from nbproxy.model.flow import Error, Flow, HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response

Fields = tuple[tuple[bytes, bytes], ...]


@dataclass
class Piece:
    """A message of a WebSocket, TCP or UDP flow."""

    content: bytes
    from_client: bool


class WebSocketData:
    """What `flow.websocket` holds."""

    def __init__(self, *messages: Piece) -> None:
        self.messages = list(messages)


class RelayFlow(Flow):
    """A TCP or UDP flow."""

    def __init__(self, kind: str, *messages: Piece) -> None:
        super().__init__(http().client_conn, http().server_conn)
        self.type = kind
        self.messages = list(messages)


@dataclass
class Question:
    """The question of a DNS query."""

    name: str


@dataclass
class DNSMessage:
    """A DNS query or answer."""

    questions: list[Question]
    text: str

    def __str__(self) -> str:
        return self.text


class DNSFlow(Flow):
    """A DNS flow."""

    type = "dns"

    def __init__(self, request: DNSMessage, response: DNSMessage | None = None) -> None:
        super().__init__()
        self.request = request
        self.response = response


def http(
    *,
    method: str = "GET",
    host: str = "10.0.0.1",
    port: int = 80,
    path: str = "/",
    fields: Fields = ((b"Host", b"Foo.example"), (b"X-A", b"one")),
    body: bytes | None = b"",
    status: int | None = 200,
    response_fields: Fields = ((b"Content-Type", b"text/html; charset=utf-8"),),
    response_body: Any = b"",
    times: tuple[float, float | None, float | None] = (1000.0, 1000.25, 1000.5),
    error: str | None = None,
) -> HTTPFlow:
    """An exchange; without `status` there is no response.

    Args:
        times: First byte of the request, first and last of the response.
    """
    request = Request(
        method,
        "http",
        host,
        port,
        path,
        headers=Headers.from_wire(fields),
        content=body,
        timestamp_start=times[0],
    )
    client, server = Client(), Server((host, port))
    client.peername = ("127.0.0.1", 40000)
    server.peername = ("1.2.3.4", port)
    flow = HTTPFlow(request, client, server)
    if status is not None:
        flow.response = Response(
            status,
            headers=Headers.from_wire(response_fields),
            content=response_body,
            timestamp_start=times[1] or 0.0,
        )
        flow.response.timestamp_end = times[2]
    if error is not None:
        flow.error = Error(error)
    return flow


def websocket() -> HTTPFlow:
    """A WebSocket: both sides said hello."""
    flow = http(status=101)
    flow.websocket = WebSocketData(Piece(b"hello server", True), Piece(b"hello\nclient", False))
    return flow


def dns() -> DNSFlow:
    """A DNS query with its answer."""
    return DNSFlow(
        DNSMessage([Question("dns.example")], "ask dns.example"),
        DNSMessage([Question("dns.example")], "dns.example is 10.1.1.1"),
    )
