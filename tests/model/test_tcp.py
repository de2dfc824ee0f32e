"""TCP flows as records."""

import pytest

from nbproxy.model.connection import Client, Server
from nbproxy.model.tcp import TCPFlow, TCPMessage


def test_a_flow_and_its_messages():
    flow = TCPFlow(Client(), Server(("a.test", 22)))
    assert (flow.type, flow.messages, flow.live, flow.error) == ("tcp", [], False, None)
    flow.messages.append(TCPMessage(True, b"secret", 1.0))
    assert repr(flow) == f"<TCPFlow {flow.id}: a.test:22, 1 message>"
    assert repr(flow.messages[0]) == ("TCPMessage(from_client=True, timestamp=1.0, injected=False)")
    assert repr(TCPFlow()).endswith(": …, 0 messages>")


def test_injecting():
    flow = TCPFlow()
    with pytest.raises(ValueError, match="the stream is over"):
        flow.inject(True, b"a")
    sent = []
    flow._inject = sent.append
    flow.inject(True, bytearray(b"a"))
    flow.inject(False, b"b")
    assert sent == [
        TCPMessage(from_client=False, content=b"a", injected=True),
        TCPMessage(from_client=True, content=b"b", injected=True),
    ]
    with pytest.raises(TypeError):
        flow.inject(True, "text")


def test_a_copy_is_independent():
    flow = TCPFlow()
    flow.messages.append(TCPMessage(from_client=True, content=b"a"))
    flow.metadata["x"] = 1
    flow.comment, flow.marked = "c", ":red_circle:"
    other = flow.copy()
    other.messages[0].content = b"b"
    other.metadata["x"] = 2
    assert (flow.messages[0].content, flow.metadata) == (b"a", {"x": 1})
    assert (other.comment, other.marked, other.live) == ("c", ":red_circle:", False)
    assert other.id != flow.id
