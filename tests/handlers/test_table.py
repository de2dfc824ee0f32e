"""The table of handlers, for eyes and for frames."""

from __future__ import annotations

from html.parser import HTMLParser

from nbproxy.handlers import table
from nbproxy.handlers.concurrent import concurrent


def test_an_empty_table_says_how_to_begin(registry):
    assert repr(registry) == table.EMPTY
    assert "@nbproxy.on(&quot;response&quot;)" in registry._repr_html_()
    assert registry.rows() == []


def test_rows_have_all_columns_in_order(notebook, registry, flow):
    notebook.run("@on('request', '~d example')\ndef stamp(flow): 1 / 0")
    notebook.namespace["concurrent"] = concurrent
    notebook.run("@on('response')\n@concurrent\ndef slow(flow): ...", "b")
    registry.fire("request", flow)
    first, second = registry.rows()
    assert tuple(first) == table.COLUMNS
    assert first["number"] == 1
    assert first["cell"] == "In [1]"
    assert (first["hook"], first["filter"], first["function"]) == ("request", "~d example", "stamp")
    assert (first["kind"], first["calls"], first["errors"]) == ("sync", 1, 1)
    assert 0 < first["mean_ms"] == first["worst_ms"] == first["total_ms"]
    assert first["last_error"].startswith("ZeroDivisionError: division by zero (")
    assert (second["kind"], second["calls"], second["mean_ms"]) == ("concurrent", 0, 0.0)


def test_the_text_is_aligned(notebook, registry):
    notebook.run("@on('request')\ndef stamp(flow): ...\n@on('responseheaders', '~d a')\ndef b(): 0")
    head, first, second = repr(registry).splitlines()
    assert head.split()[:5] == ["#", "cell", "hook", "filter", "function"]
    assert "worst ms" in head
    for name, of in (("request", first), ("responseheaders", second)):
        assert of.index(name) == head.index("hook")


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []
        self.text = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def test_what_came_off_the_wire_stays_text(registry, flow):
    evil = "<img src=x onerror=alert(1)>\x1b[31m\u202e"

    @registry.on("request", '~d "<b>" | ~all')
    def handler(flow):
        raise ValueError(evil)

    registry.fire("request", flow)
    page = Elements()
    page.feed(registry._repr_html_())
    assert set(page.tags) == {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert any("<img src=x" in text for text in page.text)
    for shown in (registry._repr_html_(), repr(registry)):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert 'value="' not in registry._repr_html_()


def test_a_handlers_own_repr(registry):
    @registry.on("request", "~d a")
    def stamp(flow): ...

    (handler,) = registry
    assert repr(handler).endswith(f"stamp for request [~d a], {__name__}>")
