"""`nbproxy.log`: what scripts say, by whatever way."""

import pytest

from nbproxy.scripts.log import KEPT, Log

TALKS = """
    import logging, sys
    from mitmproxy import ctx
    logger = logging.getLogger(__name__)
    def response(flow):
        ctx.log("called", "warn")
        ctx.log.debug("debug")
        ctx.log.info({"any": "object"})
        ctx.log.alert("alert")
        ctx.log.error("error")
        logging.info("std %d", 1)
        logger.warning("warning")
        logging.getLogger("other.name").critical("critical")
        logging.log(21, "level 21")
        try:
            1 / 0
        except ZeroDivisionError:
            logging.exception("with a traceback")
        print("printed", 2, sep="-")
        print("to stderr", file=sys.stderr)
"""


def test_every_way_of_speaking_ends_in_the_log(idle, write, make_flow):
    path = write("a.py", TALKS)
    idle.load(path)
    idle.handlers.fire("response", make_flow())
    said = [(entry.level, entry.text.partition("\n")[0]) for entry in idle.log]
    assert said == [
        ("warn", "called"),
        ("debug", "debug"),
        ("info", "{'any': 'object'}"),
        ("alert", "alert"),
        ("error", "error"),
        ("info", "std 1"),
        ("warn", "warning"),
        ("error", "critical"),
        ("alert", "level 21"),
        ("error", "with a traceback"),
        ("info", "printed-2"),
        ("warn", "to stderr"),
    ]
    assert {entry.script for entry in idle.log} == {str(path)}


def test_it_is_shown_where_the_script_was_loaded(idle, write, make_flow, capsys):
    idle.load(write("a.py", TALKS))
    idle.handlers.fire("response", make_flow())
    out, err = capsys.readouterr()
    assert "a.py: alert" in out
    assert "printed-2\n" in out
    assert out.count("printed-2") == 1
    assert "debug" not in out + err
    assert "a.py: error" in err
    assert "to stderr\n" in err


def test_context_log(idle, write, make_flow):
    idle.load(write("a.py", "def request(c, f):\n    c.log('x')\n    c.log('y', 'error')"))
    idle.handlers.fire("request", make_flow())
    assert [(entry.level, entry.text) for entry in idle.log] == [("info", "x"), ("error", "y")]


@pytest.mark.parametrize(("era", "name"), [("F", "log"), ("G", "add_log"), ("H", "add_log")])
def test_scripts_may_listen(idle, write, era, name):
    path = write(
        "a.py",
        f"""
        from mitmproxy import ctx
        heard = []
        def {name}(entry):
            heard.append((entry.msg, entry.level))
            ctx.log.info("recursion is not followed")
        """,
    )
    script = idle.load(path, era=era)
    idle.log.add("warn", "x", "hello")
    assert script.program.addons[0].heard == [("hello", "warn")]


def test_filtering():
    log = Log()
    warnings = log.filter("warn")
    log.add("info", "a.py", "one")
    log.add("warning", "b.py", "two")
    log.add("error", "a.py", "three")
    assert [entry.text for entry in warnings] == ["two", "three"]
    assert [entry.text for entry in log.filter(script="a.py")] == ["one", "three"]
    assert [entry.text for entry in log.filter("error", "a")] == ["three"]
    assert log[-1].text == warnings[-1].text == "three"
    assert (len(log), len(warnings)) == (3, 2)
    with pytest.raises(ValueError, match="no level 'loud'; there are: debug"):
        log.filter("loud")


def test_frame(idle):
    assert list(idle.log.df.columns) == ["time", "level", "script", "text"]
    idle.log.add("info", "a.py", "one")
    idle.log.add("error", "a.py", "two")
    frame = idle.log.df
    assert str(frame.time.dt.tz) == "UTC"
    assert list(frame.text) == ["one", "two"]
    assert list(idle.log.filter("error").df.text) == ["two"]
    with pytest.raises(RuntimeError, match="belongs to no proxy"):
        _ = Log().df


def test_it_is_bounded_and_can_be_cleared():
    log = Log()
    for number in range(KEPT + 5):
        log.add("info", "", number)
    assert len(log) == KEPT
    assert log[0].text == "5"
    log.clear()
    assert len(log) == 0
    assert "nothing was said" in repr(log)


def test_control_characters_and_markup_are_inert():
    log = Log()
    log.add("info", "<b>.py", "\x1b[31m<script>\n")
    assert "\x1b" not in repr(log)
    assert "<script>" not in log._repr_html_()
    assert "&lt;b&gt;" in log.filter()._repr_html_()
    assert "\\x1b" in repr(log.filter())


def test_a_listener_that_fails_harms_nobody(caplog):
    log = Log()
    heard = []
    end = log.subscribe(lambda entry: 1 / 0)
    log.add("info", "", "x")
    assert "a listener of the log failed" in caplog.text
    end()
    log.subscribe(heard.append)
    log.add("info", "", "y")
    assert [entry.text for entry in heard] == ["y"]


def test_of_a_long_traceback_the_end_is_shown():
    log = Log()
    lines = [f"  line {number} of what happened" for number in range(100)]
    log.add("error", "a.py", "\n".join(["Script error:", *lines, "ValueError: this is why"]))
    log.add("info", "a.py", "x" * 3000)
    first, last = repr(log).split("\n12:")[0].splitlines(), repr(log).splitlines()[-1]
    assert first[0].endswith("a.py: Script error:")
    assert "more lines)" in first[1]
    assert any(line == "ValueError: this is why" for line in repr(log).splitlines())
    assert last.endswith("x… (+2,000 characters)")
    assert "ValueError: this is why" in log._repr_html_()
    assert len(log[0].text.splitlines()) == 102  # the entry itself has all
