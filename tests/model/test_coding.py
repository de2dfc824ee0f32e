"""Content codings: round trips, lists, damage, and bombs that stop at the bound."""

import contextlib
import gzip
import os
import zlib

import brotli
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from nbproxy.model import coding

MIB = 2**20
CODINGS = sorted(coding.KNOWN)
COMPRESSING = sorted(coding.KNOWN - {"identity"})
PAGE = b"<p>hello, proxy</p>" * 20_000


def gzip_of_zeros(megabytes: int) -> bytes:
    coder = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(MIB)
    return b"".join([*(coder.compress(block) for _ in range(megabytes)), coder.flush()])


def brotli_of_zeros(megabytes: int) -> bytes:
    coder = brotli.Compressor(quality=5)
    block = bytes(MIB)
    return b"".join([*(coder.process(block) for _ in range(megabytes)), coder.finish()])


def zstd_of_zeros(megabytes: int) -> bytes:
    coder = zstandard.ZstdCompressor(level=3).compressobj()
    block = bytes(MIB)
    return b"".join([*(coder.compress(block) for _ in range(megabytes)), coder.flush()])


BOMBS = {"gzip": gzip_of_zeros, "br": brotli_of_zeros, "zstd": zstd_of_zeros}


@given(st.binary(max_size=5000), st.lists(st.sampled_from(CODINGS), max_size=4))
def test_decoding_takes_back_what_encoding_did(data, names):
    encoded = coding.encode(data, ", ".join(names))
    assert coding.decode(encoded, ", ".join(names), max_ratio=10**6) == data


@given(st.binary(max_size=500), st.sampled_from(CODINGS))
@example(b"\x78\x9c", "deflate")
@example(b"\x1f\x8b", "gzip")
def test_any_bytes_decode_or_give_the_documented_error(data, name):
    caught = None
    try:
        coding.decode(data, name)
    except coding.ContentDecodingError as error:
        caught = error
    if caught:
        assert caught.coding == name
        assert name in str(caught)


@given(st.binary(min_size=1, max_size=300), st.sampled_from(COMPRESSING), st.data())
def test_damage_anywhere_gives_no_other_error(data, name, draw):
    encoded = bytearray(coding.encode(data * 20, name))
    index = draw.draw(st.integers(0, len(encoded) - 1))
    encoded[index] ^= draw.draw(st.integers(1, 255))
    with contextlib.suppress(coding.ContentDecodingError):
        coding.decode(bytes(encoded), name)


@pytest.mark.parametrize("name", COMPRESSING)
@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 3 * MIB])
def test_sizes_around_the_slices(name, size):
    data = os.urandom(size)
    assert coding.decode(coding.encode(data, name), name) == data


@pytest.mark.parametrize("name", COMPRESSING)
def test_truncated_data_is_said_to_end_too_early(name):
    encoded = coding.encode(PAGE, name)
    with pytest.raises(coding.ContentDecodingError, match="ends too early"):
        coding.decode(encoded[:-5], name)


@pytest.mark.parametrize("value", ["", " ", ",", ", ,", "identity", "Identity, identity"])
def test_nothing_and_identity_change_nothing(value):  # hostile: E-02
    assert coding.decode(b"abc", value) == b"abc"
    assert coding.encode(b"abc", value) == b"abc"


def test_names_are_case_insensitive_and_lists_are_in_order_of_application():
    inner = gzip.compress(PAGE)
    assert coding.decode(brotli.compress(inner, quality=1), "GZIP ,\tBr") == PAGE
    with pytest.raises(coding.ContentDecodingError):
        coding.decode(brotli.compress(inner, quality=1), "br, gzip")


@pytest.mark.parametrize("name", COMPRESSING)
def test_no_data_is_no_data_whatever_the_coding(name):
    assert coding.decode(b"", name) == b""


def test_gzip_of_several_members_split_anywhere():
    parts = [os.urandom(n) for n in (1, 65_000, 500, 130_000)]
    data = b"".join(gzip.compress(part) for part in parts)
    assert coding.decode(data, "gzip") == b"".join(parts)


@pytest.mark.parametrize("cut", range(64 * 1024 - 3, 64 * 1024 + 3))
def test_a_gzip_member_that_begins_at_the_edge_of_a_slice(cut):
    first = gzip.compress(os.urandom(60_000), mtime=0)
    # The file name field pads the first member to exactly `cut` bytes.
    name = b"n" * (cut - len(first) - 1) + b"\0"
    first = first[:3] + b"\x08" + first[4:10] + name + first[10:]
    assert len(first) == cut
    assert len(coding.decode(first + gzip.compress(b"end"), "gzip")) == 60_003


@pytest.mark.parametrize("tail", [b"\0" * 512, b"\x1f", b"junk" * 50_000])
def test_what_follows_gzip_data_is_ignored(tail):
    assert coding.decode(gzip.compress(b"abc") + tail, "gzip") == b"abc"


def test_deflate_with_and_without_the_zlib_wrapper():
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = coder.compress(PAGE) + coder.flush()
    assert coding.decode(raw, "deflate") == PAGE
    assert coding.decode(zlib.compress(PAGE), "deflate") == PAGE


@pytest.mark.parametrize("data", [b"\x06junk", b"\x78\x9cjunk", b"\x78\x9c\x03"])
def test_deflate_that_is_none_either_way(data):
    with pytest.raises(coding.ContentDecodingError, match="'deflate'"):
        coding.decode(data, "deflate")


