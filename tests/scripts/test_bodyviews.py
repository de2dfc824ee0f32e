"""Views of bodies that scripts add: asked as in their releases, and gone with their scripts."""

import threading
from textwrap import dedent

import pytest

from nbproxy import contentviews
from nbproxy.model.message import Request, Response
from nbproxy.scripts import bodyviews, bounded
from tests.support.proxies import wait_until

TEXT = contentviews.Body(b"Hello", "text/plain; charset=utf-8")

C = """
    from libmproxy import contentviews
    class Swap(contentviews.View):
        name = "swap"
        prompt = ("swap case", "w")
        content_types = ["text/plain"]
        def __call__(self, data, **metadata):
            assert isinstance(data, str)
            return "swapped", contentviews.format_text(data.swapcase())
    view = Swap()
    def start(context, argv): context.add_contentview(view)
    def done(context): context.remove_contentview(view)
"""
D = """
    from mitmproxy import contentviews
    class Swap(contentviews.View):
        name = "swap"
        prompt = ("swap case", "w")
        content_types = ["text/plain"]
        def __call__(self, data, **metadata):
            assert isinstance(data, bytes)
            return "swapped", contentviews.format_text(data.swapcase())
    view = Swap()
    def start({0}): contentviews.add(view)
    def done(): contentviews.remove(view)
"""
F = D.replace("def start({0})", "def load(loader)")
SHOULD = """
    from mitmproxy import contentviews
    class Swap(contentviews.View):
        name = "swap"
        def should_render(self, content_type): return content_type == "text/plain"
        def __call__(self, data, **metadata):
            return "swapped", contentviews.format_text(data.swapcase())
    def load(loader): contentviews.add(Swap())
"""
G = """
    from mitmproxy import contentviews, flow, http
    class Swap(contentviews.View):
        name = "swap"
        def __call__(self, data, *, content_type=None, flow=None, http_message=None, **unknown):
            return "swapped", contentviews.format_text(data.swapcase())
        def render_priority(self, data, *, content_type=None, flow=None, http_message=None,
                            **unknown):
            return 1 if content_type == "text/plain" else 0
    view = Swap()
    def load(loader): contentviews.add(view)
    def done(): contentviews.remove(view)
"""
TWELVE = """
    from mitmproxy import contentviews
    class Swap(contentviews.Contentview):
        syntax_highlight = "yaml"
        def prettify(self, data, metadata):
            return data.swapcase().decode()
        def render_priority(self, data, metadata):
            return 2 if metadata.content_type == "text/plain" else 0
    contentviews.add(Swap)
"""
ERAS = {
    "0.15": C,
    "0.17": C.replace("libmproxy", "mitmproxy"),
    "0.18": D.format(""),
    "1.0": D.format(""),
    "2.0": D.format(""),
    "3.0": F,
    "6.0": F,
    "6": SHOULD,
    "7.0": G,
    "9.0": G,
    "11": G,
    "12": TWELVE,
}


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """No view is given up because the machine is slow; what is interrupted has time to end."""
    monkeypatch.setattr(bodyviews, "RATE_S", 600.0)
    monkeypatch.setattr(bodyviews, "LAY_OUT_S", 600.0)
    monkeypatch.setattr(bounded, "_GRACE_S", 600.0)


@pytest.fixture
def shown():
    """The view of a body that is chosen, or that of a name."""

    def get(view="auto", body=TEXT, **more):
        return contentviews.render(body, view, **more)

    return get


@pytest.fixture
def load(idle, write):
    """Loads a script: `load(source, era)`."""

    def make(source, era="12", name="a.py"):
        return idle.load(write(name, source), era=era)

    return make


SHOULD_7 = SHOULD.replace(
    'content_type): return content_type == "text/plain"',
    'data, *, content_type=None, **_): return content_type == "text/plain" and data == b"Hello"',
)
ERAS["6.0.2"] = SHOULD_7


