"""`nbproxy.scan`: many captures as one Dask DataFrame, and scripts over them."""

import subprocess
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import dask
import dask.dataframe as dd
import pandas as pd
import pytest
from dask.multiprocessing import get_context
from distributed import Client, LocalCluster

import nbproxy
from nbproxy import saved, scanning
from nbproxy.datasets import parts as cutting
from nbproxy.datasets import writing
from nbproxy.errors import FormatError, ScriptError
from tests.datasets.conftest import flow_to


@pytest.fixture(autouse=True)
def in_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of two processes on this machine."""
    folder = str(tmp_path_factory.mktemp("dask"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dask's own, while it starts and ends
        with (
            dask.config.set({"temporary-directory": folder}),
            LocalCluster(
                n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
            ) as cluster,
        ):
            yield cluster


def expected(*paths):
    return pd.concat([nbproxy.open(path).df for path in paths]).reset_index(drop=True)


def without_file(frame):
    return frame.drop(columns="file").reset_index(drop=True)


# -- rows


@pytest.mark.parametrize("convert", [True, False, None])
def test_the_columns_are_those_of_df(captures, convert):
    with dask.config.set({"dataframe.convert-string": convert}):
        scan = nbproxy.scan([captures / "*.nbproxy", captures / "b.mitm", captures / "c.har"])
        frame = scan.compute()
    names = ["a.nbproxy", "b.mitm", "c.har"]
    files = [captures / name for name in names]
    pd.testing.assert_frame_equal(without_file(frame), expected(*files))
    pd.testing.assert_series_equal(scan.dtypes, frame.dtypes)
    assert frame["file"].dtype == frame["host"].dtype
    assert list(frame["file"].unique()) == [str(file) for file in files]
    assert frame.index.name == "id"
    assert list(frame.index) == [*range(25), *range(5), *range(4)]


def test_a_capture_is_cut(captures):
    scan = nbproxy.scan(captures / "a.nbproxy", rows=10)
    assert scan.npartitions == 3
    assert [len(part) for part in dask.compute(*scan.to_delayed())] == [10, 10, 5]
    assert repr(scan) == "<Scan: 1 file, 3 partitions>"
    assert repr(nbproxy.scan([captures / "a.nbproxy", captures / "b.mitm"])) == (
        "<Scan: 2 files, 2 partitions>"
    )


def test_keys_with_large_gaps(tmp_path, monkeypatch):
    monkeypatch.setattr(cutting, "_PARTS", 2)
    saved.save([flow_to(n) for n in range(9)], tmp_path / "a.nbproxy")
    scan = nbproxy.scan(tmp_path / "a.nbproxy", rows=2)
    assert [part.keys for part in scan.parts] == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 8)]
    assert len(scan) == 9


def test_it_is_a_dask_collection(captures):
    scan = nbproxy.scan(captures / "a.nbproxy", rows=10)
    assert dask.is_dask_collection(scan)
    (frame,) = dask.compute(scan)
    assert len(frame) == len(scan) == 25
    pd.testing.assert_frame_equal(frame, scan.ddf.compute())
    (kept,) = dask.persist(scan)
    assert len(kept) == 25
    assert isinstance(scan[scan.status == 200], dd.DataFrame)
    assert scan["host"].nunique().compute() == 25
    assert len(scan.head(3)) == 3
    assert "groupby" in dir(scan)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = scan.nonsense


def test_only_the_columns_that_are_asked_for_are_read(tmp_path, monkeypatch):
    writing.write([flow_to(n) for n in range(3)], tmp_path / "set")
    from nbproxy.datasets import reading

    asked = []
    real = reading.pq.ParquetFile.read
    monkeypatch.setattr(
        reading.pq.ParquetFile, "read", lambda self, names: asked.append(names) or real(self, names)
    )
    assert nbproxy.scan(tmp_path / "set")["response_bytes"].sum().compute() == 6000
    assert asked == [["id", "response_bytes"]] * 3


def test_hosts_and_dates(tmp_path):
    flows = [flow_to(n, f"h{n % 3}.test", day=n % 2) for n in range(12)]
    for name in ("a.nbproxy", "b.mitm"):
        saved.save(flows, tmp_path / name)
        scan = nbproxy.scan(tmp_path / name, hosts="h1.test", dates=(None, "2023-11-14"))
        frame = scan.compute()
        assert len(frame) == 2
        assert set(frame["host"]) == {"h1.test"}
        assert len(scan.run(comment)) == 2
    with pytest.raises(ValueError, match="dates takes days such as"):
        nbproxy.scan(tmp_path / "a.nbproxy", dates="yesterday")


@pytest.fixture(params=["threads", "processes"])
def workers(request):
    """Two of them, for all that is computed: a process takes seconds to start."""
    if request.param == "threads":
        pool = ThreadPoolExecutor(2)
    else:
        pool = ProcessPoolExecutor(2, mp_context=get_context())
    with pool, dask.config.set(scheduler=request.param, pool=pool):
        yield


@pytest.mark.usefixtures("workers")
def test_on_other_schedulers(captures, script):
    files = [captures / name for name in ("a.nbproxy", "b.mitm", "c.har")]
    scan = nbproxy.scan(files, rows=10)
    pd.testing.assert_frame_equal(without_file(scan.compute()), expected(*files))
    changes = scan.run(f"'{script}' red")
    assert list(changes["after"][:11]) == [*(f"red {n}" for n in range(1, 11)), "red 1"]


def test_on_a_cluster(captures, cluster, script, tmp_path):
    files = [captures / name for name in ("a.nbproxy", "b.mitm")]
    nbproxy.open(*files).to_parquet(captures / "set", bodies=True)
    damage(captures / "b.mitm")
    with dask.config.set(scheduler=None), Client(cluster):
        scan = nbproxy.scan(files, rows=10)
        with pytest.warns(UserWarning, match="before that place were read"):
            assert len(scan.compute()) == 29
        assert len(nbproxy.scan(captures / "set")) == 30
        with pytest.warns(UserWarning, match="before that place were read"):
            changes = scan.run(f"'{script}' red", out=tmp_path / "out")
        assert len(changes) == 29
        word = "here"  # a function of the notebook's own

        def mark(flow):
            flow.comment = word

        changes = nbproxy.scan(captures / "set").run(mark)
    assert list(changes["after"]) == ["here"] * 30
    assert len(nbproxy.open(*(tmp_path / "out").iterdir())) == 29


# -- damage


def damage(path):
    """Cut the end of the last flow off."""
    path.write_bytes(path.read_bytes()[:-100])


def test_a_damaged_file_among_good_ones(captures):
    damage(captures / "b.mitm")
    (captures / "d.mitm").write_bytes(b"nothing of the kind")
    names = [captures / name for name in ("a.nbproxy", "b.mitm", "d.mitm")]
    with pytest.warns(UserWarning, match="d.mitm.*nothing in it could be read") as told:
        scan = nbproxy.scan(names)
    assert told[0].filename == __file__
    with pytest.warns(UserWarning, match=r"b\.mitm at byte .* before that place were read"):
        assert len(scan.compute()) == 29
    with pytest.raises(FormatError, match=r"d\.mitm"):
        nbproxy.scan(names, strict=True)
    with pytest.raises(FormatError, match=r"b\.mitm"):
        nbproxy.scan(names[:2], strict=True).compute()
    with pytest.raises(FormatError, match=r"d\.mitm"):
        nbproxy.scan(names[2])


def test_a_damaged_capture(tmp_path):
    path = tmp_path / "a.nbproxy"
    saved.save([flow_to(n) for n in range(2000)], path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size * 3 // 4)
        file.write(b"\xff" * (size // 8))
    with pytest.warns(UserWarning, match=r"a\.nbproxy: it is damaged"):
        frame = nbproxy.scan(path).compute()
    assert 500 <= len(frame) < 2000
    assert list(frame.index) == list(range(len(frame)))
    with pytest.warns(UserWarning, match="it is damaged"):
        assert 500 <= len(nbproxy.scan(path).run(comment)) < 2000


def test_a_damaged_dataset(tmp_path):
    writing.write([flow_to(n) for n in range(3)], tmp_path / "set")
    bad, empty, *_ = sorted((tmp_path / "set").rglob("*.parquet"))
    content = bad.read_bytes()
    bad.write_bytes(content[:4] + b"\xff" * 2000 + content[2004:])
    empty.write_bytes(b"")
    with pytest.warns(UserWarning, match="it is damaged") as told:
        assert len(nbproxy.scan(tmp_path / "set").compute()) == 1
    assert len(told) == 2
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(FormatError, match=r"other\.parquet: this Parquet file has no flows"):
        nbproxy.scan(tmp_path / "other.parquet")
    with pytest.raises(FormatError, match="it is damaged"):
        nbproxy.scan(tmp_path / "set", strict=True).compute()


def test_what_is_not_there(tmp_path):
    for name, message in [
        ("a.mitm", "there is no file"),
        ("*.mitm", "no file matches"),
        (".", r"other files in a folder are named by .*/\*"),
    ]:
        with pytest.raises(FileNotFoundError, match=message):
            nbproxy.scan(f"{tmp_path}/{name}")
    with pytest.raises(ValueError, match="at least one"):
        nbproxy.scan([])
    with pytest.raises(ValueError, match="rows is 1 or more"):
        nbproxy.scan(tmp_path, rows=0)


# -- scripts


def comment(flow):
    flow.comment = "seen"


def test_a_script_runs_in_each_partition(captures, script, capsys):
    scan = nbproxy.scan([captures / "a.nbproxy", captures / "b.mitm"], rows=10)
    changes = scan.run(f"'{script}' red")
    assert list(changes.columns) == ["file", "flow", "field", "before", "after"]
    assert list(changes.index) == list(range(30))
    assert list(changes["flow"]) == [*range(25), *range(5)]
    assert set(changes["field"]) == {'response.headers["x-tag"]'}
    assert changes["file"].nunique() == 2
    first = [1, *range(11, 12), 21]
    assert [changes["after"][n - 1] for n in first] == ["red 1"] * 3
    assert list(nbproxy.scan(captures / "a.nbproxy").compute()["comment"]) == [""] * 25


@pytest.mark.parametrize("format", ["nbproxy", "mitm", "har"])
def test_results_can_be_opened(captures, script, tmp_path, format):  # noqa: A002 - its name
    out = tmp_path / "results"
    scan = nbproxy.scan([captures / "a.nbproxy", captures / "b.mitm"], rows=20)
    scan.run(f"'{script}' red", out=out, format=format)
    names = sorted(path.name for path in out.iterdir())
    assert names == [f"0000{n}-{s}.{format}" for n, s in enumerate("aab")]
    again = nbproxy.open(out / "*")
    assert len(again) == 30
    assert again[0].response.headers["x-tag"] == "red 1"
    with pytest.raises(FileExistsError, match="is not empty"):
        scan.run(comment, out=out)


def test_handlers_and_addons(captures):
    scan = nbproxy.scan(captures / "b.mitm")
    assert set(scan.run(comment)["after"]) == {"seen"}

    async def request(flow):
        flow.comment = "asked" if flow.response is not None else "?"

    assert len(scan.run(request)) == 5

    class Adds:
        def request(self, flow):
            flow.marked = ":x:"
            flow.metadata["what"] = lambda: None

    changes = scan.run(Adds())
    assert set(changes["field"]) == {"marked", "metadata['what']"}
    assert all("lambda" in after for after in changes["after"][1::2])  # it could not be sent
    assert len(scan.run(Adds)) == 10
    with pytest.raises(ValueError, match="there is no hook"):
        scan.run(comment, hook="answer")
    with pytest.raises(ValueError, match="format is"):
        scan.run(comment, format="curl")


def test_what_fails_is_told(captures, tmp_path):
    def broken(flow):
        raise ValueError("not this one")

    with pytest.warns(UserWarning, match="failed 25 times in 3 of 3 partitions(.|\n)*not this one"):
        assert len(nbproxy.scan(captures / "a.nbproxy", rows=10).run(broken)) == 0
    with pytest.raises(ScriptError, match=r"nothing\.py"):
        nbproxy.scan(captures / "b.mitm").run(tmp_path / "nothing.py")
    (tmp_path / "bad.py").write_text("import that_does_not_exist")
    with pytest.raises(ScriptError, match="that_does_not_exist"):
        nbproxy.scan(captures / "b.mitm").run(tmp_path / "bad.py")


def test_a_failure_is_shown_once(captures, tmp_path, capsys):
    path = tmp_path / "broken.py"
    path.write_text(
        "def load(loader): 1 / 0\n"
        "def response(flow):\n"
        "    if flow.request.path.endswith('7'): raise KeyError(7)\n"
        "    int('x')\n"
    )
    with pytest.warns(UserWarning, match="28 times in 3 of 3 partitions; the first time: Zero"):
        nbproxy.scan(captures / "a.nbproxy", rows=10).run(path)
    said = capsys.readouterr().err
    assert said.count("Traceback") == 3
    for failure in ("ZeroDivisionError", "KeyError: 7", "ValueError: invalid literal"):
        assert said.count(failure) == 1


def test_what_a_script_logs_as_an_error_counts(captures, tmp_path):
    path = tmp_path / "logs.py"
    path.write_text("from mitmproxy import ctx\ndef response(flow): ctx.log.error('')\n")
    with pytest.warns(UserWarning, match=r"5 times in 1 of 1 partition; the first time: $"):
        nbproxy.scan(captures / "b.mitm").run(path)


@pytest.mark.parametrize("what", [5, None, [], {}, object(), b"a.py"])
def test_what_cannot_be_run(captures, what):
    with pytest.raises(TypeError, match=r"run takes a script's path, .* or a function of a flow"):
        nbproxy.scan(captures / "b.mitm").run(what)


def test_an_addon_may_do_without_events(captures):
    class Loads:
        def load(self, loader):
            pass

    assert len(nbproxy.scan(captures / "b.mitm").run(Loads)) == 0


def test_a_worker_that_does_not_see_the_script(script):
    sent = scanning._packed(f"'{script}' red", None)
    script.unlink()
    with sent.loadable() as command:
        assert command.endswith("tag script.py' red")
        assert str(script) not in command


def test_a_dataset_of_several_files_in_a_part(tmp_path):
    writing.write([flow_to(n) for n in range(3)], tmp_path / "set", bodies=True)
    scan = nbproxy.scan(tmp_path / "set")
    assert scan.npartitions == 1
    changes = scan.run(comment, out=tmp_path / "out")
    assert sorted(changes["file"]) == scan.files
    assert len(nbproxy.open(tmp_path / "out" / "*")) == 3


# -- extras


@pytest.mark.parametrize(
    ("blocked", "call", "extra"),
    [
        ("dask", "nbproxy.scan('x.mitm')", "nbproxy[dask]"),
        ("fsspec", "nbproxy.datasets.writing.write([], 's3://a/b')", "nbproxy[parquet]"),
    ],
)
def test_errors_name_the_extra(blocked, call, extra):
    said = said_without(blocked, "import nbproxy, nbproxy.datasets.writing", call)
    assert f"needs {blocked}" in said
    assert extra in said


@pytest.mark.parametrize(
    "call", ["place('s3://bucket/x')", "opened('s3://bucket/x', {}).__enter__()"]
)
def test_errors_name_the_library_for_a_kind_of_url(call):
    said = said_without("s3fs", "from nbproxy.datasets.places import opened, place", call)
    assert said.startswith("for s3:// fsspec needs a library of its own")
    assert "s3fs" in said


def said_without(blocked, imports, call):
    """What the error says that a call raises where a library is missing."""
    code = f"""
import sys
sys.modules["{blocked}"] = None
{imports}
try:
    {call}
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout
