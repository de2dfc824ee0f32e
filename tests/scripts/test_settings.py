"""Options and commands of scripts."""

import pytest

from nbproxy.scripts.settings import CommandError, OptionsError

ADDS = """
    import typing
    from mitmproxy import ctx, exceptions
    class AddHeader:
        def load(self, loader):
            loader.add_option(name="addheader", typespec=bool, default=False, help="add it")
            loader.add_option("count", int, 3, "how many")
            loader.add_option("word", typing.Optional[str], None, "a word", ["a", "b"])
            loader.add_option("many", typing.Sequence[str], [], "several")
        def configure(self, updates):
            if "count" in updates and ctx.options.count > 10:
                raise exceptions.OptionsError("too many")
            ctx.log.info(" ".join(sorted(updates & {"addheader", "count", "ssl_insecure"})))
    addons = [AddHeader()]
"""


@pytest.fixture
def options(idle, write):
    idle.load(write("a.py", ADDS))
    idle.log.clear()
    return idle.scripts.options


def test_options_of_scripts(idle, options, texts):
    assert (options.addheader, options.count, options.word, options.many) == (False, 3, None, [])
    options.addheader = True
    options.update(count=4, many="x")
    assert (options.addheader, options.count, options.many) == (True, 4, ["x"])
    assert texts(idle) == ["addheader", "count"]
    assert "count" in options
    assert dict(options.items())["count"] == 4
    assert "count=4" in repr(options)


def test_options_of_the_proxy(idle, options, texts):
    assert options.ssl_insecure is False
    options.ssl_insecure = True
    assert idle.options.ssl_insecure is True
    idle.options.ssl_insecure = False
    assert options.ssl_insecure is False
    assert set(texts(idle)) == {"ssl_insecure"}


def test_what_mitmproxy_has_and_we_have_not(options):
    assert options.showhost is False
    with pytest.raises(AttributeError, match="no option 'nonsense'"):
        _ = options.nonsense
    with pytest.raises(KeyError):
        options.nonsense = 1


def test_a_script_may_object(options):
    with pytest.raises(OptionsError, match="too many"):
        options.update(count=11, addheader=True)
    assert (options.count, options.addheader) == (3, False)


@pytest.mark.parametrize(
    ("name", "value"), [("count", "x"), ("count", True), ("addheader", "perhaps"), ("word", "c")]
)
def test_values_that_do_not_fit(options, name, value):
    with pytest.raises(OptionsError, match=f"{name} = .*: it takes "):
        setattr(options, name, value)


def test_text_is_parsed(options):
    options.set("addheader=true", "count=7", "word=b", "many=x")
    assert (options.addheader, options.count, options.word) == (True, 7, "b")
    with pytest.raises(OptionsError, match="no option 'later'"):
        options.set("later=1", defer=False)


def test_values_wait_for_their_option(idle, write):
    idle.scripts.options.set("addheader=true", "unknown=1")
    idle.load(write("a.py", ADDS))
    assert idle.scripts.options.addheader is True
    assert idle.scripts.options.deferred == ["unknown"]


def test_a_value_survives_a_reload(idle, options):
    options.count = 5
    idle.scripts.reload(idle.scripts[0])
    assert options.count == 5


COMMANDS = """
    import typing
    from mitmproxy import command, ctx, flow, http, types
    class MyAddon:
        num = 0
        @command.command("myaddon.inc")
        def inc(self) -> None:
            self.num += 1
        @command.command("myaddon.add")
        def add(self, a: int, b: bool = False) -> int:
            return a + 1 if b else a
        @command.command("myaddon.mark")
        def mark(self, flows: typing.Sequence[flow.Flow], path: types.Path) -> int:
            for f in flows:
                assert isinstance(f, http.HTTPFlow)
                f.comment = str(path)
            return len(flows)
        @command.command("myaddon.cut")
        def cut(self, f: flow.Flow, spec: types.CutSpec) -> typing.Sequence[str]:
            return [f.request.host, *spec]
    @command.command("plain.words")
    def words(*words: str) -> str:
        return "+".join(words)
    addons = [MyAddon()]
"""


@pytest.fixture
def commands(idle, write):
    idle.load(write("a.py", COMMANDS))
    return idle.scripts.commands


def test_commands(idle, commands, make_flow):
    idle.store.opened(make_flow("http://one/"))
    idle.store.opened(make_flow("http://two/"))
    commands.call("myaddon.inc")
    assert idle.scripts.addons()[1].num == 1
    assert commands.execute("myaddon.add 4 true") == 5
    assert commands.execute("myaddon.mark @all '~/x y'") == 2
    assert commands.execute("myaddon.mark '~d one' here") == 1
    assert [flow.comment for flow in idle.flows] == ["here", "~/x y"]
    assert commands.execute("myaddon.cut ~d\\ two a,b") == ["two", "a", "b"]
    assert commands.execute("plain.words a 'b c'") == "a+b c"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "empty"),
        ("no.such", "there is no command 'no.such'; there are: "),
        ("myaddon.add x", "is no int"),
        ("myaddon.add 1 true 3", "takes 2 arguments, not 3"),
        ("myaddon.mark '~nope' x", "~nope"),
        ("myaddon.cut @all x", "must mean one flow, it means 0"),
        ("plain.words 'a", "No closing quotation"),
    ],
)
def test_commands_that_cannot_be_run(commands, line, message):
    with pytest.raises(CommandError, match=message):
        commands.execute(line)


def test_commands_of_mitmproxy(idle, make_flow):
    commands = idle.scripts.commands
    flow = make_flow()
    commands.call("view.flows.add", [flow])
    commands.call("view.flows.duplicate", [flow])
    commands.call("flow.mark", [flow], ":red_circle:")
    assert [each.marked for each in idle.flows] == [":red_circle:", ""]
    commands.execute("flow.kill @all")
    commands.execute("flow.resume @marked")
    commands.execute("replay.client @focus")
    assert [entry.text for entry in idle.log] == ["Can't replay: the proxy is stopped."]