@pytest.mark.parametrize("era", ERAS)
def test_views_of_all_eras_are_chosen_and_go_with_their_script(load, idle, shown, era):
    before = contentviews.names(TEXT)
    load(ERAS[era], era)
    found = shown()
    assert found.name.lower() == "swap"
    assert found.source == "hELLO"
    assert found.notes[0].lower() == f"swap, by a.py{'' if era == '12' else ': swapped'}."
    assert found.syntax == ("yaml" if era == "12" else "")
    json = contentviews.Body(b"{}", "application/json")
    assert contentviews.names(json)[0] == "json"
    assert contentviews.names(json)[-1].lower() == "swap"
    assert shown("SWAP", json).source == "{}"
    assert idle.scripts[0].last_error == ""
    idle.unload()
    assert contentviews.names(TEXT) == before
    with pytest.raises(ValueError, match="there is no view 'swap'"):
        shown("swap")


HEAD = {"content-type": "text/plain", "x-own": "yes"}


@pytest.mark.parametrize(
    ("era", "source"),
    [
        (
            "0.17",
            """
            from mitmproxy import contentviews
            class Told(contentviews.View):
                name, prompt = "told", ("told", "t")
                def __call__(self, data, headers=None, query=None):
                    return "", [[("header", headers["x-own"]), ("text", " %s" % query)]]
            def start(context, argv): context.add_contentview(Told())
            """,
        ),
        (
            "4.0",
            """
            from mitmproxy import contentviews
            class Told(contentviews.View):
                name = "told"
                def __call__(self, data, **metadata):
                    message = metadata["message"]
                    assert message.headers["x-own"] == metadata["headers"]["x-own"]
                    return "", [[("text", message.headers["x-own"]), ("text", b" "),
                                 ("text", str(metadata["query"]))]]
            def load(loader): contentviews.add(Told())
            """,
        ),
        (
            "9.0",
            """
            from mitmproxy import contentviews, http
            class Told(contentviews.View):
                name = "told"
                def __call__(self, data, *, content_type=None, flow=None, http_message=None, **_):
                    assert isinstance(http_message, http.Response), http_message
                    assert flow.response.headers["x-own"] == "yes"
                    return "", contentviews.format_text(http_message.headers["x-own"] + " None")
            def load(loader): contentviews.add(Told())
            """,
        ),
        (
            "12",
            """
            from mitmproxy import contentviews, http
            class Told(contentviews.Contentview):
                def prettify(self, data, metadata):
                    assert metadata.flow.response is metadata.http_message
                    assert metadata.tcp_message is None
                    return metadata.http_message.headers["x-own"] + " None"
            contentviews.add(Told)
            """,
        ),
    ],
)
def test_what_a_view_is_told(load, make_flow, era, source):
    load(source, era)
    flow = make_flow(headers=HEAD)
    found = contentviews.render(flow.response, "told", flow=flow)
    assert (found.source, found.notes) == ("yes None", ("Told, by a.py.",)) or (
        found.source,
        found.notes,
    ) == ("yes None", ("told, by a.py.",))


def test_a_first_argument_of_another_name(load, shown):
    load(
        """
        from mitmproxy import contentviews
        class Named(contentviews.View):
            name = "named"
            def __call__(self, message, **metadata):
                return "", contentviews.format_text(message.upper())
        contentviews.add(Named())
        """,
        "9.0",
    )
    assert shown("named").source == "HELLO"


def test_the_query_of_a_request(load):
    load(
        """
        from mitmproxy import contentviews
        class Told(contentviews.View):
            name = "told"
            def __call__(self, data, **metadata):
                return "", contentviews.format_dict(metadata["query"])
        def load(loader): contentviews.add(Told())
        """,
        "4.0",
    )
    request = Request.make("POST", "http://a.test/?a=1&bcd=2", b"x")
    assert contentviews.render(request, "told").source == "a:   1\nbcd: 2"


