"""A long conversation keeps its newest messages, and counts the others."""

from hypothesis import given
from hypothesis import strategies as st

from nbproxy.model.history import METADATA_KEY, History
from nbproxy.model.tcp import TCPFlow, TCPMessage


def history(limit_bytes):
    flow = TCPFlow()
    return flow, History(flow, flow, limit_bytes)


def say(kept, content):
    kept.add(TCPMessage(from_client=True, content=content))
    kept.trim()


def test_within_its_bounds_all_is_kept():
    flow, kept = history(10_000)
    for number in range(30):
        say(kept, b"%d" % number)
    assert len(flow.messages) == 30
    assert METADATA_KEY not in flow.metadata


def test_the_oldest_go_first():
    flow, kept = history(10_000)
    for number in range(100):
        say(kept, b"%02d" % number)
    numbers = [int(m.content) for m in flow.messages]
    assert numbers == list(range(100 - len(numbers), 100))
    assert 30 < len(numbers) < 40  # an empty message takes room as well
    gone = 100 - len(numbers)
    assert flow.metadata[METADATA_KEY] == {"messages": gone, "bytes": 2 * gone}


def test_the_last_one_stays_whatever_its_size():
    flow, kept = history(100)
    say(kept, b"a" * 1000)
    assert len(flow.messages) == 1
    say(kept, b"b" * 2000)
    assert [m.content[:1] for m in flow.messages] == [b"b"]
    assert flow.metadata[METADATA_KEY] == {"messages": 1, "bytes": 1000}


def test_what_handlers_do_to_messages_and_to_the_list():
    flow, kept = history(10_000)
    for _ in range(20):
        say(kept, b"")
    for message in flow.messages:
        message.content = b"x" * 1000  # not noticed before there is too much
    for _ in range(30):
        say(kept, b"")
    assert sum(len(m.content) for m in flow.messages) < 10_000
    flow.messages = []
    say(kept, b"new")
    assert [m.content for m in flow.messages] == [b"new"]


def test_strange_metadata_is_replaced():
    flow, kept = history(1000)
    flow.metadata[METADATA_KEY] = "mine"
    kept.leave_out(1, 5)
    kept.leave_out(0, 5)
    assert flow.metadata[METADATA_KEY] == {"messages": 1, "bytes": 10}


@given(sizes=st.lists(st.integers(0, 3000), max_size=60), limit=st.integers(0, 20_000))
def test_bounds_hold(sizes, limit):
    flow, kept = history(limit)
    for size in sizes:
        say(kept, bytes(size))
        assert sum(len(m.content) for m in flow.messages[:-1]) <= limit
    noted = flow.metadata.get(METADATA_KEY, {"messages": 0, "bytes": 0})
    assert noted["messages"] + len(flow.messages) == len(sizes)
    assert noted["bytes"] + sum(len(m.content) for m in flow.messages) == sum(sizes)
