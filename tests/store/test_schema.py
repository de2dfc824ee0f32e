"""The columns are those that others rely on."""

import pytest

from nbproxy.model.headers import Headers
from nbproxy.store.schema import COLUMNS, HIDDEN
from tests.store.flow_factory import answer, new_flow


def test_the_columns_are_those_that_are_fixed():
    names = (
        "time method scheme host port path status reason content_type request_bytes "
        "response_bytes duration ttfb http_version client server tls error intercepted marked "
        "comment cell line function"
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


def test_columns_for_filters_are_no_columns_of_frames():
    assert all(column.name.startswith("_") for column in HIDDEN)
    assert not {column.name for column in HIDDEN} & {column.name for column in COLUMNS}
    assert all(column.doc.endswith(".") for column in HIDDEN)


@pytest.mark.parametrize(
    "host",
    [
        *(None, "example.org", "EXAMPLE.org:443", "other.example:8080", "[::1]:443", "a b", ""),
        *("x,y", "user@host", "münchen.example", "host:99999", ":80"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/a?b", "*", ""])
@pytest.mark.parametrize("scheme", ["http", "https", "ftp"])
def test_the_authority_is_that_of_the_url_as_it_was_named(host, path, scheme):
    flow = new_flow(path, host="10.0.0.1", scheme=scheme)
    if host is not None:
        flow.request.headers["Host"] = host
    read = next(column.value for column in HIDDEN if column.name == "_authority")
    rest = "" if path == "*" else path
    assert f"{scheme}://{read(flow)}{rest}" == flow.request.pretty_url
    if host:
        flow.request.headers.add("Host", "second.example")
        assert f"{scheme}://{read(flow)}{rest}" == flow.request.pretty_url
