"""Frames of analysis as a shell shows them: picture and table, secrets masked."""

import pytest

from nbproxy.notebook import pictures, tables
from tests.analysis.views import flow, view


@pytest.fixture
def display(shell):
    tables.register(shell)
    pictures.register(shell)
    yield shell.display_formatter
    pictures.unregister(shell)
    tables.unregister(shell)


@pytest.fixture
def flows():
    return view(flow(url="https://api.test/users/1?token=hunter2"), flow(status=500))


@pytest.mark.parametrize("name", ["timeline", "endpoints", "hosts", "errors"])
def test_picture_and_table(display, flows, name):
    bundle, _ = display.format(getattr(flows, name)())
    assert bundle["text/html"].startswith("<div><svg")
    assert "<table" in bundle["text/html"]
    assert "hunter2" not in str(bundle)
    assert len(bundle["text/plain"].splitlines()) > 1


def test_what_is_made_of_them_is_masked_too(display, flows):
    bundle, _ = display.format(flows.timeline()[["path"]])
    assert "<svg" not in bundle["text/html"]
    assert "hunter2" not in str(bundle)
    bundle, _ = display.format(flows.sql("select path from flows"))
    assert "hunter2" not in str(bundle)


def test_a_document_is_a_tree(display, flows):
    document = flows.to_openapi()
    bundle, _ = display.format(document)
    assert bundle["application/json"] == document
    assert bundle["text/plain"].startswith("<OpenAPI 3.1.0")


def test_taking_it_back(shell):
    pictures.register(shell)
    pictures.unregister(shell)
    pictures.unregister(shell)
    known = shell.display_formatter.formatters["text/html"].deferred_printers
    assert ("nbproxy.analysis.frames", "Pictured") not in known


def test_the_extension_does_it(shell):
    shell.run("%load_ext nbproxy")
    shell.run("from tests.analysis.views import flow, view")
    shell.run("frame = view(flow()).hosts()")
    bundle, _ = shell.display_formatter.format(shell.user_ns["frame"])
    assert bundle["text/html"].startswith("<div><svg")
