import pytest

from nbproxy.model.websocket import BINARY, TEXT, WebSocketData, WebSocketMessage


def test_text():
    message = WebSocketMessage(TEXT, True, "hé".encode(), 1.0)
    assert message.is_text
    assert message.text == "hé"
    message.text = "hi"
    assert message.content == b"hi"


def test_the_type_is_a_number_with_a_name():
    for kind, opcode, name in [(1, TEXT, "TEXT"), (2, BINARY, "BINARY")]:
        message = WebSocketMessage(kind, True, b"")
        assert message.type is opcode
        assert (message.type.name, message.type.value, str(message.type)) == (name, kind, str(kind))
    assert WebSocketMessage(7, True, b"").type == 7


def test_text_that_is_not_utf_8_survives():
    message = WebSocketMessage(TEXT, True, b"\xff", 1.0)
    message.text = message.text + "!"
    assert message.content == b"\xff!"


def test_a_binary_message_has_no_text():
    message = WebSocketMessage(BINARY, False, b"\0")
    with pytest.raises(AttributeError, match="no text"):
        message.text  # noqa: B018 - asking raises
    with pytest.raises(AttributeError, match="assign bytes"):
        message.text = "x"


def test_dropping():
    message = WebSocketMessage(BINARY, False, b"\0")
    message.drop()
    assert message.dropped


def test_a_repr_shows_no_content():
    message = WebSocketMessage(TEXT, True, b"secret")
    data = WebSocketData([message])
    assert "secret" not in repr(message) + repr(data)
    assert repr(data) == "<WebSocketData: 1 message>"


def test_a_copy_is_independent():
    data = WebSocketData([WebSocketMessage(TEXT, True, b"a")], close_code=1000)
    copy = data.copy()
    assert copy == data
    copy.messages[0].text = "b"
    copy.messages.append(copy.messages[0])
    assert [message.text for message in data.messages] == ["a"]


def test_injecting():
    data = WebSocketData()
    with pytest.raises(ValueError, match="the WebSocket is closed"):
        data.inject(True, "a")
    sent = []
    data.connect(sent.append)
    data.inject(True, "grüß")
    data.inject(False, b"\x00")
    data.inject(True, b"text", is_text=True)
    data.inject(False, "bytes", is_text=False)
    found = [(m.from_client, m.type, m.content, m.injected) for m in sent]
    assert found == [
        (False, TEXT, "grüß".encode(), True),
        (True, BINARY, b"\x00", True),
        (False, TEXT, b"text", True),
        (True, BINARY, b"bytes", True),
    ]
    with pytest.raises(ValueError, match="the WebSocket is closed"):
        data.copy().inject(True, "a")
    data.connect(None)
    with pytest.raises(ValueError, match="the WebSocket is closed"):
        data.inject(True, "a")
