"""How a dataset lies on disk."""

import urllib.parse

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.datasets import layout
from nbproxy.errors import FormatError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT)
def test_a_folder_name_is_harmless_and_short(value):
    name = layout.folder("host", value)
    start, _, rest = name.partition("=")
    assert start == "host"
    assert len(name) < 200
    assert name.isascii()
    assert not set(rest) & set('/\\:*?"<>|\0\n\r\t =')


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
def test_a_short_one_can_be_read_back_as_hive_does(value):
    rest = layout.folder("host", value).partition("=")[2]
    assert urllib.parse.unquote(rest) == value
    assert rest != layout.MISSING


@given(TEXT, TEXT)
def test_different_values_have_different_folders(one, other):
    assert (layout.folder("host", one) == layout.folder("host", other)) == (one == other)


def test_what_is_missing_is_not_what_is_called_so():
    assert layout.folder("host", None) == "host=__HIVE_DEFAULT_PARTITION__"
    assert layout.folder("host", layout.MISSING) == "host=%5F_HIVE_DEFAULT_PARTITION__"
    long = "a" * 1000
    assert layout.folder("host", long).startswith("host=aaa")
    assert layout.folder("host", long) != layout.folder("host", long + "b")


@given(st.lists(st.tuples(st.binary(), st.binary())))
def test_fields_come_back_byte_by_byte(fields):
    assert layout.fields_of(layout.pairs_of(fields)) == tuple(fields)


def test_partitions_that_cannot_be():
    assert layout.checked_partition("host") == ("host",)
    assert layout.checked_partition(()) == ()
    with pytest.raises(ValueError, match="'status' cannot name folders; there are date, method"):
        layout.checked_partition(["status"])
    with pytest.raises(ValueError, match="a column is named twice"):
        layout.checked_partition(["date", "date"])


def facts(text):
    return layout.schema(bodies=False).with_metadata({layout.KEY: text})


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (pa.schema({"a": pa.int64()}), "this Parquet file has no flows"),
        (facts(b"{"), "metadata is damaged"),
        (facts(b'{"version": 1, "partition": {"../..": "a"}}'), "metadata is damaged"),
        (facts(b'{"version": 1, "partition": {"host": 3}}'), "metadata is damaged"),
        (facts(b'{"version": 2, "partition": {}}'), "a newer nbproxy .version 2"),
        (
            pa.schema({"id": pa.string()}, metadata={b"nbproxy": b'{"version":1,"partition":{}}'}),
            "its column 'id' is missing, or is no int64",
        ),
        (
            layout.schema(bodies=False)
            .append(pa.field("websocket", pa.string()))
            .with_metadata({layout.KEY: b'{"version": 1, "partition": {}}'}),
            "its column 'websocket' is no struct",
        ),
    ],
)
def test_files_that_are_refused(found, message):
    with pytest.raises(FormatError, match=message):
        layout.partition_of(found, "x.parquet")


def test_a_file_says_what_its_folders_stand_for():
    kinds = layout.schema(bodies=True)
    kinds = kinds.remove(kinds.get_field_index("host"))
    found = kinds.with_metadata(layout.metadata({"host": "ü/.."}, bodies=True))
    assert layout.partition_of(found, "x") == {"host": "ü/.."}
