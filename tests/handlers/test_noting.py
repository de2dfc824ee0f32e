"""Notes of what handlers change in flows."""

import json

import pytest

from nbproxy.handlers import noting
from nbproxy.handlers.registry import Registry
from nbproxy.model.flow import Error
from nbproxy.model.message import Response
from tests.store.flow_factory import answer, new_flow


def changes(change, flow=None):
    """What is noted of a change, without the handler's name."""
    flow = flow or answered()
    before = noting.look(flow)
    change(flow)
    noting.note(flow, before, "stamp")
    notes = flow.metadata.get("changes", [])
    json.dumps(notes)
    assert all(who == "stamp" for who, *_ in notes)
    return [tuple(rest) for _, *rest in notes]


def answered():
    flow = new_flow("/old")
    answer(flow)
    return flow


def test_nothing():
    flow = answered()
    noting.note(flow, noting.look(flow), "stamp")
    assert flow._metadata is None  # not even a place for notes was made


@pytest.mark.parametrize(
    ("change", "noted"),
    [
        (lambda f: setattr(f.request, "path", "/new"), ("request.path", "/old", "/new")),
        (lambda f: setattr(f.request, "method", "PUT"), ("request.method", "GET", "PUT")),
        (lambda f: setattr(f.response, "status_code", 404), ("response.status_code", "200", "404")),
        (
            lambda f: f.response.headers.add("x-seen", "1"),
            ('response.headers["x-seen"]', None, "1"),
        ),
        (
            lambda f: f.response.headers.pop("content-type"),
            ('response.headers["Content-Type"]', "text/html; charset=utf-8", None),
        ),
        (lambda f: setattr(f, "error", Error("no")), ("error", None, "no")),
        (lambda f: setattr(f, "response", None), ("response", "200, 5 bytes", None)),
    ],
)
def test_a_field(change, noted):
    assert changes(change) == [noted]


def test_a_body():
    def change(flow):
        flow.response.text = "longer than before"

    assert changes(change) == [
        ('response.headers["content-length"]', None, "18"),
        ("response.content", "5 bytes", "18 bytes"),
    ]


def test_a_body_of_the_same_length():
    assert changes(lambda flow: flow.response.hold_body(b"HELLO")) == [
        ("response.content", "5 bytes", "5 bytes")
    ]


def test_an_answer_in_the_servers_place():
    flow = new_flow()
    assert changes(lambda flow: setattr(flow, "response", Response.make(418)), flow) == [
        ("response", None, "418, 0 bytes")
    ]


def test_what_comes_first_stays():
    def change(flow):
        for number in range(300):
            flow.request.headers[f"x-{number}"] = "y" * 10_000

    noted = changes(change)
    assert len(noted) == noting.MAX_CHANGES
    assert noted[0] == ('request.headers["x-0"]', None, "y" * 500)


def test_whatever_a_handler_puts_there():
    assert changes(lambda flow: setattr(flow, "response", "text")) == []
    assert changes(lambda flow: setattr(flow, "request", None)) == []
    flow = answered()
    flow.metadata["changes"] = "mine"
    flow_before = noting.look(flow)
    flow.request.path = "/new"
    noting.note(flow, flow_before, "stamp")
    assert flow.metadata["changes"] == "mine"


async def test_each_kind_of_handler():
    registry = Registry()

    @registry.on("response")
    def plain(flow):
        flow.response.headers["a"] = "1"

    @registry.on("response")
    async def waiting(flow):
        flow.response.headers["b"] = "2"

    def threaded(flow):
        flow.response.headers["c"] = "3"

    registry.add("response", threaded, source=next(iter(registry)).source, concurrent=True)
    flow = answered()
    await registry.fire("response", flow)
    assert "changes" not in flow.metadata
    registry.notes_changes = True
    assert registry.notes_changes
    flow = answered()
    await registry.fire("response", flow)
    names = [who.rpartition(".")[2] for who, *_ in flow.metadata["changes"]]
    assert names == ["plain", "waiting", "threaded"]
    registry.close()