@pytest.mark.parametrize(
    ("gives", "text"),
    [
        ('"", contentviews.format_text("a\\nb")', "a\nb"),
        ('"", contentviews.format_text(b"a\\n\\xff")', "a\n\\xff"),
        ('"", [("text", "a"), [("text", "b"), ("error", "c")], "d", b"e", []]', "a\nbc\nd\ne\n"),
        ('"", "as it is"', "as it is"),
        ('"as it is"', "as it is"),
        ('b"as it is"', "as it is"),
        ('"", ([("text", str(n))] for n in range(3))', "0\n1\n2"),
        ('"", [[("text", 7)]]', "7"),
    ],
)
def test_whatever_shape_its_lines_have(load, shown, gives, text):
    load(
        f"""
        from mitmproxy import contentviews
        class Lines(contentviews.View):
            name = "lines"
            def __call__(self, data, **metadata): return {gives}
        contentviews.add(Lines())
        """,
        "9.0",
    )
    assert shown("lines").source == text


def test_lines_without_end_are_taken_as_far_as_a_bound(load, shown):
    load(
        """
        import itertools
        from mitmproxy import contentviews
        class Endless(contentviews.View):
            name = "endless"
            def __call__(self, data, **metadata):
                return "", ([("text", "x" * 1000)] for _ in itertools.count())
        class Nothing(contentviews.View):
            name = "nothing"
            def __call__(self, data, **metadata): return "", ([] for _ in itertools.count())
        contentviews.add(Endless())
        contentviews.add(Nothing())
        """,
        "9.0",
    )
    for name in ("endless", "nothing"):
        found = shown(name)
        assert found.total == 2**20
        assert "more than 1,048,576 characters" in found.note


def test_a_view_is_asked_once_for_all_parts_of_a_body(load, shown):
    script = load(
        """
        from mitmproxy import contentviews
        calls = []
        class Long(contentviews.Contentview):
            def prettify(self, data, metadata):
                calls.append(1)
                return "".join("%d\\n" % n for n in range(10000))
        contentviews.add(Long)
        """
    )
    pieces, offset = [], 0
    while offset is not None:
        part = shown("long", offset=offset, limit=10_000)
        pieces.append(part.source)
        offset = part.next_offset
    assert len(pieces) > 3
    assert "".join(pieces) == "".join(f"{n}\n" for n in range(10000))
    assert len(script.program.addons[0].calls) == 1


BROKEN = """
    from mitmproxy import contentviews
    class Broken(contentviews.Contentview):
        def prettify(self, data, metadata):
            return {}["nothing"]
        def render_priority(self, data, metadata):
            raise SystemExit("no idea")
    contentviews.add(Broken)
"""


def test_what_fails_is_in_the_log_with_the_scripts_own_lines(load, idle, shown, texts, capsys):
    script = load(BROKEN)
    assert contentviews.names(TEXT) == ["text", "hex", "raw", "Broken"]
    found = shown("broken")
    assert found.source == "Hello"
    (note,) = found.notes
    assert note.startswith("It cannot be shown as Broken: KeyError: 'nothing' (a.py, line 5)")
    contentviews.names(TEXT)
    shown("broken")
    rating, layout = texts(idle, "error")  # each place once
    assert "render_priority of the view Broken" in rating
    assert "no idea" in rating
    assert "prettify of the view Broken" in layout
    assert "a.py" in layout
    assert 'return {}["nothing"]' in layout
    assert "bounded.py" not in layout
    assert script.errors == 4
    assert "KeyError" in capsys.readouterr().err


def test_none_means_that_it_cannot(load, shown):
    load(TWELVE.replace("return data.swapcase().decode()", "return None"))
    found = shown()
    assert found.source == "Hello"
    assert found.notes == ("It cannot be shown as Swap: it gave nothing for this body.",)


def test_a_view_that_does_not_end_is_given_up(load, idle, shown, texts, monkeypatch):
    monkeypatch.setattr(bodyviews, "LAY_OUT_S", 0.1)
    load(
        """
        from mitmproxy import contentviews
        class Endless(contentviews.Contentview):
            def prettify(self, data, metadata):
                while True: pass
        contentviews.add(Endless)
        """
    )
    found = shown("endless")
    assert found.source == "Hello"
    assert "took more than 0.1 s and was given up" in found.note
    assert "prettify of the view Endless took more than 0.1 s" in texts(idle, "error")[0]
    name = "nbproxy-view-Endless"
    wait_until(lambda: all(thread.name != name for thread in threading.enumerate()))


