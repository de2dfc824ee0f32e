"""Binary formats read back from encoders that are written here."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.contentviews import Body, render

NAMES = st.text("abcdefgh", min_size=1, max_size=8)
TEXTS = st.text("abc def", max_size=20)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        TEXTS,
        st.floats(allow_nan=False),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=20,
)


def msgpack(value):
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        if value < 0:
            return b"\xd3" + struct.pack(">q", value)
        return bytes([value]) if value < 128 else b"\xcf" + struct.pack(">Q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        return bytes([0xD9, len(value)]) + value.encode()
    if isinstance(value, list):
        return b"\xdc" + struct.pack(">H", len(value)) + b"".join(map(msgpack, value))
    pairs = b"".join(msgpack(key) + msgpack(item) for key, item in value.items())
    return bytes([0x80 + len(value)]) + pairs


def cbor_head(major, number):
    return bytes([major << 5 | 27]) + struct.pack(">Q", number)


def cbor(value):
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
    if isinstance(value, int):
        return cbor_head(0, value) if value >= 0 else cbor_head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, str):
        return cbor_head(3, len(value)) + value.encode()
    if isinstance(value, list):
        return b"\x9f" + b"".join(map(cbor, value)) + b"\xff"
    pairs = b"".join(cbor(key) + cbor(item) for key, item in value.items())
    return cbor_head(5, len(value)) + pairs


def back(node):
    if node.type == "array":
        return [back(child) for child in node.children]
    if node.type == "object":
        return {child.key: back(child) for child in node.children}
    if node.type == "number":
        return int(node.value) if node.value.lstrip("-").isdecimal() else float(node.value)
    return {"null": None, "boolean": node.value == "true"}.get(node.type, node.value)


@pytest.mark.parametrize(("view", "encode"), [("msgpack", msgpack), ("cbor", cbor)])
@given(value=VALUES)
@settings(max_examples=100, deadline=None)
def test_what_was_written_is_read(view, encode, value):
    found = render(Body(encode(value)), view)
    assert not found.notes
    assert back(found.root) == value


@pytest.mark.parametrize(
    ("raw", "type_", "value"),
    [
        (b"\xd6\xff" + struct.pack(">I", 1), "timestamp", "1970-01-01T00:00:01Z"),
        (
            b"\xd7\xff" + struct.pack(">Q", 5 << 34 | 1),
            "timestamp",
            "1970-01-01T00:00:01.000000005Z",
        ),
        (b"\xc7\x0c\xff" + struct.pack(">Iq", 0, -1), "timestamp", "1969-12-31T23:59:59Z"),
        (b"\xd4\x05\x01", "ext", "type 5: 01"),
        (b"\xc4\x02\xff\x00", "bytes", "ff 00"),
        (b"\xff", "number", "-1"),
        (b"\xca\x3f\x80\x00\x00", "number", "1.0"),
    ],
)
def test_msgpack_types(raw, type_, value):
    root = render(Body(raw), "msgpack").root
    assert (root.type, root.value) == (type_, value)


def test_msgpack_that_is_cut_or_damaged_says_so():
    assert "cut off" in render(Body(b"\x92\x01"), "msgpack").note
    assert "announced" in render(Body(b"\xdb\xff\xff\xff\xff"), "msgpack").note
    assert "0xc1" in render(Body(b"\x92\x01\xc1"), "msgpack").note


def varint(value):
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def field(number, wire, raw):
    return varint(number << 3 | wire) + raw


@given(
    st.lists(
        st.tuples(st.integers(1, 2**29 - 1), st.integers(0, 2**64 - 1)), min_size=1, max_size=20
    )
)
@settings(max_examples=100, deadline=None)
def test_protobuf_varints_round_trip(fields):
    data = b"".join(field(number, 0, varint(value)) for number, value in fields)
    root = render(Body(data), "protobuf").root
    assert [(int(node.key), int(node.value)) for node in root.children] == fields
    for node, (_, value) in zip(root.children, fields, strict=True):
        assert int(dict(node.also)["zigzag"]) == (value >> 1) ^ -(value & 1)


def test_protobuf_nested_and_other_types():
    inner = field(1, 0, b"\x05") + field(2, 2, b"\x02hi")
    data = field(3, 2, varint(len(inner)) + inner) + field(4, 5, struct.pack("<f", 1.5))
    data += field(5, 1, struct.pack("<d", -2.5)) + field(6, 2, b"\x02\xff\xfe")
    data += field(7, 3, field(1, 0, b"\x01")) + field(7, 4, b"")
    found = {node.key: node for node in render(Body(data), "protobuf").root.children}
    assert found["3"].type == "message"
    assert [child.value for child in found["3"].children] == ["5", "hi"]
    assert dict(found["4"].also)["float"] == "1.5"
    assert dict(found["5"].also)["double"] == "-2.5"
    assert found["6"].type == "bytes"
    assert found["7"].type == "group"


def test_grpc_frames_trailers_and_a_cut():
    message = field(1, 0, b"\x01")
    frame = b"\x00" + struct.pack(">I", len(message)) + message
    trailers = b"grpc-status: 0\r\n"
    data = frame + b"\x80" + struct.pack(">I", len(trailers)) + trailers
    view = render(Body(data, "application/grpc-web"))
    first, last = view.root.children
    assert (first.type, first.value) == ("message", "2 bytes")
    assert (last.children[0].key, last.children[0].value) == ("grpc-status", "0")
    assert "cut off" in render(Body(frame[:-1], "application/grpc")).note


def test_images_have_their_size():
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 640, 480)
    jpeg = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08" + struct.pack(">HH", 480, 640)
    webp = b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x7f\x02\x00\xdf\x01\x00"
    for data in (png, jpeg, webp):
        image = render(Body(data), "image").image
        assert (image.width, image.height) == (640, 480)
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 65_000, 65_000)
    assert render(Body(bomb), "image").image.data == b""
