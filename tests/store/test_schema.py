"""The columns are those that others rely on."""

import pytest

from nbproxy.model.headers import Headers
from nbproxy.store.schema import COLUMNS
from tests.store.flow_factory import answer, new_flow


def test_the_columns_are_those_that_are_fixed():
    names = (
        "time method scheme host port path status reason content_type request_bytes "
        "response_bytes duration ttfb http_version client server tls error intercepted marked "
        "comment"
    )
    assert [column.name for column in COLUMNS] == names.split()
    assert all(column.doc.endswith(".") for column in COLUMNS)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("Text/HTML; charset=utf-8", "text/html"),
        (" application/json ;x=1", "application/json"),
        ("", ""),
        ("te\u202ext", "te\\u202ext"),
    ],
)
def test_media_types(sent, shown):
    flow = new_flow()
    answer(flow, content_type="x")
    flow.response.headers = Headers.from_wire(((b"CONTENT-Type", sent.encode()),))
    read = next(column.value for column in COLUMNS if column.name == "content_type")
    assert read(flow) == shown
