"""The pictures as plots of matplotlib and altair."""

import json
import subprocess
import sys

import matplotlib.pyplot as plt
import pytest

from nbproxy.analysis import plots
from tests.analysis.views import connection, flow, view

plt.switch_backend("agg")  # no windows

NAMES = ("timeline", "endpoints", "hosts", "errors")


@pytest.fixture
def flows():
    server = connection()
    return view(
        flow(
            url="https://api.test/users/1?token=hunter2&$x$=1", took=0.5, server=server, start=0.1
        ),
        flow(url="https://api.test/users/2", took=0.5, server=server, start=0.7),
        flow("POST", "https://b.test/x", 503, start=3),
        flow(url="https://c.test/y", status=None, error="the $server$ left", start=4),
    )


@pytest.fixture(autouse=True)
def no_figures_stay():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", NAMES)
def test_matplotlib(flows, name):
    frame = getattr(flows, name)()
    axes = frame.plot()
    axes.figure.canvas.draw()
    assert axes.patches
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert len(labels) == len(frame)
    assert not any("hunter2" in label for label in labels)
    assert axes.get_xlabel() in {"seconds", "flows"}


def test_given_axes(flows):
    _, axes = plt.subplots()
    assert flows.hosts().plot(ax=axes) is axes


def test_a_waterfall(flows):
    axes = flows.timeline().plot()
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["connect", "tls", "send", "wait", "transfer"]
    assert min(patch.get_x() for patch in axes.patches) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_altair(flows, name):
    chart = getattr(flows, name)().plot(backend="altair")
    spec = json.dumps(chart.to_dict())
    assert '"bar"' in spec
    assert "hunter2" not in spec


def test_pandas_plots_are_as_ever(flows):
    frame = flows.endpoints()
    axes = frame.plot.bar(x="template", y="count")
    assert len(axes.patches) == len(frame)
    assert frame.plot(kind="line", y="p50").lines
    assert frame.plot(y="p50", kind="line", backend="matplotlib").lines
    with pytest.raises((ValueError, ImportError)):
        frame.plot(backend="no_such_backend")


def test_what_has_no_picture(flows):
    difference = flows.diff(flows)
    with pytest.raises(ValueError, match="no picture of its own"):
        difference.plot()


@pytest.mark.parametrize("name", NAMES)
def test_nothing(name):
    frame = getattr(view(), name)()
    assert frame.plot().figure
    assert frame.plot(backend="altair").to_dict()


@pytest.mark.parametrize(
    ("library", "call", "extra"),
    [("matplotlib", "plot()", "plot"), ("altair", 'plot(backend="altair")', "altair")],
)
def test_libraries_that_are_missing(library, call, extra):
    program = f"""
import sys
sys.modules["{library}"] = None
from tests.analysis.views import flow, view
frame = view(flow()).hosts()
try:
    frame.{call}
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert f"{call} needs {library}, which is not installed" in done.stdout
    assert f"'nbproxy[{extra}]'" in done.stdout


def test_nothing_is_imported_before_it_is_needed():
    program = """
import sys
from tests.analysis.views import flow, view
flows = view(flow())
print([m for m in ("pandas", "matplotlib", "altair", "duckdb", "cryptography") if m in sys.modules])
for name in ("timeline", "endpoints", "hosts", "errors", "to_openapi"):
    getattr(flows, name)()
flows.timeline()._repr_html_()
print([m for m in ("matplotlib", "altair", "duckdb") if m in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split("\n") == ["[]", "[]", ""]


def test_colours_are_of_the_status():
    frame = view(flow(status=404), flow(url="https://x.test/", status=None, error="no")).errors()
    colours = {patch.get_facecolor() for patch in frame.plot().patches}
    assert len(colours) == 2
    assert plots.error_colour("nonsense")
