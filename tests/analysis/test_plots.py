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
    assert axes.get_xlabel().partition(";")[0] in {"seconds", "flows"}


def test_given_axes(flows):
    _, axes = plt.subplots()
    assert flows.hosts().plot(ax=axes) is axes


def test_a_waterfall(flows):
    axes = flows.timeline().plot()
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["connect", "tls", "send", "wait", "transfer"]
    assert min(patch.get_x() for patch in axes.patches) == 0.0


def test_pauses_are_cut_out_of_a_waterfall():
    """As in the picture of the notebook; the axis is one of seconds all the same."""
    starts = (0, 0.3, 60, 60.3, 3600, 3600.3)
    frame = view(*(flow(took=0.2, start=start) for start in starts)).timeline()
    axes = frame.plot()
    axes.figure.canvas.draw()
    bars = [patch.get_window_extent() for patch in axes.patches]
    assert min(bar.width for bar in bars) > 5  # on an even axis all were dots
    assert max(patch.get_x() for patch in axes.patches) > 3600
    assert len(axes.lines) == 2
    assert axes.get_xlabel() == "seconds; pauses are cut out at the dashed lines"
    marks = [label.get_text() for label in axes.get_xticklabels()]
    assert len(set(marks)) == len(marks) > 3
    even = view(flow(took=0.2), flow(took=0.2, start=0.21)).timeline().plot()
    assert even.get_xlabel() == "seconds"
    assert not even.lines


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
    said = "no errors" if name == "errors" else "no flows"
    axes = frame.plot()
    assert [text.get_text() for text in axes.texts] == [said]
    assert not axes.axison
    assert said in json.dumps(frame.plot(backend="altair").to_dict())


@pytest.mark.parametrize("name", ["timeline", "endpoints", "hosts"])
@pytest.mark.parametrize("rows", [1, 3, 50])
def test_the_legend_covers_no_bar(name, rows):
    frame = getattr(view(*(flow(url=f"https://h{i}.test/") for i in range(rows))), name)()
    axes = frame.plot()
    axes.figure.canvas.draw()
    legend = axes.get_legend().get_window_extent()
    assert not any(legend.overlaps(patch.get_window_extent()) for patch in axes.patches)
    assert legend.x1 <= axes.figure.bbox.x1
    thick = max(patch.get_window_extent().height for patch in axes.patches)
    assert thick <= 0.3 * axes.figure.dpi  # also if there is one only


def labels_of(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def test_errors_say_what_failed_and_where():
    frame = view(
        flow(url="https://api.test/users", status=404),
        flow(url="https://api.test/orders", status=404),
        flow("POST", url="https://api.test/orders", status=404),
    ).errors()
    assert sorted(labels_of(frame.plot())) == [
        "404 Not Found · api.test GET /orders",
        "404 Not Found · api.test GET /users",
        "404 Not Found · api.test POST /orders",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_long_names_differ_and_leave_room(name):
    host = "a-long-name." * 12
    long = f"https://{host}one.test/v2" + "/projects/of/all" * 20
    frame = getattr(
        view(
            flow(url=f"{long}/first", status=404),
            flow(url=f"{long}/second", status=404),
            flow(url=f"{long.replace('one.test', 'two.test')}/first", status=404),
            flow(url="https://b.test/", status=None, error="there is no way to it, since " * 9),
        ),
        name,
    )()
    axes = frame.plot()
    labels = labels_of(axes)
    assert len(set(labels)) == len(labels) == len(frame)
    assert max(map(len, labels)) <= 80
    axes.figure.canvas.draw()
    assert axes.bbox.width > 0.4 * axes.figure.bbox.width


def test_names_that_are_cut_alike():
    """altair would draw rows with one label into one."""
    frame = view(*(flow(url=f"https://{'x' * 40}.{i}.{'y' * 60}.test/") for i in range(3))).hosts()
    labels = labels_of(frame.plot())
    assert len(set(labels)) == 3
    assert labels[1] == f"{labels[0]} (2)"
    spec = frame.plot(backend="altair").to_dict()
    assert spec["encoding"]["y"]["sort"] == labels


def test_there_is_no_half_of_a_flow(flows):
    axes = flows.hosts().plot()
    axes.figure.canvas.draw()
    assert all(tick == int(tick) for tick in axes.get_xticks())


def test_what_takes_no_time_is_seen():
    """A short bar at the begin does not lie below the axis."""
    frame = view(flow(took=1e-4), flow(took=1e-4, start=1000)).timeline()
    assert frame.plot().get_xlim()[0] < 0


def test_only_the_first_rows():
    frame = view(*(flow(url=f"https://h{i}.test/") for i in range(70))).hosts()
    axes = frame.plot()
    assert len(labels_of(axes)) == 60
    assert axes.get_xlabel() == "flows (the first 60 of 70 rows)"


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
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=600
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
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=600
    )
    assert done.stdout.split("\n") == ["[]", "[]", ""]


def test_colours_are_of_the_status():
    frame = view(flow(status=404), flow(url="https://x.test/", status=None, error="no")).errors()
    colours = {patch.get_facecolor() for patch in frame.plot().patches}
    assert len(colours) == 2
    assert plots.error_colour("nonsense")
