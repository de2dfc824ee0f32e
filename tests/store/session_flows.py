"""Flows of all kinds for tests of captures, and what equal flows are."""

import copy

from hypothesis import strategies as st

from nbproxy.model.connection import Client, Server
from nbproxy.model.flow import Error, HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response
from nbproxy.model.record import Record, attributes
from nbproxy.model.websocket import WebSocketData, WebSocketMessage
from nbproxy.store.chunks import CapturedBody

OF_EXCHANGE = {
    *("_decoded", "stream", "bandwidth", "_control", "_observer", "_guard", "_id", "hold_s"),
}


def plain(value):
    """What a value is made of, to be compared: equal parts, equal values."""
    if isinstance(value, CapturedBody):
        return ("bytes", repr(value.read()))
    if isinstance(value, Headers):
        return ("headers", value.fields)
    if isinstance(value, WebSocketData):
        return (
            "websocket",
            [plain(each) for each in value.messages],
            *tuple(
                getattr(value, name)
                for name in ("closed_by_client", "close_code", "close_reason", "timestamp_end")
            ),
        )
    if isinstance(value, (HTTPFlow, Request, Response, Error, Client, Server)):
        given = attributes(value) if isinstance(value, Record) else vars(value)
        given = {n: v for n, v in given.items() if n not in OF_EXCHANGE and n != "id"}
        if isinstance(value, (Client, Server)):
            usual = {n: v for n, v in given.items() if v is None and hasattr(type(value), n)}
            given = {n: v for n, v in given.items() if n not in usual}
            given.update((n, v) for n, v in usual.items() if getattr(type(value), n) is not None)
        for name in ("certificate_list", "alpn_offers"):  # sequences; of which kind is all the same
            if type(given.get(name)) is list:
                given[name] = tuple(given[name])
        if not given.get("_metadata"):
            given.pop("_metadata", None)
        for name, usual in (("_marked", ""), ("_comment", ""), ("intercepted", False)):
            if type(given.get(name, usual)) is type(usual) and given.get(name, usual) == usual:
                given.pop(name, None)
        return (type(value).__name__, {name: plain(each) for name, each in given.items()})
    if isinstance(value, dict):
        return ("dict", [(plain(k), plain(v)) for k, v in value.items()])
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [plain(each) for each in value])
    if isinstance(value, WebSocketMessage):
        return ("message", [getattr(value, name) for name in value.__dataclass_fields__])
    return (type(value).__name__, repr(value))


def same(one, other):
    """Whether two flows are equal, the ids of connections apart."""
    return plain(one) == plain(other)


text = st.text(max_size=8)  # lone surrogates and NULs are among these
names = st.sampled_from(
    [b"Host", b"host", b"Content-Type", b"content-type", b"Set-Cookie", b"X", b"", b"a: b", b":"]
) | st.binary(max_size=4)
values = st.sampled_from(
    [b"", b"example.org", b"example.org:80", b"text/html; a=b", b"\xff", b"a: b", b" a ", b"\n"]
) | st.binary(max_size=6)
headers = st.builds(
    lambda fields: Headers.from_wire(tuple(fields)),
    st.lists(st.tuples(names, values), max_size=4),
)
times = st.floats(0, 2e9, allow_nan=False) | st.just(0.0)
bodies = st.none() | st.binary(max_size=40) | st.binary(min_size=101, max_size=300)
addresses = st.none() | st.tuples(
    st.sampled_from(["example.org", "::1", "127.0.0.1", "", "[", "\ud800"]), st.integers(0, 65535)
)
numbers = st.integers() | st.integers(-(2**70), 2**70)
scalars = (
    st.none() | st.booleans() | numbers | st.floats(allow_nan=False) | text | st.binary(max_size=4)
)
json_like = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(text | st.sampled_from(["$tuple", "$bytes", "$x"]), inner, max_size=3)
        | st.dictionaries(st.integers(), inner, max_size=2)
    ),
    max_leaves=6,
)
metadata = st.dictionaries(
    text | st.sampled_from(["cell", "line", "function"]), json_like, max_size=3
)


def _message(message, trailers, end):
    if trailers is not None:
        message.trailers = trailers
    if end is not None:
        message.timestamp_end = end
    return message


def _request(parts, head, body, trailers, start, end):
    method, scheme, host, port, path, authority, version = parts
    request = Request(
        method,
        scheme,
        host,
        port,
        path,
        headers=head,
        content=body,
        authority=authority,
        http_version=version,
        timestamp_start=start,
    )
    return _message(request, trailers, end)


def _response(status, reason, version, head, body, trailers, start, end):
    response = Response(
        status,
        reason=reason,
        headers=head,
        content=body,
        http_version=version,
        timestamp_start=start,
    )
    return _message(response, trailers, end)


def _connection(connection, attributes):
    vars(connection).update({n: v for n, v in attributes.items() if v is not None})
    return connection


