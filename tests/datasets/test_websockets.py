"""What passed on a WebSocket comes back out of a cell."""

import pyarrow as pa
from hypothesis import given

from nbproxy.datasets.websockets import WEBSOCKET, cell_of, put_back
from nbproxy.model.history import METADATA_KEY
from nbproxy.model.websocket import WebSocketData, WebSocketMessage
from tests.store.flow_factory import new_flow
from tests.store.session_flows import websockets


def through_arrow(flow):
    (cell,) = pa.array([cell_of(flow)], WEBSOCKET).to_pylist()
    again = new_flow()
    put_back(again, cell)
    return again


@given(websockets)
def test_it_comes_back_as_it_was(websocket):
    flow = new_flow()
    flow.websocket = websocket
    assert through_arrow(flow).websocket == websocket


def test_what_was_left_out_is_known():
    flow = new_flow()
    flow.websocket = WebSocketData([WebSocketMessage(1, True, b"last")])
    assert METADATA_KEY not in through_arrow(flow).metadata
    flow.metadata[METADATA_KEY] = {"messages": 3, "bytes": 2**40}
    assert through_arrow(flow).metadata[METADATA_KEY] == {"messages": 3, "bytes": 2**40}
    flow.metadata[METADATA_KEY] = "her own"
    assert METADATA_KEY not in through_arrow(flow).metadata


def test_nonsense_is_written_as_near_as_can_be():
    flow = new_flow()
    odd = WebSocketMessage(2**70, True, "ü\udcff", "now", left_out=-(2**70))
    half = WebSocketMessage(1, False, "a\ud800", 2.0)
    flow.websocket = WebSocketData([odd, half], "x", 2**63, "\ud800", 1)
    again = through_arrow(flow).websocket
    assert again == WebSocketData(
        [WebSocketMessage(0, True, b"\xc3\xbc\xff"), WebSocketMessage(1, False, b"a?", 2.0)],
        True,
        None,
        "\ufffd",
        1.0,
    )
