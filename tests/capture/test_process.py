"""What captures change in this process is undone, whatever happens in between."""

import os
import threading
import urllib.request
from dataclasses import dataclass

import pytest

from nbproxy.capture.process import Surroundings


@dataclass(eq=False)
class Route:
    url: str
    bundle: str = "/b.pem"
    fails: bool = False

    def variables(self, environ):
        if self.fails:
            raise KeyboardInterrupt
        seen = environ.get("NBP_A", "none")
        return {"NBP_A": self.url, "NBP_GONE": None, "NBP_SEEN": seen}


@pytest.fixture
def variables(monkeypatch):
    monkeypatch.setenv("NBP_A", "mine")
    monkeypatch.setenv("NBP_GONE", "here")
    monkeypatch.delenv("NBP_SEEN", raising=False)
    return lambda: {n: v for n, v in os.environ.items() if n.startswith("NBP_")}


ALONE = {"NBP_A": "mine", "NBP_GONE": "here"}


def test_variables_are_set_and_restored(variables):
    process, route = Surroundings(), Route("one")
    process.enter(route)
    assert variables() == {"NBP_A": "one", "NBP_SEEN": "mine"}
    assert process.otherwise()["NBP_GONE"] == "here"
    process.leave(route)
    assert variables() == ALONE
    process.leave(route)
    assert variables() == ALONE


def test_the_last_one_counts_and_sees_what_there_was(variables):
    process, outer, inner = Surroundings(), Route("outer"), Route("inner")
    process.enter(outer)
    process.enter(inner)
    assert variables() == {"NBP_A": "inner", "NBP_SEEN": "mine"}
    process.leave(inner)
    assert variables()["NBP_A"] == "outer"
    process.leave(outer)
    assert variables() == ALONE


def test_they_may_end_in_another_order(variables):
    process, first, second = Surroundings(), Route("first"), Route("second")
    process.enter(first)
    process.enter(second)
    process.leave(first)
    assert variables()["NBP_A"] == "second"
    process.leave(second)
    assert variables() == ALONE


def test_what_the_user_sets_meanwhile_stays(variables, monkeypatch):
    process, route = Surroundings(), Route("one")
    process.enter(route)
    os.environ["NBP_A"] = "changed"
    del os.environ["NBP_SEEN"]
    process.leave(route)
    assert variables() == {"NBP_A": "changed", "NBP_GONE": "here"}


def test_threads_enter_and_leave_as_they_like(variables):
    process = Surroundings()

    def work(number):
        for _ in range(50):
            route = Route(f"{number}")
            process.enter(route)
            assert os.environ["NBP_A"] in "0123"
            process.leave(route)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert variables() == ALONE


def test_an_interrupt_leaves_nothing_half_done(variables):
    process, route = Surroundings(), Route("one", fails=True)
    with pytest.raises(KeyboardInterrupt):
        process.enter(route)
    process.leave(route)
    assert variables() == ALONE


def test_urlopen_forgets_the_proxies_it_knew(monkeypatch):
    monkeypatch.setattr(urllib.request, "_opener", None)
    process, route = Surroundings(), Route("one")
    before = urllib.request.build_opener()
    monkeypatch.setattr(urllib.request, "_opener", before)
    process.enter(route)
    assert urllib.request._opener is None
    urllib.request._opener = urllib.request.build_opener()  # as urlopen does at its first call
    process.leave(route)
    assert urllib.request._opener is before


def with_a_handler():
    class Handler(urllib.request.BaseHandler):
        def http_request(self, request):
            return request

    return urllib.request.build_opener(Handler())


def with_a_header():
    opener = urllib.request.build_opener()
    opener.addheaders = [("user-agent", "mine")]
    return opener


class Opener(urllib.request.OpenerDirector):
    pass


@pytest.mark.parametrize("make", [with_a_handler, with_a_header, Opener])
def test_an_opener_of_the_users_own_stays(monkeypatch, make):
    own = make()
    monkeypatch.setattr(urllib.request, "_opener", own)
    process, route = Surroundings(), Route("one")
    process.enter(route)
    assert urllib.request._opener is own
    other = make()
    urllib.request.install_opener(other)
    process.leave(route)
    assert urllib.request._opener is other
