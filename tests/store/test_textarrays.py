"""Text whose data is made late cannot be told from text that was there from the beginning."""

import copy
import pickle
import random
import threading

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.store import textarrays
from nbproxy.store.columns import FEW, TEXT, Texts
from nbproxy.store.textarrays import TextRows, text_array

DTYPES = {
    "str": pd.StringDtype("pyarrow", na_value=np.nan),
    "string": pd.StringDtype("pyarrow", na_value=pd.NA),
    "string[pyarrow]": pd.ArrowDtype(pa.string()),
}
FOUR = ["GET", "POST", None, "GET"]


def rows_of(*parts):
    return TextRows([Texts.of(pa.array(part, TEXT)) for part in parts])


def parts_of(seed=1):
    """Constant, coded, plain, short and empty parts."""
    rng = random.Random(seed)
    return [
        ["https"] * (FEW + 5),
        [rng.choice(["a", "b", None, "日"]) for _ in range(FEW * 2)],
        [],
        [None] * (FEW + 1),
        [f"/{rng.random()}" for _ in range(FEW + 9)],
        ["x", None],
        ["https"] * (FEW + 1),
    ]


@pytest.fixture(params=DTYPES)
def dtype(request):
    return DTYPES[request.param]


def late(dtype, parts=None):
    array = text_array(rows_of(*(parts_of() if parts is None else parts)), dtype)
    assert is_late(array)
    return array


def is_late(array):
    return "_pa_array" not in vars(array)


def text_of(df):
    """The arrays of a frame's columns of text, as they lie in it."""
    arrays = [block.values for block in df._mgr.blocks]  # noqa: PD011 - not a DataFrame's
    found = [array for array in arrays if hasattr(array, "isna")]
    assert found
    return found


def early(dtype, parts=None):
    whole = [text for part in (parts_of() if parts is None else parts) for text in part]
    return pd.array(whole, dtype=dtype)


def assert_same(a, b):
    pd.testing.assert_extension_array_equal(a, b)


def test_it_is_of_pandas_own_type(dtype):
    array, plain = late(dtype), early(dtype)
    assert isinstance(array, type(plain))
    assert type(array).__name__ == type(plain).__name__
    assert array.dtype == plain.dtype
    assert is_late(array)
    assert_same(array, plain)
    array + "x"
    assert not is_late(array)
    assert type(array) is type(plain)
    assert vars(array).keys() == vars(plain).keys()


STAYING = {
    "length": len,
    "missing": lambda a: a.isna(),
    "size": lambda a: a.shape,
    "first": lambda a: a[0],
    "last": lambda a: a[-1],
    "missing one": lambda a: pd.isna(a[FEW * 3 + 7]),
    "numpy's index": lambda a: a[np.int64(3)],
}


@pytest.mark.parametrize("name", STAYING)
def test_some_questions_need_no_data(dtype, name):
    array = late(dtype)
    asked, wanted = STAYING[name](array), STAYING[name](early(dtype))
    assert np.array_equal(asked, wanted)
    assert is_late(array)


