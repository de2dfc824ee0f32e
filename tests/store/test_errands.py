"""What flows have others do: what these are handed, and what is said where nobody does it."""

import pytest

from nbproxy.store import Flows, Store


class Alone(Flows):
    """Flows that nobody does anything for."""

    saver = exporter = runner = replayer = None


@pytest.fixture
def make_flows():
    stores = []

    def make(errand=None):
        made = []

        def do(*args, **kwargs):
            made.append((args, kwargs))
            return len(made)

        kind = type("Served", (Alone,), {errand: staticmethod(do)} if errand else {})
        stores.append(Store())
        return kind(stores[-1]), made

    yield make
    for store in stores:
        store.close()


def test_saving(make_flows):
    flows, made = make_flows("saver")
    assert flows.save("a.har", secrets="mask") == 1
    assert made == [((flows, "a.har", None), {"secrets": "mask"})]


def test_datasets(make_flows):
    flows, made = make_flows("exporter")
    assert flows.to_parquet("there", bodies=True, partition=["host"]) == 1
    rest = {"compression": "zstd", "append": False, "storage_options": None}
    assert made == [((flows, "there"), {"bodies": True, "partition": ["host"], **rest})]


def test_scripts(make_flows):
    flows, made = make_flows("runner")
    assert flows.run("a.py", era="0.11") == 1
    assert made == [((flows, "a.py"), {"era": "0.11"})]


def test_sending_again(make_flows):
    flows, made = make_flows("replayer")
    assert flows.replay_sync({"page": [1]}, method="PUT") == 1
    rest = {"concurrency": 5, "together": False, "sync": True}
    assert made == [((flows, {"page": [1]}, {"method": "PUT"}), rest)]


async def test_sending_again_from_a_coroutine(make_flows):
    async def answer():
        return "a frame"

    flows, _ = make_flows()
    type(flows).replayer = staticmethod(lambda *_, sync, **__: None if sync else answer())
    assert await flows.replay() == "a frame"


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda flows: flows.save("a.har"), "import nbproxy.saved"),
        (lambda flows: flows.to_parquet("there"), "import nbproxy.proxy"),
        (lambda flows: flows.run("a.py"), "import nbproxy.proxy"),
        (lambda flows: flows.replay_sync(), "import nbproxy.proxy"),
    ],
)
def test_nobody_does_it(make_flows, ask, what):
    flows, _ = make_flows()
    with pytest.raises(RuntimeError, match=what):
        ask(flows)
