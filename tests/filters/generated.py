"""Random flows and random filter sources, for the property tests of filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from tests.filters.flows import Piece, RelayFlow, dns, http, websocket

if TYPE_CHECKING:
    from nbproxy.model.flow import HTTPFlow

_PIECES = [
    *("~q", "~s", "~u", "~b", "~c", "~d", "~t", "~all", "~h", "~size", "~dur", "~since", "~cell"),
    *("~json", "~any", "~x", "~", "a", "b", "&", "|", "!", "(", ")", "and", "x:", "200", "4xx"),
    *("400-499", ">1k", ">5ms", "10m", "$.a=b", "$.a[0]['c']", '"x"', "''", '"a b"', '"', "'"),
    *("\\", ".", "[", "*", "é", " ", "\n", "\t", "\u3000", "\0"),
]
_pieces = st.lists(st.sampled_from(_PIECES), max_size=12)

sources = st.text() | _pieces.map("".join) | _pieces.map(" ".join)

_text = st.text(max_size=8)
_value = st.binary(max_size=8)
_fields = st.lists(
    st.tuples(st.sampled_from([b"Content-Type", b"content-encoding", b"X"]), _value), max_size=3
).map(tuple)
_time = st.floats(999, 1011)

http_flows = st.builds(
    http,
    method=st.sampled_from(["GET", "POST", "M\udcff"]),
    host=st.sampled_from(["a.example", "10.0.0.1", "::1"]),
    path=_text.map(lambda text: f"/{text}"),
    fields=_fields | st.just(((b"Host", b"b.example"),)),
    body=st.none() | st.sampled_from([b"", b"a", b'{"a": 1}']) | _value,
    status=st.none() | st.sampled_from([0, 200, 404, 499, 500]),
    response_fields=_fields,
    response_body=st.none() | st.sampled_from([b"", b"b", b'[{"c": null}]']) | _value,
    times=st.tuples(_time, st.none() | _time, st.none() | _time),
    error=st.none() | _text,
)


@st.composite
def _decorated(draw: st.DrawFn) -> HTTPFlow:
    flow = draw(http_flows | st.builds(websocket))
    flow.marked = draw(st.sampled_from(["", ":default:", "\ud800"]))
    flow.comment = draw(_text | st.sampled_from(["a\nb", "\udc80x"]))
    flow.is_replay = draw(st.sampled_from([None, "request", "response"]))
    number = st.integers(-(2**60), 2**60)  # what columns hold
    flow.metadata = draw(st.dictionaries(st.sampled_from(["cell", "a"]), st.none() | number))
    flow.client_conn.peername = draw(
        st.none() | st.sampled_from([("127.0.0.1", 5), ("::1", 5), ("client", 80)])
    )
    return flow


decorated_flows = _decorated()
flows = decorated_flows | st.sampled_from([RelayFlow("tcp", Piece(b"a", True)), dns()])
