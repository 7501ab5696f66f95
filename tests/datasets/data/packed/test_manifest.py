import pandas as pd
import pyarrow as pa
import pytest
from support.pictures import manifest

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.packed.manifest import COLUMNS, read_manifest, write_manifest


def test_reads_back_what_was_written(tmp_path):
    frame = manifest({"wren": 2, "robin": 1}).sample(frac=1, axis=1, random_state=0)
    frame["captions"] = [["a small bird", "brown"], [], ["red"]]
    frame["box"] = pd.Series([[1.0, 2.0, 3.0, 4.5], None, None], dtype=object)
    frame.loc[1, "class_name"] = None
    write_manifest(frame, tmp_path / "m.parquet")
    back = read_manifest(tmp_path / "m.parquet")
    assert list(back.columns) == COLUMNS.names
    assert back["captions"].tolist() == [["a small bird", "brown"], [], ["red"]]
    assert back["box"].tolist() == [[1.0, 2.0, 3.0, 4.5], None, None]
    assert back["class_name"].isna().tolist() == [False, True, False]
    assert back["split"].isna().all()
    assert back["row"].tolist() == [0, 1, 2]


def test_the_same_rows_give_the_same_bytes(tmp_path):
    frame = manifest({"wren": 3})
    write_manifest(frame, tmp_path / "a.parquet")
    write_manifest(frame.set_index(pd.Index([7, 8, 9])), tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_wrong_types_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        write_manifest(manifest({"wren": 1}).assign(row="first"), tmp_path / "m.parquet")
    assert list(tmp_path.iterdir()) == []


def test_absent_damaged_and_foreign_files_are_one_line_errors(tmp_path):
    path = tmp_path / "m.parquet"
    with pytest.raises(UserError, match="does not exist; run `prepare`"):
        read_manifest(path)
    path.write_bytes(b"PAR1 no parquet")
    with pytest.raises(UserError, match="is damaged"):
        read_manifest(path)
    pd.DataFrame({"id": ["a"]}).to_parquet(path)
    with pytest.raises(UserError, match="other columns"):
        read_manifest(path)
