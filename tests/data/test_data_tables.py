"""Table loaders on fabricated files, and the bundled tables."""

import io

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from lib.data import DataError, table


def put(house, id, name, content, **facts):
    house.put(house.cache / "set" / name, content)
    house.register(id, files=[house.file(name, content)], **facts)


def put_mat(house, id, reader, arrays, **facts):
    stream = io.BytesIO()
    savemat(stream, arrays)
    put(house, id, f"{id}.mat", stream.getvalue(), reader=reader, **facts)


def test_unsigned_matrix_is_cast_so_that_differences_can_be_negative(house):
    X = np.array([[0, 200], [255, 7], [3, 4]], np.uint8)
    facts = {"rows": 3, "columns": 2, "name_pattern": "gene_{:02d}", "classes": ["low", "high"]}
    put_mat(house, "x", "mat", {"X": X, "Y": np.array([[1], [-1], [1]])}, **facts)
    loaded = table("x")
    assert loaded.X.dtype == np.float64
    assert (loaded.X[0] - loaded.X[1]).tolist() == [-255, 193]
    assert loaded.y.tolist() == [1, 0, 1]
    assert loaded.y.dtype == np.int64
    assert (loaded.names, loaded.classes, loaded.groups) == (("gene_00", "gene_01"), ("low", "high"), None)


def test_usps_is_put_upright_and_ten_is_zero(house):
    upright = np.arange(3 * 256, dtype=float).reshape(3, 16, 16)
    stored = upright.transpose(0, 2, 1).reshape(3, 256).T
    arrays = {"Train_DAT": stored[:, :2], "Test_DAT": stored[:, 2:], "trainlabels": [[10, 3]], "testlabels": [[1]]}
    facts = {"rows": 3, "columns": 256, "name_pattern": "p{}", "classes": [str(i) for i in range(10)]}
    put_mat(house, "x", "usps", arrays, **facts)
    loaded = table("x")
    assert np.array_equal(loaded.X.reshape(3, 16, 16), upright)
    assert loaded.y.tolist() == [0, 3, 1]


def test_csv_with_missing_values(house):
    facts = {"reader": "csv", "rows": 4, "columns": 2, "names": ["a", "b"], "classes": ["M", "R"]}
    put(house, "x", "x.csv", b"1,?,R\n2,4,M\n3,8,M\n4,5,R\n", **facts)
    assert table("x").X[:, 1].tolist() == [5, 4, 8, 5]
    assert np.isnan(table("x", missing="keep").X[0, 1])
    assert table("x").y.tolist() == [1, 0, 0, 1]
    with pytest.raises(ValueError, match="missing must be 'median' or 'keep', got 'drop'"):
        table("x", missing="drop")


def test_mice_are_grouped_by_animal(house):
    frame = pd.DataFrame({"MouseID": ["9_1", "9_2", "J1_1"], "P_N": [1.0, None, 3.0], "class": ["b", "b", "a"]})
    facts = {"reader": "mice", "rows": 3, "columns": 1, "names": ["P_N"], "classes": ["a", "b"]}
    put(house, "x", "x.csv", frame.to_csv(index=False).encode(), **facts)
    loaded = table("x")
    assert loaded.groups.tolist() == [0, 0, 1]
    assert loaded.y.tolist() == [1, 1, 0]
    assert loaded.X.ravel().tolist() == [1, 2, 3]


def test_categories_become_named_indicator_columns(house):
    names = ["age", "sex=F", "sex=M"]
    facts = {"reader": "onehot", "rows": 3, "columns": 3, "names": names, "classes": ["no", "yes"]}
    facts |= {"fields": ["age", "sex", "income"], "target": "income"}
    put(house, "x", "x.csv", b"30, F, yes.\n40, M, no\n50, M, yes\n", **facts)
    loaded = table("x")
    assert loaded.X.tolist() == [[30, 1, 0], [40, 0, 1], [50, 0, 1]]
    assert loaded.y.tolist() == [1, 0, 1]


def test_category_without_a_column_is_an_error(data_module):
    frame = pd.DataFrame({"sex": ["F", "X"]})
    with pytest.raises(DataError, match=r"column 'sex' must hold \['F', 'M'\], got \['X'\]"):
        data_module("tables").encode(frame, ("sex=F", "sex=M"))


def test_only_declared_fields_are_read(house):
    facts = {"reader": "onehot", "header": True, "rows": 2, "columns": 1, "names": ["age"], "classes": ["0", "1"]}
    facts |= {"fields": ["age", "again"], "target": "again"}
    put(house, "x", "x.csv", b"name,again,age\nAnn,1,30\nBob,0,40\n", **facts)
    assert table("x").X.tolist() == [[30], [40]]


def test_table_that_does_not_fit_its_entry_is_an_error(house):
    facts = {"reader": "csv", "rows": 2, "columns": 3, "names": ["a", "b", "c"], "classes": ["M", "R"]}
    put(house, "x", "x.csv", b"1,2,R\n3,4,M\n", **facts)
    with pytest.raises(DataError, match="must have 3 columns and 2 classes, got 2 columns"):
        table("x")


@pytest.mark.parametrize(("id", "shape"), [("iris", (150, 4)), ("wine", (178, 13)), ("breast-cancer", (569, 30))])
def test_bundled_tables_need_no_files(house, monkeypatch, id, shape):
    monkeypatch.delenv("DATA_REGISTRY")
    monkeypatch.setenv("BLINDSPOT_OFFLINE", "1")
    loaded = table(id)
    assert loaded.X.shape == shape
    assert len(loaded.names) == shape[1]
    assert set(loaded.y) == set(range(len(loaded.classes)))
