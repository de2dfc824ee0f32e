"""Files of flows as `Flows`: the room above formats and store."""

import pytest

from nbproxy import saved
from nbproxy.errors import FormatError
from nbproxy.store.store import Store
from nbproxy.store.view import Flows
from tests.formats import made


@pytest.fixture
def path(tmp_path):
    flows = [
        made.answered(made.new_flow(url=f"http://{host}/{number}"), 200 + number)
        for number, host in enumerate(["a.test", "b.test", "a.test"])
    ]
    saved.save(flows, tmp_path / "x.mitm")
    return tmp_path / "x.mitm"


def test_flows_of_a_file_are_like_live_ones(path):
    flows = saved.open(path)
    assert isinstance(flows, Flows)
    assert [flow.response.status_code for flow in flows] == [200, 201, 202]
    assert [flow.id for flow in flows] == sorted({flow.id for flow in flows})
    assert len(flows.filter("~d a.test")) == 2
    assert list(flows.df.host) == ["a.test", "b.test", "a.test"]
    assert list(flows.filter("~c 201").df.index) == [flows[1].id]
    assert flows.by_id(flows[2].id) is flows[2]
    flows[0].comment = "changed"
    assert flows.df.comment.iloc[0] == "changed"


def test_each_open_has_a_store_of_its_own(path):
    first, second = saved.open(path), saved.open(path)
    assert first.store is not second.store
    assert not {flow.id for flow in first} & {flow.id for flow in second}
    assert [f.metadata["original_id"] for f in first] == [f.metadata["original_id"] for f in second]


def test_several_files(path):
    har = path.with_suffix(".har")
    saved.open(path)[:1].save(har)
    flows = saved.open(har, path.parent / "*.mitm")
    assert [flow.request.path for flow in flows] == ["/0", "/0", "/1", "/2"]


def test_all_samples_in_a_frame(data):
    patterns = [data / "mitm" / "*1?.mitm", data / "har" / "*c*.har"]
    with pytest.warns(UserWarning, match="nothing in it could be read") as caught:
        flows = saved.open(*patterns)
    refused = {"har_extractor", "har_extractor.from-v0.17"}
    assert len(caught) == len(refused)
    frame = flows.df
    assert len(frame) == len(flows) > 20
    assert frame.time.notna().all()
    assert set(frame.method) <= {"GET", "POST", "HEAD"}


def test_saving_what_a_view_shows(path, tmp_path):
    flows = saved.open(path)
    for view, count in [(flows, 3), (flows.filter("~d a.test"), 2), (flows[1:2], 1)]:
        assert view.save(tmp_path / "out.har") == count
        assert len(saved.open(tmp_path / "out.har")) == count


def test_masked(path, tmp_path):
    flow = made.answered(made.new_flow(fields=[("Authorization", "Bearer s3cr3ts3cr3t")]))
    out = tmp_path / "out.har"
    saved.save([flow], out, secrets="mask")
    assert b"s3cr3t" not in out.read_bytes()
    saved.save([flow], out)
    assert b"s3cr3t" in out.read_bytes()
    with pytest.raises(ValueError, match="'keep' or 'mask'"):
        saved.save([flow], out, secrets="drop")


def test_large_bodies_lie_on_disk(tmp_path):
    body = bytes(range(256)) * 4096
    flow = made.answered(made.new_flow("POST", content=body), content=body)
    saved.save([flow], tmp_path / "x.mitm")
    (again,) = saved.open(tmp_path / "x.mitm")
    assert not isinstance(again.response._content, bytes)
    assert again.response.content == again.request.content == body


def test_damage(path):
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.warns(UserWarning, match="cut off") as caught:
        assert len(saved.open(path)) == 2
    assert caught[0].filename == __file__
    with pytest.raises(FormatError, match="cut off"):
        saved.open(path, strict=True)


def test_no_name_at_all():
    with pytest.raises(TypeError, match="at least one file"):
        saved.open()


def test_live_flows_are_saved_as_far_as_they_have_got(tmp_path):
    store = Store()
    store.opened(made.new_flow())
    assert Flows(store).save(tmp_path / "x.mitm") == 1
    (again,) = saved.open(tmp_path / "x.mitm")
    assert again.response is None


@pytest.mark.parametrize("name", ["x.nbproxy", "x.mitm", "x.har", "x.curl.sh"])
def test_errors_name_the_file_that_was_asked_for(tmp_path, name):
    (tmp_path / "plain").write_text("a file")
    for folder, error in (("no", FileNotFoundError), ("plain", NotADirectoryError)):
        path = tmp_path / folder / name
        with pytest.raises(error, match="folder of this") as caught:
            saved.save([made.new_flow()], path)
        assert caught.value.filename == str(path)
        assert ".part" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["plain"]


def test_a_name_that_says_no_format(tmp_path):
    words = (
        r"'x\.txt' does not say .* one of \.nbproxy, \.mitm, .*'nbproxy', 'mitm', 'har' or 'curl'"
    )
    with pytest.raises(ValueError, match=words):
        saved.save([], tmp_path / "x.txt")
    with pytest.raises(ValueError, match="'zip' is not a format to write: 'nbproxy', 'mitm'"):
        saved.save([], tmp_path / "x.har", "zip")
    assert not list(tmp_path.iterdir())
    saved.save([], tmp_path / "X.NBPROXY")
    assert (tmp_path / "X.NBPROXY").read_bytes().startswith(b"SQLite")
