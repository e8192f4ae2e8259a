"""CSV files: what counts as a number, a class, a gap, and how errors name the place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.data import Source, load
from hpsearch.data.columns import load_csv
from hpsearch.errors import DataError


@pytest.fixture
def read(tmp_path):
    def read(text, target="y", **settings):
        path = tmp_path / "table.csv"
        path.write_text(text, encoding=settings.pop("encoding", "utf-8"))
        return load_csv(Source("csv", path, target=target, base=tmp_path, **settings))

    return read


def rows(*lines, times=4):
    return "\n".join(lines[:1] + lines[1:] * times) + "\n"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_separators_encodings_and_line_ends(read, separator, encoding, newline):
    text = rows('größe|"a,b;c"|y', "1.5|-2e3|ja", "2|inf|nein").replace("|", separator)
    data = read(text.replace("\n", newline), encoding=encoding)
    assert data.features == ("größe", "a,b;c") and data.classes == ("ja", "nein")
    assert data.x[:2].tolist() == [[1.5, -2000.0], [2.0, np.inf]]
    assert data.y[:2].tolist() == [0, 1]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(allow_nan=False), min_size=4, max_size=20))
def test_numbers_come_back_as_written(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("csv") / "n.csv"
    lines = [f"{number!r},{k % 2}" for k, number in enumerate(numbers)]
    path.write_text("\n".join(["x,y", *lines]))
    x = load_csv(Source("csv", path, target="y")).x[:, 0]
    with np.errstate(over="ignore"):
        assert np.allclose(x, numbers, rtol=1e-15, atol=0)


def test_text_becomes_one_column_per_level_of_all_rows_in_order(read):
    data = read(rows("colour,size,y", "red,1,a", " blue,2,b", "red,3,a"))
    assert data.features == ("colour=blue", "colour=red", "size")
    assert data.x[:3].tolist() == [[0, 1, 1], [1, 0, 2], [0, 1, 3]]


@pytest.mark.parametrize("words", ["true false", "True False", "TRUE FALSE", " true  FALSE"])
def test_booleans_are_numbers(read, words):
    yes, no = words.rsplit(" ", 1)
    data = read(rows("flag,y", f"{yes},a", f"{no},b"))
    assert data.features == ("flag",) and data.x[:2, 0].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        ("10 9 -1", ("-1", "9", "10")),
        ("1.0 2.0 3.0", ("1", "2", "3")),
        ("b a c", ("a", "b", "c")),
        ("1 2 3+", ("1", "2", "3+")),
        ("true false true", ("False", "True")),
    ],
)
def test_classes_are_sorted_as_what_they_are(read, cells, classes):
    data = read(rows("x,y", *(f"{k},{cell}" for k, cell in enumerate(cells.split()))))
    assert data.classes == classes
    assert [data.classes[k].lower() for k in data.y[:3]] == cells.replace(".0", "").split()


@pytest.mark.parametrize("target", ["kind", 1, -2])
def test_the_target_by_name_or_number(read, target):
    data = read(rows("x,kind,z", "1,a,5", "2,b,6"), target=target, drop=("z",))
    assert data.classes == ("a", "b") and data.features == ("x",)


@pytest.mark.parametrize("gap", ["", "NA", "N/A", "NaN", "nan", "null", "None", "?", " ? "])
def test_gaps_are_found_in_any_column_or_dropped(read, gap):
    text = rows("x,word,y", "1,u,a", "2,v,b") + f"3,{gap},a\n{gap},u,b\n5,v,{gap}\n"
    with pytest.raises(DataError) as caught:
        read(text)
    place = 'table.csv: row 10, column "word": missing value'
    assert place in str(caught.value) and '"y" 1, "x" 1, "word" 1' in str(caught.value)
    assert "data.missing: drop" in str(caught.value)
    dropped = read(text, missing="drop")
    assert len(dropped.x) == 8 and dropped.features == ("x", "word=u", "word=v")


def test_gaps_in_dropped_columns_do_not_matter(read):
    assert read(rows("x,z,y", "1,,a", "2,,b"), drop=("z",)).features == ("x",)


def test_row_numbers_are_a_spreadsheets(read):
    text = '\nx,note,y\n\n1,"two\nlines",a\n   \n2,one,b\nbad,one,a\n'
    with pytest.raises(DataError, match=r'row 7, column "x": .*"bad" \(1 of 3'):
        read(text)
    with pytest.raises(DataError, match="row 8: must have 3 cells"):
        read(text + "1,2\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (rows("x,y", *(f"1,{k / 7}" for k in range(9))), "regression target (9 distinct"),
        (rows("x,y", *(f"1,{k}" for k in range(60)), times=1), "regression target (60 distinct"),
        (rows("x,y", *(f"1,name {k}" for k in range(60)), times=1), "looks like an identifier"),
        (rows("id,y", *(f"u{k},{k % 2}" for k in range(60)), times=1), 'column "id": looks like'),
        (rows("x;y", "1,5;a", "2,5;b"), "decimal point"),
        (rows("x,y", "1,a", "2,a"), "at least 2 classes"),
    ],
)
def test_columns_that_cannot_be_meant(read, text, words):
    with pytest.raises(DataError) as caught:
        read(text)
    assert words in str(caught.value)


def test_many_classes_are_fine_where_each_has_rows(read):
    data = read(rows("x,y", *(f"{k},{k % 60}" for k in range(600)), times=1))
    assert len(data.classes) == 60


def test_the_target_is_asked_for_with_the_columns_listed(read):
    text = rows("width,kind", "1,a", "2,b")
    with pytest.raises(DataError, match=r'data\.target: needed .*"width", "kind"'):
        read(text, target=None)
    with pytest.raises(DataError, match=r'data\.target: .*did you mean "kind"'):
        read(text, target="kin")
    with pytest.raises(DataError, match=r'data\.drop: .*did you mean "width"'):
        read(text, target="kind", drop=("widht",))
    with pytest.raises(DataError, match=r"data\.drop: must not name the target"):
        read(text, target="kind", drop=(-1,))


def test_files_for_the_splits_share_columns_levels_and_classes(read, tmp_path):
    (tmp_path / "test.csv").write_text("y,x,word\nc,7,new\na,8,u\n")
    data = read(rows("x,word,y", "1,u,a", "2,v,b"), test="test.csv")
    assert data.features == ("x", "word=new", "word=u", "word=v")
    assert data.classes == ("a", "b", "c") and len(data.x) == 8
    assert data.test is not None and data.test.gather().tolist() == [[7, 1, 0, 0], [8, 0, 1, 0]]
    assert data.test.y.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("header", "words"), [("x,y", 'lacks "word"'), ("x,word,more,y", 'also has "more"')]
)
def test_files_for_the_splits_with_other_columns(read, tmp_path, header, words):
    (tmp_path / "test.csv").write_text(f"{header}\n{','.join('1' * len(header.split(',')))}\n")
    with pytest.raises(DataError) as caught:
        read(rows("x,word,y", "1,u,a", "2,v,b"), test="test.csv")
    assert words in str(caught.value) and "test.csv" in str(caught.value)


def test_bad_cells_are_placed_in_the_file_they_are_in(read, tmp_path):
    (tmp_path / "test.csv").write_text("x,y\n1,a\noops,b\n")
    with pytest.raises(DataError, match=r'test\.csv: row 3, column "x": .*"oops"'):
        read(rows("x,y", "1,a", "2,b"), test="test.csv")


def test_large_offsets_survive_to_the_network(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["t,y", *(f"{1.7e9 + k},{k % 2}" for k in range(40))]))
    data = load(Source("csv", path, target="y"), center="feature", scale="none")
    seen = np.sort(data.batch(data.train, slice(None))[:, 0])
    assert np.array_equal(np.diff(seen) >= 1.0, np.ones(len(seen) - 1, bool))


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet='abxy01.,;\t"\n\r ?NA-', max_size=60))
def test_any_text_is_a_table_or_a_data_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("csv") / "fuzz.csv"
    path.write_bytes(text.encode())
    try:
        loaded = load_csv(Source("csv", path, target=-1, missing="drop"))
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert len(loaded.x) == len(loaded.y) and loaded.x.shape[1] == len(loaded.features)
