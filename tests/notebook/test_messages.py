"""The messages of a WebSocket in a flow's details: the last ones, masked, inert, bounded."""

import pytest

from nbproxy.model.websocket import BINARY, TEXT, WebSocketData, WebSocketMessage
from nbproxy.notebook.details import flow_html, flow_text
from nbproxy.notebook.messages import conversation_html, conversation_text, counted
from tests.notebook.inert import HOSTILE, check
from tests.store.flow_factory import answer, end, new_flow


def chat(*messages, **ending):
    flow = new_flow("/chat")
    answer(flow, 101, b"", "text/plain")
    flow.websocket = WebSocketData(list(messages), **ending)
    end(flow)
    return flow


def text(content, from_client=True, **more):
    return WebSocketMessage(
        TEXT, from_client, content.encode("utf-8", "surrogatepass"), 1e9, **more
    )


def test_messages_are_shown_with_direction_and_size():
    flow = chat(
        text("hello there"),
        text("grüß dich", from_client=False),
        WebSocketMessage(BINARY, True, bytes(range(40)), 1e9),
        text("not passed on", dropped=True),
        text("made up", injected=True),
        closed_by_client=False,
        close_code=4001,
        close_reason="enough",
        timestamp_end=2e9,
    )
    page = check(flow_html(flow))
    plain = flow_text(flow)
    assert "── WebSocket, 5 messages ──" in plain
    assert "WebSocket5 messages" in page.text
    for shown in (page.text, plain):
        for fact in (
            "hello there",
            "11 B",
            "grüß dich",
            "00 01 02",
            "1e 1f …",
            "(dropped) not passed on",
            "(injected) made up",
            "Closed by the server: 4001, enough.",
        ):
            assert fact in shown, fact
    lines = conversation_text(flow)
    assert lines[0].startswith("→ ")
    assert lines[1].startswith("← ")
    assert lines[1].endswith("11 B  grüß dich")


def test_other_flows_have_none():
    flow = new_flow()
    assert (conversation_html(flow), conversation_text(flow), counted(flow)) == ("", [], "")
    assert "WebSocket" not in flow_text(flow)
    assert "WebSocket" not in flow_html(flow)


def test_what_is_not_there_is_said():
    flow = chat(*(text(f"number {n}.") for n in range(250)))
    flow.metadata["messages_left_out"] = {"messages": 7, "bytes": 800}
    for shown in (check(conversation_html(flow)).text, "\n".join(conversation_text(flow))):
        assert "number 150." in shown
        assert "number 249." in shown
        assert "number 149." not in shown
        assert "The last 100 messages; 150 came before them." in shown
        assert "Not kept: 7 older messages, 800 bytes in all." in shown
        assert "Closed" not in shown
    long = chat(text("x" * 10_000 + "END", left_out=5_000), timestamp_end=1.0)
    (line, closed) = conversation_text(long)
    assert len(line) < 400
    assert "15 kB" in line
    assert closed == "[Closed by neither side: no code.]"


@pytest.mark.parametrize("metadata", [5, None, {}, {"messages": "<b>", "bytes": []}])
def test_strange_metadata(metadata):
    flow = chat(text("a"))
    flow.metadata["messages_left_out"] = metadata
    check(flow_html(flow))


def test_an_open_one():
    flow = chat(text("a"))
    flow._control = object()
    assert counted(flow) == "1 message, open"


# hostile: D-01 and secrets
@pytest.mark.parametrize("hostile", HOSTILE)
def test_whatever_is_said_is_inert(hostile):
    flow = chat(text(hostile), close_reason=hostile, close_code=1000, timestamp_end=1.0)
    check(flow_html(flow))
    assert "\x1b" not in flow_text(flow)


def test_secrets_are_masked():
    flow = chat(
        text('{"access_token": "s3cr3tvalue-of-mine"}'), text("Bearer abcdef0123456789abcdef")
    )
    for shown in (flow_html(flow), flow_text(flow)):
        assert "s3cr3tvalue" not in shown