def test_raw_deflate_that_begins_like_a_zlib_header():
    # A stored block whose padding bits make the first byte 0x78, and LEN's low byte the check.
    raw = bytes([0x78, 1, 0, 0xFE, 0xFF]) + b"x" + b"\x03\x00"
    assert (raw[0] << 8 | raw[1]) % 31 == 0
    assert coding.decode(raw, "deflate") == b"x"


def test_zstd_of_several_frames_and_skippable_ones():
    frames = [zstandard.compress(part) for part in (b"a" * 1000, b"", b"b" * 70_000)]
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip"
    assert coding.decode(skippable.join(frames), "zstd") == b"a" * 1000 + b"b" * 70_000


@pytest.mark.parametrize("name", ["br", "zstd"])
def test_data_after_the_end_of_br_and_zstd_is_damage(name):
    for tail in (b"junk", b"junk" * 50_000):
        with pytest.raises(coding.ContentDecodingError):
            coding.decode(coding.encode(b"abc", name) + tail, name)


def test_data_after_the_end_of_br_in_a_slice_of_its_own():
    for length in range(64 * 1024 - 64, 64 * 1024):
        encoded = brotli.compress(os.urandom(length), quality=1)
        if len(encoded) == 64 * 1024:
            break
    assert len(encoded) == 64 * 1024
    with pytest.raises(coding.ContentDecodingError, match="after its end"):
        coding.decode(encoded + b"x", "br")


@pytest.mark.parametrize("value", ["snappy", "gzip, snappy", "gzip;q=1", "\0", "é", "x" * 10_000])
def test_an_unknown_coding_is_named(value):  # hostile: E-02
    with pytest.raises(coding.ContentDecodingError, match="unknown coding") as caught:
        coding.decode(b"abc", value)
    assert len(str(caught.value)) < 200
    with pytest.raises(ValueError, match="known are br, deflate"):
        coding.encode(b"abc", value)


@pytest.mark.parametrize(("data", "value"), [(PAGE, "gzip"), (PAGE, "br"), (PAGE, "zstd")])
def test_a_coding_that_is_not_true(data, value):  # hostile: E-02
    with pytest.raises(coding.ContentDecodingError):
        coding.decode(data, value)


def test_a_coding_named_twice_and_applied_once():  # hostile: E-02
    with pytest.raises(coding.ContentDecodingError):
        coding.decode(gzip.compress(PAGE), "gzip, gzip")


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_a_bomb_stops_at_the_bound(name):  # hostile: E-01
    bomb = BOMBS[name](100)
    with pytest.raises(coding.ContentDecodingError, match=r"stopped at the bound of 2,097,152 b"):
        coding.decode(bomb, name, max_bytes=2 * MIB, max_ratio=10**9)
    ratio_bound = max(MIB, 3 * len(bomb))
    with pytest.raises(coding.ContentDecodingError, match=f"the bound of {ratio_bound:,} bytes"):
        coding.decode(bomb, name, max_ratio=3)


def test_nested_bombs_stop_at_the_bound_of_what_came_in():  # hostile: E-01
    bomb = gzip.compress(gzip.compress(gzip_of_zeros(100)))
    assert len(bomb) < 2000
    with pytest.raises(coding.ContentDecodingError, match="the bound of 1,048,576 bytes"):
        coding.decode(bomb, "gzip, gzip, gzip")


def test_small_bodies_may_shrink_as_much_as_they_like():
    data = bytes(MIB)
    for name in COMPRESSING:
        assert coding.decode(coding.encode(data, name), name) == data
        with pytest.raises(coding.ContentDecodingError):
            coding.decode(coding.encode(data + b"\0", name), name, max_ratio=1)


def test_exactly_the_bound_is_allowed():
    for name in COMPRESSING:
        data = os.urandom(5000)
        assert coding.decode(coding.encode(data, name), name, max_bytes=5000) == data
        with pytest.raises(coding.ContentDecodingError, match="4,999"):
            coding.decode(coding.encode(data, name), name, max_bytes=4999)


def test_codings_and_members_are_bounded():  # hostile: E-01
    with pytest.raises(coding.ContentDecodingError, match="more than 5 codings"):
        coding.decode(b"abc", ", ".join(["gzip"] * 100_000))
    for name in ("gzip", "zstd"):
        with pytest.raises(coding.ContentDecodingError, match="10,000 members"):
            coding.decode(coding.encode(b"", name) * 20_000, name)


def test_zstd_with_a_huge_window_is_refused():  # hostile: E-03
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    coder = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = coder.compress(PAGE) + coder.flush()
    with pytest.raises(coding.ContentDecodingError, match="too much memory"):
        coding.decode(data, "zstd")


def test_br_with_the_large_window_bit_is_refused():  # hostile: E-03
    # RFC 7932, 9.1 reserves this pattern of window bits; large-window brotli uses it.
    data = b"\x11" + bytes([30]) + brotli.compress(PAGE)[1:]
    with pytest.raises(coding.ContentDecodingError, match="window"):
        coding.decode(data, "br")


def test_encoding_gives_the_same_bytes_each_time():
    for name in COMPRESSING:
        assert coding.encode(PAGE, name) == coding.encode(PAGE, name)