_common = {
    "peername": addresses,
    "sockname": addresses,
    "timestamp_start": st.none() | times,
    "timestamp_tls_setup": st.none() | times,
    "timestamp_end": st.none() | times,
    "tls": st.none() | st.booleans(),
    "tls_version": st.none() | text,
    "cipher": st.none() | text,
    "alpn": st.none() | text,
    "alpn_offers": st.none() | st.lists(text, max_size=2).map(tuple),
    "sni": st.none() | text,
    "certificate_list": st.none() | st.lists(st.binary(max_size=3), max_size=2).map(tuple),
    "error": st.none() | text,
    "requests": st.none() | numbers,
}
clients = st.builds(
    _connection, st.builds(Client), st.fixed_dictionaries({**_common, "tunnel": addresses})
)
servers = st.builds(
    _connection,
    st.builds(Server, addresses),
    st.fixed_dictionaries(
        {
            **_common,
            "via": st.none() | st.tuples(text, st.tuples(text, st.integers())),
            "timestamp_tcp_setup": st.none() | times,
            "verified": st.none() | st.booleans(),
        }
    ),
)
versions = st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2.0"])
requests = st.builds(
    _request,
    st.tuples(
        st.sampled_from(["GET", "POST"]) | text,
        st.sampled_from(["http", "https"]) | text,
        st.sampled_from(["example.org", "::1", ""]) | text,
        st.integers(0, 65535) | numbers,
        st.sampled_from(["/", "*", "/a?b"]) | text,
        text,
        versions,
    ),
    headers,
    bodies,
    st.none() | headers,
    times,
    st.none() | times,
)
responses = st.none() | st.builds(
    _response,
    st.integers(100, 999) | numbers,
    text,
    versions,
    headers,
    bodies,
    st.none() | headers,
    times,
    st.none() | times,
)
messages = st.builds(
    WebSocketMessage,
    st.sampled_from([1, 2]),
    st.booleans(),
    st.binary(max_size=5),
    times,
    st.booleans(),
    st.booleans(),
    st.integers(0, 5),
)
websockets = st.none() | st.builds(
    WebSocketData,
    st.lists(messages, max_size=3),
    st.none() | st.booleans(),
    st.none() | st.integers(1000, 4999),
    st.none() | text,
    st.none() | times,
)


def _flow(request, client, server, response, error, websocket, notes, marks, replay, created):
    flow = HTTPFlow(request, client, server)
    if response is not None:
        flow.response = response
    if error is not None:
        flow.error = error
    if websocket is not None:
        flow.websocket = websocket
    if notes is not None:
        flow.metadata = notes
    if marks is not None:
        flow.comment, flow.marked, flow.intercepted = marks
    if replay is not None:
        flow.is_replay = replay
    if created is not None:
        flow.timestamp_created = created
    return flow


flows = st.builds(
    _flow,
    requests,
    clients,
    servers,
    responses,
    st.none() | st.builds(Error, text, times),
    websockets,
    st.none() | metadata,
    st.none() | st.tuples(text, text, st.booleans()),
    st.none() | st.sampled_from(["request", "response"]),
    st.none() | times,
)

_PLACES = [
    *("request.timestamp_start", "request._method", "request._host", "request._port"),
    *("request._path", "request.http_version", "request.timestamp_end", "request.authority"),
    *("request._content", "request._headers", "request.trailers", "request", "response", "error"),
    *("response.status_code", "response._reason", "response.timestamp_start", "websocket"),
    *("response.timestamp_end", "response._content", "error.msg", "error.timestamp"),
    *("client_conn", "server_conn", "client_conn.peername", "server_conn.address", "_metadata"),
    *("client_conn.tls", "server_conn.sni", "server_conn.certificate_list", "_marked"),
    *("_comment", "intercepted", "timestamp_created", "is_replay", "mine", "request.mine"),
    *("websocket.messages", "server_conn.mine", "client_conn.timestamp_end"),
]


class Odd:
    """What nobody expects: nothing can be done with it."""

    def __repr__(self):
        raise RuntimeError("no")

    __str__ = __bool__ = __eq__ = __float__ = __int__ = __repr__
    __hash__ = object.__hash__


strange = scalars | st.builds(Odd) | st.just(float("nan")) | st.lists(scalars, max_size=2)


def spoil(flow, place, value):
    """Put something into a flow that has no place there."""
    owner, _, name = place.rpartition(".")
    holder = flow
    for part in filter(None, owner.split(".")):
        holder = getattr(holder, part, None)
    if isinstance(holder, Record):
        setattr(holder, name, copy.copy(value))
    elif holder is not None and hasattr(holder, "__dict__"):
        vars(holder)[name] = copy.copy(value)
    return flow


spoiled = st.builds(
    lambda flow, damages: [flow, *(spoil(flow, place, value) for place, value in damages)][0],
    flows,
    st.lists(st.tuples(st.sampled_from(_PLACES), strange), min_size=1, max_size=3),
)
