"""Warnings of what the disk refuses: where warnings are errors, too."""

import logging
import warnings

import pytest

from nbproxy.store.troubles import warn


def test_the_warning(caplog):
    with pytest.warns(RuntimeWarning, match="no room left"):
        warn("no room left")
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING, "nbproxy"):
        warnings.simplefilter("error")
        warn("no room left")
    assert "no room left" in caplog.text
