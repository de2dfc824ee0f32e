"""What is read of a function when it is registered."""

from __future__ import annotations

import functools

import pytest

from nbproxy.handlers import handler


def test_a_handler_takes_the_argument_or_less():
    assert handler.takes_argument(lambda flow: None, "response")
    assert handler.takes_argument(lambda *args: None, "response")
    assert handler.takes_argument(lambda flow, i=1: None, "response")
    assert not handler.takes_argument(lambda: None, "response")
    assert not handler.takes_argument(lambda flow=None: None, "running")
    assert handler.takes_argument(functools.partial(lambda i, flow: None, 1), "response")


def test_a_builtin_that_does_not_tell_is_called_as_offered():
    assert handler.takes_argument(dict.fromkeys(["a"]).update, "response")
    assert handler.takes_argument(type, "response") is True


@pytest.mark.parametrize(
    ("function", "hook", "wanted"),
    [
        (lambda flow, other: None, "response", "write `def handle(flow):`"),
        (lambda flow, *, other: None, "response", "one argument, the flow"),
        (lambda flow: None, "running", "with no argument; write `def handle():`"),
    ],
)
def test_another_signature_is_refused_with_the_right_one(function, hook, wanted):
    with pytest.raises(TypeError, match="cannot handle") as caught:
        handler.check_function(function, hook)
    assert wanted in str(caught.value)


def test_what_cannot_be_a_handler_says_what_to_do():
    class Addon:
        def __call__(self, flow): ...

    def generator(flow):
        yield flow

    async def async_generator(flow):
        yield flow

    with pytest.raises(TypeError, match="make an object of it"):
        handler.check_function(Addon, "response")
    with pytest.raises(TypeError, match="remove the yield"):
        handler.check_function(generator, "response")
    with pytest.raises(TypeError, match="remove the yield"):
        handler.check_function(functools.partial(async_generator), "response")
    with pytest.raises(TypeError, match="a handler is a function, not 3"):
        handler.check_function(3, "response")
    handler.check_function(Addon(), "response")


def test_async_is_seen_through_partials_methods_and_call():
    class Addon:
        async def request(self, flow): ...

    class Callable:
        async def __call__(self, flow): ...

    async def function(flow): ...

    assert handler.is_async(function)
    assert handler.is_async(functools.partial(functools.partial(function)))
    assert handler.is_async(Addon().request)
    assert handler.is_async(Callable())
    assert not handler.is_async(print)


def test_names_and_places():
    class Addon:
        def request(self, flow): ...
        def __call__(self, flow): ...

    where = Addon.request.__code__
    assert handler.name_of(Addon().request).endswith("Addon.request")
    assert handler.name_of(Addon()).endswith("Addon")
    assert handler.name_of(functools.partial(print, 1)) == "print"
    assert handler.module_of(Addon().request) == __name__
    assert handler.place_of(Addon().request) == (where.co_filename, where.co_firstlineno)
    assert handler.place_of(print) == ("", 0)
