"""A few flows out of many, and their bodies."""

import numpy as np
import pytest

from nbproxy.analysis.samples import (
    MAX_BODY,
    MAX_SAMPLES,
    NotJSON,
    content_of,
    evenly,
    flows_at,
    json_of,
    media_type,
    members_of,
    per_group,
)
from tests.analysis.views import flow, view


def test_evenly():
    members = np.arange(100) * 2
    chosen = evenly(members, 5).tolist()
    assert chosen[0] == 0
    assert chosen[-1] == 198
    assert len(chosen) == 5
    assert evenly(members[:3], 5).tolist() == [0, 2, 4]
    assert evenly(members, 1).tolist() == [0]
    assert evenly(members[:0], 5).tolist() == []


def test_members():
    found = members_of(np.array([1, 0, 1, -1, 3]), 4)
    assert [each.tolist() for each in found] == [[1], [0, 2], [], [4]]
    assert members_of(np.empty(0, np.int64), 0) == []


def test_how_many_of_each():
    assert per_group(20, 5) == 20
    assert per_group(20, MAX_SAMPLES // 10) == 10
    assert per_group(20, MAX_SAMPLES * 10) == 1
    assert per_group(20, 0) == 20


def test_flows_that_are_gone_are_left_out():
    flows = view(flow(), flow(), flow())
    ids = [each.id for each in flows]
    flows.store.remove([ids[1]])
    assert [each.id for each in flows_at(flows, ids)] == [ids[0], ids[2]]


def test_media_types():
    made = flow(body=b"x", kind="Application/JSON; charset=utf-8")
    assert media_type(made.response) == "application/json"
    assert media_type(made.request) == ""


def test_contents():
    assert content_of(flow(body=b"x").response) == b"x"
    assert content_of(flow(body=b"").response) is None
    assert content_of(flow(body=b"x" * (MAX_BODY + 1)).response) is None
    packed = flow(body=b"x" * (MAX_BODY + 1)).response
    packed.encode("gzip")
    assert packed.body_size < MAX_BODY
    assert content_of(packed) is None
    missing = flow().response
    missing.raw_content = None
    assert content_of(missing) is None


class Gone:
    size_bytes = 5

    def read(self):
        raise OSError("the file is gone")


def test_a_body_whose_file_is_gone():
    response = flow(body=b"[]").response
    response.hold_body(Gone())
    assert content_of(response) is None
    with pytest.raises(NotJSON):
        json_of(response)


def test_json():
    packed = flow(body=b'{"a": 1}').response
    packed.encode("br")
    assert json_of(packed) == {"a": 1}
    with pytest.raises(NotJSON):
        json_of(flow(body=b"<p>", kind="text/html").response)