def test_a_rating_that_does_not_end_is_not_asked_again(load, idle, shown, texts, monkeypatch):
    monkeypatch.setattr(bodyviews, "RATE_S", 0.1)
    script = load(
        """
        from mitmproxy import contentviews
        calls = []
        class Slow(contentviews.Contentview):
            def prettify(self, data, metadata): return "at last"
            def render_priority(self, data, metadata):
                calls.append(1)
                while True: pass
        contentviews.add(Slow)
        """
    )
    for _ in range(3):
        assert contentviews.names(TEXT)[-1] == "Slow"
    assert len(script.program.addons[0].calls) <= 1  # none where its thread was late to begin
    assert "not asked again" in texts(idle, "error")[0]
    name = "nbproxy-rating-Slow"
    wait_until(lambda: all(thread.name != name for thread in threading.enumerate()))
    assert shown("slow").source == "at last"


def test_a_body_that_takes_its_time_does_not_make_a_rating_slow(load, tmp_path):
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    gate.touch()
    load(
        f"""
        import pathlib
        from mitmproxy import contentviews
        class Slow(contentviews.Contentview):
            def prettify(self, data, metadata):
                pathlib.Path({str(begun)!r}).touch()
                while pathlib.Path({str(gate)!r}).exists(): pass
                return "at last"
            def render_priority(self, data, metadata): return 2
        contentviews.add(Slow)
        """
    )
    found = []
    thread = threading.Thread(target=lambda: found.append(contentviews.render(TEXT, "slow")))
    thread.start()
    wait_until(begun.exists)
    assert contentviews.names(TEXT)[0] == "Slow"
    gate.unlink()
    thread.join(600)
    assert found[0].source == "at last"


def test_odd_ratings_and_odd_names(load):
    load(
        """
        from mitmproxy import contentviews
        class Base(contentviews.Contentview):
            def prettify(self, data, metadata): return ""
        class NotANumber(Base):
            def render_priority(self, data, metadata): return float("nan")
        class Nothing(Base):
            def render_priority(self, data, metadata): return None
        class Hostile(Base):
            name = "x" * 100 + "\\x1b\\u202e\\n"
        class Nameless(Base):
            name = ""
        class Bare:
            name = "bare"
            def prettify(self, data, metadata): return ""
        for each in (NotANumber, Nothing, Hostile, Nameless, Bare): contentviews.add(each)
        """
    )
    found = contentviews.names(TEXT)
    assert found[:3] == ["text", "hex", "raw"]
    assert {"NotANumber", "Nothing", "Nameless", "bare"} < set(found)
    assert all(name.isprintable() and len(name) < 100 for name in found)


# -- coming and going


def swap(text, name="Swap"):
    return TWELVE.replace("data.swapcase().decode()", repr(text)).replace("Swap", name)


def test_a_changed_script_brings_its_new_views(idle, load, write, shown):
    script = load(swap("one"))
    write("a.py", swap("two"))
    assert idle.scripts.reload(script)
    assert shown().source == "two"
    assert contentviews.names(TEXT).count("Swap") == 1
    write("a.py", swap("three", "Other"))
    assert idle.scripts.reload(script)
    assert shown().name == "Other"
    assert "Swap" not in contentviews.names(TEXT)


@pytest.mark.parametrize("body", ["1 / 0", "def load(loader): raise SystemExit(1)"])
def test_a_broken_new_version_leaves_the_former_ones_views(idle, load, write, shown, body):
    script = load(swap("one"))
    write("a.py", f"{dedent(swap('two'))}\n{body}\n")
    if not idle.scripts.reload(script):
        assert shown().source == "one"
    else:  # `load` that fails is no refusal: as with mitmproxy the new version is there
        assert shown().source == "two"
    assert contentviews.names(TEXT).count("Swap") == 1


