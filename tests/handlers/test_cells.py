"""Running a cell, a module or a program again replaces what it registered, and nothing else."""

from __future__ import annotations

import contextvars
import importlib
import sys
import textwrap
import threading

import pytest

from nbproxy.handlers.cells import Cell
from nbproxy.handlers.registry import Registry


def shown(registry):
    return [(h.number, h.name, h.hook, h.source.label) for h in registry]


def test_a_cell_run_again_replaces_its_handler_in_its_place(notebook, registry, flow):
    notebook.run("@on('response')\ndef a(flow): log.append('a')", "1")
    notebook.run("@on('response')\ndef b(flow): log.append('b')", "2")
    registry.fire("response", flow)
    notebook.run("@on('response')\ndef a(flow): log.append('new a')", "1")
    registry.fire("response", flow)
    assert notebook.log == ["a", "b", "new a", "b"]
    assert shown(registry) == [(1, "a", "response", "In [3]"), (2, "b", "response", "In [2]")]
    assert [handler.calls for handler in registry] == [1, 2]


def test_the_same_name_in_another_cell_is_another_handler(notebook, registry):
    for key in ("1", "2"):
        notebook.run("@on('response')\ndef a(flow): ...", key)
    assert len(registry) == 2


def test_what_an_edited_cell_no_longer_registers_goes(notebook, registry):
    notebook.run("@on('request')\n@on('response')\ndef a(flow): ...\non('error')(lambda: None)")
    assert len(registry) == 3
    notebook.run("@on('response')\ndef b(flow): ...")
    assert shown(registry) == [(4, "b", "response", "In [2]")]
    notebook.run("1 + 1")
    assert len(registry) == 0
    assert "response" not in registry.active


def test_a_failed_run_removes_nothing(notebook, registry):
    notebook.run("@on('request')\ndef a(flow): ...\n@on('request')\ndef b(flow): ...")
    with pytest.raises(ZeroDivisionError):
        notebook.run("@on('request')\ndef a(flow): ...\n1 / 0")
    assert shown(registry) == [(1, "a", "request", "In [2]"), (2, "b", "request", "In [1]")]
    notebook.run("@on('request')\ndef a(flow): ...")
    assert shown(registry) == [(1, "a", "request", "In [3]")]


def test_an_edited_filter_replaces_and_several_filters_keep_their_places(notebook, registry):
    notebook.run("@on('request', '~d a')\n@on('request', '~d b')\ndef f(flow): ...", "1")
    notebook.run("@on('request')\ndef g(flow): ...", "2")
    notebook.run("@on('request', '~d b')\n@on('request', '~d a')\ndef f(flow): ...", "1")
    assert [(h.number, str(h.filter)) for h in registry] == [(1, "~d b"), (2, "~d a"), (3, "None")]
    notebook.run("@on('request', '~d c')\ndef f(flow): ...", "1")
    assert [(h.number, str(h.filter)) for h in registry] == [(1, "~d c"), (3, "None")]


def test_closures_lambdas_and_namesakes_of_one_run_all_stay(notebook, registry):
    text = textwrap.dedent("""
        for i in range(3):
            @on('request')
            def f(flow, i=i): log.append(i)
        on('request')(lambda flow: log.append('x')); on('request')(lambda flow: log.append('y'))
        @on('request')
        def _(flow): log.append('_')
        @on('request')
        def _(flow): log.append('__')
    """)
    for _ in range(2):
        notebook.run(text)
        assert [h.number for h in registry] == [1, 2, 3, 4, 5, 6, 7]
    registry.fire("request")
    assert notebook.log == [0, 1, 2, "x", "y", "_", "__"]


def test_a_client_that_sends_no_cell_id_replaces_by_name(notebook, registry):
    notebook.run("@on('request')\ndef a(flow): ...", None)
    notebook.run("on('request')(lambda flow: 1)", None)
    notebook.run("on('request')(lambda flow: 2)", None)
    notebook.run("@on('request')\ndef a(flow): 'edited'", None)
    assert [h.name for h in registry] == ["a", "<lambda>", "<lambda>"]
    notebook.run("on('request')(lambda flow: 2)", None)  # the same text, so the same cell
    assert len(registry) == 3


def test_a_function_registered_again_is_one_handler_and_renewed(notebook, registry):
    def f(flow): ...

    notebook.namespace["f"] = f
    for _ in range(2):
        notebook.run("on('request')(f); on('client_connected')(f); on('clientconnect')(f)")
        assert [(h.number, h.hook) for h in registry] == [(1, "request"), (2, "clientconnect")]


@pytest.fixture
def module(tmp_path, monkeypatch, registry):
    """Writes, and at the end forgets, a module that registers handlers when it is imported."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(Registry, "current", registry, raising=False)

    def write(body):
        head = "from nbproxy.handlers.registry import Registry\non = Registry.current.on\n"
        (tmp_path / "my_handlers.py").write_text(head + textwrap.dedent(body))
        importlib.invalidate_caches()

    yield write
    sys.modules.pop("my_handlers", None)


def test_handlers_of_an_imported_module_belong_to_the_module(notebook, registry, module):
    module("@on('request')\ndef f(flow): ...\n@on('request')\ndef _(flow): ...\n")
    for _ in range(2):
        notebook.run("import my_handlers")
        assert shown(registry) == [
            (1, "f", "request", "my_handlers"),
            (2, "_", "request", "my_handlers"),
        ]
    module("\n\n@on('request')\ndef f(flow): 'edited'\n")
    notebook.run("import importlib; importlib.reload(my_handlers)", "2")
    assert [h.number for h in registry if h.name == "f"] == [1]
    assert next(iter(registry)).function.__code__.co_firstlineno == 5


def test_closures_that_a_cell_gets_from_a_module_belong_to_the_cell(notebook, registry, module):
    module("def install():\n    @on('request')\n    def f(flow): ...\n")
    for _ in range(2):
        notebook.run("import my_handlers; my_handlers.install()")
        assert len(registry) == 1
    notebook.run("pass")
    assert len(registry) == 0


def test_a_plain_program_keeps_all_and_a_prompt_replaces_by_name(registry):
    def make():
        @registry.on("request")
        def f(flow): ...

        return f

    assert make() is not make()
    assert len(registry) == 2

    registry.off()
    for text in ("@on('request')\ndef f(flow): 1", "@on('request')\ndef f(flow): 2"):
        exec(compile(text, "<stdin>", "exec"), {"__name__": "__main__", "on": registry.on})
    assert len(registry) == 1
    for _ in range(2):
        exec("on('request')(lambda flow: 1)", {"__name__": "__main__", "on": registry.on})
    assert len(registry) == 3


def test_the_context_of_a_cell_may_be_given(registry):
    seen = []
    variable = contextvars.ContextVar("variable", default="outer")
    inner = contextvars.copy_context()
    inner.run(variable.set, "inner")

    class Cells:
        def current_cell(self):
            return Cell("1", "In [1]", inner)

    registry.cells = Cells()
    registry.on("running")(lambda: seen.append(variable.get()))
    registry.fire("running")
    assert seen == ["inner"]


def test_ends_without_begin_and_other_cells_are_harmless(notebook, registry):
    notebook.run("@on('request')\ndef f(flow): ...", "1")
    assert registry.end_cell("1", ok=True) == 0
    registry.begin_cell("2")
    assert registry.end_cell("2", ok=True) == 0
    assert len(registry) == 1


def test_a_thread_registers_without_a_program_on_its_stack(registry):
    for _ in range(2):
        thread = threading.Thread(target=lambda: registry.on("request")(lambda flow: None))
        thread.start()
        thread.join()
    assert len(registry) == 2
