"""Flows made at random, within what the model allows; and when two of them say the same."""

import base64
import uuid

from hypothesis import strategies as st

from nbproxy.model.connection import Client, Server
from nbproxy.model.flow import Error, HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response
from nbproxy.model.websocket import WebSocketData, WebSocketMessage

# A certificate need only look like one here: nobody looks into it.
DER = b"\x30\x82\x00\x04abcd"

names = st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", fullmatch=True)
values = st.from_regex(rb"[!-~\x80-\xff]([\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?", fullmatch=True)
headers = st.builds(
    lambda fields: Headers.from_wire(tuple(fields)),
    # these would say something about the body
    st.lists(
        st.tuples(
            names.filter(lambda n: n.lower() not in {b"content-encoding", b"content-type"}), values
        ),
        max_size=4,
    ),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
times = st.floats(1e9, 2e9, allow_nan=False)
maybe_times = st.none() | times
addresses = st.tuples(st.sampled_from(["127.0.0.1", "::1", "example.org"]), st.integers(1, 65535))
contents = st.none() | st.binary(max_size=60) | texts.map(str.encode)
paths = st.from_regex(r"/[!\"$-~]{0,20}", fullmatch=True)
versions = st.sampled_from(["HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/3"])
metadata = st.dictionaries(
    texts.filter(lambda t: t != "original_id"),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | texts | st.floats(-9, 9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)


@st.composite
def messages(draw, message):
    message.trailers = draw(st.none() | headers)
    message.timestamp_end = draw(maybe_times)
    return message


@st.composite
def requests(draw):
    return draw(
        messages(
            Request(
                draw(st.sampled_from(["GET", "POST", "delete", "X-Y"])),
                draw(st.sampled_from(["http", "https"])),
                draw(st.sampled_from(["example.org", "10.0.0.1", "::1", "a.b-c.test"])),
                draw(st.integers(1, 65535)),
                draw(paths),
                headers=draw(headers),
                content=draw(contents),
                authority=draw(st.sampled_from(["", "example.org:81"])),
                http_version=draw(versions),
                timestamp_start=draw(times),
            )
        )
    )


@st.composite
def responses(draw):
    return draw(
        messages(
            Response(
                draw(st.integers(100, 999)),
                reason=draw(st.sampled_from(["", "OK", "Très bien"])),
                headers=draw(headers),
                content=draw(contents),
                http_version=draw(versions),
                timestamp_start=draw(times),
            )
        )
    )


@st.composite
def connections(draw, connection):
    connection.id = draw(st.uuids(version=4)).int
    connection.peername = draw(st.none() | addresses)
    connection.sockname = draw(st.none() | addresses)
    connection.timestamp_start = draw(maybe_times)
    connection.timestamp_end = draw(maybe_times)
    connection.error = draw(st.none() | texts)
    if draw(st.booleans()):
        connection.tls = True
        connection.timestamp_tls_setup = draw(maybe_times)
        connection.tls_version = draw(st.sampled_from([None, "TLSv1.2", "TLSv1.3"]))
        connection.cipher = draw(st.sampled_from([None, "TLS_AES_256_GCM_SHA384"]))
        connection.alpn = draw(st.sampled_from([None, "h2", "http/1.1"]))
        connection.alpn_offers = draw(st.sampled_from([(), ("h2", "http/1.1")]))
        connection.sni = draw(st.sampled_from([None, "example.org"]))
        connection.certificate_list = draw(st.sampled_from([(), (DER,), (DER, DER)]))
    return connection


@st.composite
def servers(draw):
    server = draw(connections(Server(draw(st.none() | addresses))))
    server.timestamp_tcp_setup = draw(maybe_times)
    server.via = draw(st.none() | st.tuples(st.sampled_from(["http", "https"]), addresses))
    return server


websockets = st.builds(
    WebSocketData,
    st.lists(
        st.builds(
            WebSocketMessage,
            st.sampled_from([1, 2]),
            st.booleans(),
            st.binary(max_size=20),
            times,
            st.booleans(),
            st.booleans(),
        ),
        max_size=3,
    ),
    st.none() | st.booleans(),
    st.integers(1000, 4999),
    st.none() | texts,
    maybe_times,
)


@st.composite
def flows(draw):
    flow = HTTPFlow(draw(requests()), draw(connections(Client())), draw(servers()))
    flow.timestamp_created = draw(times)
    flow.response = draw(st.none() | responses())
    if draw(st.booleans()):
        flow.error = Error(draw(texts.filter(bool)), draw(times))
    flow.websocket = draw(st.none() | websockets)
    flow.metadata = draw(metadata) | {"original_id": str(draw(st.uuids(version=4)))}
    flow.comment = draw(texts)
    flow.marked = draw(st.sampled_from(["", ":default:", ":red_circle:"]))
    flow.is_replay = draw(st.sampled_from([None, "request", "response"]))
    return flow


def new_flow(method="GET", url="http://example.org/", content=b"", fields=(), **more):
    """A plain flow, and what a test is about."""
    request = Request.make(method, url, content, fields)
    request.timestamp_start, request.timestamp_end = 1.7e9, 1.7e9 + 0.125
    for name, value in more.items():
        setattr(request, name, value)
    return HTTPFlow(request)


def answered(flow, status=200, content=b"hello", fields=()):
    flow.response = Response.make(status, content, fields)
    flow.response.timestamp_start = 1.7e9 + 0.5
    flow.response.timestamp_end = 1.7e9 + 1
    return flow


def new_id():
    return str(uuid.uuid4())


def b64(raw):
    return base64.b64encode(raw).decode()