def test_a_refused_new_version_leaves_the_former_ones_views(idle, load, write, shown):
    script = load(C, "0.17")
    write("a.py", C.replace("swapcase", "upper").replace("argv): ", "argv): 1 / 0; "))
    assert not idle.scripts.reload(script)
    assert shown().source == "hELLO"


@pytest.mark.parametrize("era", ["9.0", "3.0"])
def test_what_the_former_version_takes_out_is_its_own(idle, load, write, shown, era):
    source = ERAS[era].replace("def load(loader): contentviews", "contentviews")
    script = load(source, era)
    write("a.py", source.replace("swapcase", "upper"))
    assert idle.scripts.reload(script)
    assert script.errors == 0
    assert shown().source == "HELLO"
    idle.unload()
    assert "swap" not in contentviews.names(TEXT)


def test_a_view_of_a_module_that_both_versions_import(idle, load, write, shown):
    write("shared.py", "from mitmproxy import contentviews\n" + dedent(G).split("def load")[0])
    source = """
        from mitmproxy import contentviews
        import shared
        contentviews.add(shared.view)
        def done(): contentviews.remove(shared.view)
    """
    script = load(source, "9.0")
    assert shown().source == "hELLO"
    assert idle.scripts.reload(script)
    assert shown().source == "hELLO"
    idle.unload()
    assert "swap" not in contentviews.names(TEXT)


def test_a_script_that_cannot_be_loaded_leaves_nothing(idle, write):
    path = write("a.py", f"{dedent(TWELVE)}\n1 / 0\n")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        idle.load(path)
    assert "Swap" not in contentviews.names(TEXT)


def test_duplicates_are_refused_until_11_and_replace_since_12(idle, load, texts, shown):
    load(G, "9.0")
    load(G, "9.0", "b.py")
    assert "Duplicate view: swap" in texts(idle, "error")[0]
    load(swap("new"), "12", "c.py")
    assert shown().source == "new"
    assert [name.lower() for name in contentviews.names(TEXT)].count("swap") == 1
    idle.unload("c.py")
    assert shown().source == "hELLO"


def test_shortcuts_are_refused_twice(idle, load, texts):
    load(D.format(""), "2.0")
    load(D.format("").replace('"swap"', '"other"'), "2.0", "b.py")
    assert "Duplicate view shortcut" in texts(idle, "error")[0]


def test_removing_by_another_object_of_the_class(load, idle):
    load(F.replace("remove(view)", "remove(Swap())"), "5.0")
    assert contentviews.names(TEXT)[0] == "swap"
    idle.unload()
    assert "swap" not in contentviews.names(TEXT)


def test_a_script_that_is_run_over_stored_flows_offers_nothing(idle, write, make_flow, texts):
    path = write("a.py", G)
    idle.load(path, era="9.0")
    idle.scripts.run(str(path), [make_flow()], era="9.0")
    assert texts(idle, "error") == []
    assert [name.lower() for name in contentviews.names(TEXT)].count("swap") == 1


def test_two_proxies_each_have_theirs(make_proxy, write):
    one, two = make_proxy(), make_proxy()
    one.load(write("one.py", swap("one")))
    two.load(write("two.py", swap("two")))
    texts = {contentviews.render(TEXT, name).source for name in contentviews.names(TEXT)[:2]}
    assert texts == {"one", "two"}
    one.close()
    assert contentviews.render(TEXT).source == "two"
    two.close()
    assert "Swap" not in contentviews.names(TEXT)


def test_what_a_view_prints_is_in_the_log(load, idle, shown, texts):
    load(TWELVE.replace("return data", "print('called'); return data"))
    assert shown().source == "hELLO"
    assert "called" in texts(idle)


def test_large_bodies_are_given_as_far_as_they_are_read(load):
    load(TWELVE.replace("data.swapcase().decode()", "str(len(data))"))
    message = Response.make(200, b"x" * 5_000_000, {"content-type": "text/plain"})
    found = contentviews.render(message, "swap")
    assert found.source == str(4 * 2**20)
    assert "Only the first 4,194 kB of 5,000 kB were read" in found.note
