"""Optional libraries."""

import pytest

from nbproxy.analysis.extras import load


def test_what_is_there():
    assert load("json.decoder", "x", "y").JSONDecoder


def test_what_is_missing():
    with pytest.raises(
        ImportError, match=r"plot\(\) needs no_such_library.*'nbproxy\[plot\]'"
    ) as e:
        load("no_such_library.part", "plot", "plot()")
    assert e.value.name == "no_such_library"