PARTS = {
    "slice": lambda a: a[3:700],
    "slice from the end": lambda a: a[-400:-5],
    "slice of nothing": lambda a: a[10:3],
    "slice beyond": lambda a: a[5 : 10**9],
    "whole": lambda a: a[:],
    "mask": lambda a: a[np.arange(len(a)) % 3 == 0],
    "mask of nothing": lambda a: a[np.zeros(len(a), dtype=bool)],
    "positions": lambda a: a.take([5, 600, 3, 3, -1]),
    "positions in order": lambda a: a.take(np.arange(0, len(a), 2)),
    "positions out of order": lambda a: a.take(np.random.default_rng(1).permutation(len(a))),
    "positions with filling": lambda a: a.take([0, 700], allow_fill=True),
    "copy": lambda a: a.copy(),
    "view": lambda a: a.view(),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_are_late_as_well(dtype, name):
    array = late(dtype)
    part, wanted = PARTS[name](array), PARTS[name](early(dtype))
    assert is_late(array)
    assert is_late(part)
    assert part.dtype == dtype
    assert_same(part, wanted)
    assert is_late(array)
    assert_same(array, early(dtype))


MAKING = {
    "step": lambda a: a[::-1],
    "list": lambda a: a[[1, 2]],
    "mask with missing": lambda a: a[
        pd.array([True, None] * (len(a) // 2) + [None] * (len(a) % 2))
    ],
    "filling": lambda a: a.take([0, -1, 5], allow_fill=True),
    "filling with text": lambda a: a.take([0, -1, 5], allow_fill=True, fill_value="x"),
    "no positions": lambda a: a.take(np.array([], dtype=int)),
    "equality": lambda a: a == "https",
    "unique": lambda a: a.unique(),
    "upper": lambda a: pd.Series(a).str.upper().array,
    "contains": lambda a: pd.Series(a).str.contains("a").array,
    "concat": lambda a: pd.concat([pd.Series(a), pd.Series(a)]).array,
    "list of it": list,
    "numpy": np.asarray,
    "arrow": lambda a: pa.chunked_array(pa.array(a)),
    "addition": lambda a: a + "x",
    "fillna": lambda a: a.fillna("x"),
    "isin": lambda a: a.isin(["https", "a"]),
    "sum": lambda a: pd.Series(a).dropna().sum(),
    "max": lambda a: pd.Series(a).max(),
    "argsort": lambda a: a.argsort(),
    "to list": lambda a: a.tolist(),
    "value counts": lambda a: a.value_counts().sort_index(),
    "category": lambda a: pd.Series(a).astype("category").array,
    "object": lambda a: a.astype(object),
    "pickle": lambda a: pickle.loads(pickle.dumps(a)),
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "factorize": lambda a: a.factorize(),
    "factorize with missing": lambda a: a.factorize(use_na_sentinel=False),
    "pandas' factorize": pd.factorize,
    "repr": repr,
    "contained": lambda a: "https" in a,
    "reshaped": lambda a: a.ravel(),
    "repeated": lambda a: a.repeat(2),
    "shifted": lambda a: a.shift(1),
    "ascending": lambda a: pd.Series(a).sort_values().array,
    "grouped": lambda a: pd.Series(1, index=range(len(a))).groupby(a).sum(),
    "equal": lambda a: a.equals(a.copy()),
}


def plainly(value):
    if isinstance(value, tuple):
        return tuple(map(plainly, value))
    if isinstance(value, pd.Series):
        return [plainly(value.index), plainly(value.array)]
    if isinstance(value, pa.ChunkedArray):
        return value.to_pylist()
    return [
        None if pd.api.types.is_scalar(v) and pd.isna(v) else v
        for v in (value if np.iterable(value) else [value])
    ]


@pytest.mark.parametrize("name", MAKING)
def test_all_else_makes_the_data(dtype, name):
    array = late(dtype)
    asked, wanted = MAKING[name](array), MAKING[name](early(dtype))
    assert type(asked).__name__ == type(wanted).__name__
    assert getattr(asked, "dtype", None) == getattr(wanted, "dtype", None)
    assert plainly(asked) == plainly(wanted)
    assert_same(array, early(dtype))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda a: a[10**6],
        lambda a: a[-(10**6)],
        lambda a: a["x"],
        lambda a: a.take([10**6]),
        lambda a: a.take([-(10**6)]),
        lambda a: a.take([-2], allow_fill=True),
        lambda a: a[np.array([True])],
        lambda a: a.nothing,
        lambda a: a.__setitem__(0, 5),
    ],
)
def test_mistakes_are_those_of_pandas(dtype, wrong):
    with pytest.raises(Exception) as ours:  # noqa: PT011 - compared below
        wrong(late(dtype))
    with pytest.raises(Exception) as theirs:  # noqa: PT011 - compared below
        wrong(early(dtype))
    assert ours.type is theirs.type


def test_writing(dtype):
    array = late(dtype)
    view, kept = array[:10], array.copy()
    array[0] = "new"
    array[5:7] = None
    plain = early(dtype)
    plain[0] = "new"
    plain[5:7] = None
    assert_same(array, plain)
    assert_same(kept, early(dtype))
    assert_same(view, early(dtype)[:10])


def test_in_a_frame_nothing_is_made_before_it_is_used(dtype):
    df = pd.DataFrame(
        {"a": late(dtype), "b": late(dtype), "n": range(len(late(dtype)))}, copy=False
    )
    part = df[df.n > 100]
    assert len(part.head()) == 5
    assert df.memory_usage(deep=True)["a"] < early(dtype).nbytes
    assert df.a.notna().sum() == (~early(dtype).isna()).sum()
    assert df.iloc[3].a == "https"
    assert df.copy().shape == df.shape
    for frame in (df, part, df[["a", "b"]], df.rename(columns={"a": "c"}), df.iloc[5:20]):
        assert all(map(is_late, text_of(frame)))
    assert (df.a == "https").sum() == FEW * 2 + 6
    assert df.a.str.len().sum() > 0
    assert list(map(is_late, text_of(df))) == [False, True]


def test_groups_need_no_data(dtype):
    df = pd.DataFrame({"a": late(dtype, [FOUR * 200]), "n": 1})
    sizes = df.groupby("a", dropna=False, sort=True).n.sum()
    assert plainly(sizes) == [["GET", "POST", None], [400, 200, 200]]
    df = pd.DataFrame({"a": late(dtype, [FOUR * 200, ["PUT"] * 300]), "n": 1})
    sizes = df.groupby("a", sort=False).n.sum()
    assert plainly(sizes) == [["GET", "POST", "PUT"], [400, 200, 300]]
    assert all(map(is_late, text_of(df)))


def test_codes_are_there_for_whoever_can_use_them(dtype):
    array = late(dtype, [FOUR * 200])
    entries, codes = array.coded_text()
    assert [entries.to_pylist()[code] for code in codes] == FOUR * 200
    assert is_late(array)
    assert late(dtype, [[f"/{i}" for i in range(1000)]]).coded_text() is None


def test_an_empty_one(dtype):
    for parts in ([], [[]]):
        array = late(dtype, parts)
        assert len(array) == 0
        assert array.isna().tolist() == []
        assert len(array[:5]) == 0
        assert array.nbytes == 0
        assert_same(array, early(dtype, [[]]))
        assert late(dtype, parts).factorize()[0].tolist() == []


def test_what_is_the_same_everywhere_is_there_once():
    array = late(DTYPES["str"], [["https"] * 1000, ["http"] * 1000, ["https"] * 900])
    chunks = array._pa_array.chunks
    assert chunks[0].buffers()[2].address == chunks[2].buffers()[2].address


def test_text_beyond_short_offsets(monkeypatch):
    monkeypatch.setattr(textarrays, "_SHORT", 2000)
    dtype = DTYPES["string[pyarrow]"]
    parts = [[f"/{i:030}" for i in range(300)]]
    array = late(dtype, parts)
    assert len(array._pa_array.chunks) > 4
    assert array._pa_array.type == pa.string()
    assert_same(array, early(dtype, parts))


def test_threads_that_share_an_array(dtype):
    expected = early(dtype)
    for _ in range(20):
        array = late(dtype)
        faults = []
        barrier = threading.Barrier(4)

        def use(array=array, barrier=barrier, faults=faults):
            barrier.wait()
            try:
                assert len(array) == len(expected)
                assert array[5] == "https"
                assert len(array[3:9]) == 6
                assert array.isna().sum() == expected.isna().sum()
                assert pd.Series(array == "https").sum() == FEW * 2 + 6
                assert_same(array.take([1, 2, -1]), expected.take([1, 2, -1]))
                array.factorize()
                assert array.nbytes > 0
                assert_same(array.copy(), expected)
            except Exception as error:  # noqa: BLE001 - told below
                faults.append(error)

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []


def test_a_pandas_that_keeps_its_data_elsewhere():
    class Other:
        """A dtype whose arrays have no `_pa_array`."""

        @staticmethod
        def __from_arrow__(values):
            return pd.arrays.NumpyExtensionArray(np.array(values.to_pylist(), dtype=object))

    array = text_array(rows_of(FOUR), Other)
    assert list(array) == FOUR


texts = st.none() | st.sampled_from(["a", "b", "", "日", "xyz"])
pieces = st.lists(
    st.tuples(st.lists(texts, min_size=1, max_size=4), st.sampled_from([1, 3, 100])), max_size=4
)


@settings(max_examples=60, deadline=None)
@given(
    pieces,
    st.lists(st.sampled_from(["slice", "mask", "take", "view", "shuffle", "copy"]), max_size=4),
    st.randoms(use_true_random=False),
)
def test_any_steps_give_what_pandas_gives(made, steps, rng):
    parts = [texts * count for texts, count in made]
    array, plain = (each(DTYPES["str"], parts) for each in (late, early))
    for step in steps:
        size = len(plain)
        some = [rng.randrange(size) for _ in range(rng.randrange(30))] if size else []
        change = {
            "slice": lambda a, some=some: a[slice(*sorted([*some, 0, 0])[-2:])],
            "mask": lambda a, s=size: a[np.arange(s) % 3 != 1],
            "take": lambda a, some=some: a.take(np.array(some, dtype=np.int64)),
            "shuffle": lambda a, s=size: a.take(np.arange(s)[::-1]),
            "view": lambda a: a.view(),
            "copy": lambda a: a.copy(),
        }[step]
        array, plain = change(array), change(plain)
        assert len(array) == len(plain)
        assert array.isna().tolist() == plain.isna().tolist()
    codes, uniques = array.factorize()
    wanted, expected = plain.factorize()
    assert codes.tolist() == wanted.tolist()
    assert list(uniques) == list(expected)
    assert_same(array, plain)
