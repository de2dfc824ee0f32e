import io
import math
import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.errors import FormatError
from nbproxy.formats import tnetstring

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**39), 10**39)
    | st.floats(allow_nan=False)
    | st.binary(max_size=300)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    lambda inner: (
        st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.text("abc;:,", max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)


def read_all(data):
    return [value for _, value in tnetstring.read(io.BytesIO(data))]


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"5:hello,", b"hello"),
        (b"6:h\xc3\xa9llo;", "héllo"),
        (b"3:-17#", -17),
        (b"4:-1.5^", -1.5),
        (b"6:1.5e10^", 1.5e10),
        (b"3:inf^", math.inf),
        (b"4:true!", True),
        (b"5:false!", False),
        (b"0:~", None),
        (b"0:]", ()),
        (b"0:}", {}),
        (b"7:1:1#0:~]", (1, None)),
        (b"8:1:a;1:1#}", {"a": 1}),
        (b"8:1:a,1:1#}", {"a": 1}),
        (b"8:1:7#1:1#}", {7: 1}),
    ],
)
def test_values(raw, value):
    assert tnetstring.parse(raw) == value
    assert type(tnetstring.parse(raw)) is type(value)


@given(values)
def test_what_is_written_is_read(value):
    raw = tnetstring.write(value)
    assert tnetstring.parse(raw) == value
    assert read_all(raw * 3) == [value] * 3


@given(st.lists(values, max_size=4), st.integers(1, 40))
def test_a_pipe_that_gives_a_few_bytes_at_a_time(some, size):
    class Pipe(io.BytesIO):
        def read(self, wanted=-1):
            return super().read(min(size, wanted))

    raw = b"".join(map(tnetstring.write, some))
    found = list(tnetstring.read(Pipe(raw)))
    assert [value for _, value in found] == some
    lengths = [len(tnetstring.write(value)) for value in some]
    assert [offset for offset, _ in found] == [sum(lengths[:n]) for n in range(len(some))]


def test_values_larger_than_a_chunk():
    some = [b"a" * 3_000_000, b"b", b"c" * 2**20, {"d": "e" * 5_000_000}]
    assert read_all(b"".join(map(tnetstring.write, some))) == some


@given(st.binary(max_size=60))
def test_any_bytes_give_values_or_a_format_error(raw):
    for read in (tnetstring.parse, read_all):
        place = 0
        try:
            read(raw)
        except FormatError as error:
            place = error.offset
        assert 0 <= place <= len(raw)


GOOD = tnetstring.write({"a": 1})


@pytest.mark.parametrize(
    ("damaged", "offset", "words"),
    [
        (b"5:hel", 0, "cut off"),
        (b"12", 0, "cut off"),
        (b"hello", 0, "a length should stand here"),
        (b"01:a,", 0, "a length should stand here"),
        (b"+1:a,", 0, "a length should stand here"),
        (b"9223372036854775808:a,", 0, "a length should stand here"),
        (b"999999999999:a,", 0, "more than can be read"),
        (b"1:a?", 3, "unknown type '?'"),
        (b"4:9:a,]", 2, "longer than what it stands in"),
        (b"2:\xff\xfe;", 2, "not UTF-8"),
        (b"2:a\xff;", 3, "not UTF-8"),
        (b"3:1_0#", 2, "no integer"),
        (b"41:" + b"9" * 41 + b"#", 3, "too long"),
        (b"3:1_0^", 2, "no number"),
        (b"4:TRUE!", 6, "unknown type"),
        (b"1:a~", 3, "unknown type"),
        (b"4:1:a;}", 6, "a key without a value"),
        (b"16:1:a;1:1#1:a;1:2#}", 19, "twice"),
        (b"7:0:]1:1#}", 2, "as a key"),
    ],
)
def test_damage_is_told_with_its_place(damaged, offset, words):
    with pytest.raises(FormatError, match=re.escape(words)) as caught:
        read_all(GOOD + damaged)
    assert caught.value.offset == len(GOOD) + offset


def test_what_stands_before_the_damage_is_given():
    found = []
    with pytest.raises(FormatError):
        found.extend(value for _, value in tnetstring.read(io.BytesIO(GOOD * 5 + b"7:x")))
    assert found == [{"a": 1}] * 5


def nested(depth, tag=b"]"):
    raw = b""
    for _ in range(depth):
        raw = b"%d:%b%b" % (len(raw), raw, tag)
    return raw


def test_depth_is_bounded_and_costs_no_stack():
    with pytest.raises(FormatError, match="nested deeper than 64"):
        read_all(nested(100_000))
    value = tnetstring.parse(nested(tnetstring.MAX_DEPTH))
    assert tnetstring.write(value) == nested(tnetstring.MAX_DEPTH)


def test_what_is_too_deep_to_be_read_is_not_written():
    loop = []
    loop.append(loop)
    with pytest.raises(ValueError, match="nested deeper"):
        tnetstring.write(loop)


def test_a_promised_length_takes_no_memory():
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="cut off"):
            read_all(b"2000000000:abc")
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


def test_the_number_of_lists_is_bounded():
    with pytest.raises(FormatError, match="lists in one value"):
        read_all(b"6000000:" + b"0:}" * 2_000_000 + b"]")


def test_reading_holds_one_value_at_a_time():
    one = tnetstring.write({"a": b"x" * 3000})

    class Long:
        left = 60 * 2**20 // len(one) * len(one)
        place = 0

        def read(self, size):
            size = min(size, self.left)
            self.left -= size
            begin, self.place = self.place, (self.place + size) % len(one)
            return (one * (size // len(one) + 2))[begin : begin + size]

    tracemalloc.start()
    try:
        assert sum(1 for _ in tnetstring.read(Long())) == 60 * 2**20 // len(one)
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("value", [object(), {1, 2}, [object()], {"a": b"x".join}])
def test_what_the_format_has_no_type_for(value):
    with pytest.raises(TypeError, match="cannot be written"):
        tnetstring.write(value)


def test_integers_beyond_its_bound_are_not_written():
    with pytest.raises(ValueError, match="40 digits"):
        tnetstring.write(10**40)


def test_equal_connections_are_one_object():
    def flow(number):
        return tnetstring.write({"client_conn": {"id": "a", "n": (1, 2)}, "n": number})

    first, second = read_all(flow(1) + flow(2))
    assert first["client_conn"] is second["client_conn"]
    assert first["n"] != second["n"]
