"""Flows and messages: what they have in slots, and what people add to them."""

import copy

import pytest

from nbproxy import HTTPFlow, Request, Response
from nbproxy.model.record import attributes
from nbproxy.model.tcp import TCPFlow


def made():
    flow = HTTPFlow(Request.make("GET", "http://example.org/"))
    flow.response = Response.make(200, b"ok", {"A": "1"})
    return flow


def test_only_what_is_added_is_in_the_dict():
    flow = made()
    flow.comment, flow.response.stream = "seen", True
    for each in (flow, flow.request, flow.response, TCPFlow()):
        assert vars(each).keys() <= {"_inject", "messages"}
        each.mine = 1
        assert vars(each)["mine"] == 1
        assert attributes(each)["mine"] == 1
        del each.mine
        assert not hasattr(each, "mine")


def test_all_of_them_by_name():
    flow = made()
    flow.error, flow.mine = None, 2
    found = attributes(flow)
    assert (found["request"], found["response"], found["error"]) == (
        flow.request,
        flow.response,
        None,
    )
    assert (found["mine"], found["intercepted"], found["_marked"]) == (2, False, "")
    assert attributes(flow.request)["_path"] == "/"
    assert attributes(flow.response)["status_code"] == 200


@pytest.mark.parametrize("how", [Request.copy, Response.copy, copy.copy, copy.deepcopy])
def test_copies_have_what_was_added(how):
    flow = made()
    message = flow.request if how is Request.copy else flow.response
    message.mine = [1]
    message.trailers = None
    again = how(message)
    assert type(again) is type(message)
    assert attributes(again).keys() == attributes(message).keys()
    assert again.mine == [1]
    assert again.headers == message.headers
    assert again.content == message.content
    again.timestamp_end = 5.0
    assert message.timestamp_end is None


def test_people_can_make_classes_of_them():
    class Mine(HTTPFlow):
        def __init__(self, request):
            super().__init__(request)
            self.seen = 0

    flow = Mine(made().request)
    assert vars(flow) == {"seen": 0}
    assert flow.response is None
    assert flow.copy().request.url == "http://example.org/"
