import numpy as np
import pytest
import scipy.io
from support.pictures import dataset, write_picture
from support.sources import fetched, refused, validated

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.sources.cars196 import Cars196, Cars196Params

NAMES = ["AM General Hummer SUV 2000", "Ram C/V Cargo Van 2012", "smart fortwo 2012", "Land Rover LR2 2012"]
SIDES = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]
PARTS = {"train": 3, "test": 2}  # pictures a class


def save(path, rows, fields):
    """Write annotations as the published files have them: a struct array of one row, and the class names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    struct = np.array([[tuple(row) for row in rows]], dtype=[(name, object) for name in fields])
    scipy.io.savemat(path, {"annotations": struct, "class_names": np.array([NAMES], dtype=object)})


@pytest.fixture
def separate(tmp_path):
    """The layout of the separate archives."""
    folder = tmp_path / "data" / "stanford_cars"
    for part, count in PARTS.items():
        rows = []
        for label in range(1, 5):
            for _ in range(count):
                rows.append([3, 2, 42, 31, label, f"{len(rows) + 1:05d}.jpg"])
                write_picture(folder / f"cars_{part}" / rows[-1][-1], 100 * count + len(rows))
        name = "devkit/cars_train_annos.mat" if part == "train" else "cars_test_annos_withlabels.mat"
        save(folder / name, rows, [*SIDES, "class", "fname"])
    save(folder / "devkit/cars_meta.mat", [[0]], ["x"])
    return folder


@pytest.fixture
def together(tmp_path):
    """The layout of the one archive of all pictures."""
    folder, rows = tmp_path / "data" / "cars196", []
    for label in range(1, 5):
        for number in range(5):
            rows.append([f"car_ims/{len(rows) + 1:06d}.jpg", 3, 2, 42, 31, label, int(number >= 3)])
            write_picture(folder / rows[-1][0], len(rows))
    save(folder / "cars_annos.mat", rows, ["relative_im_path", *SIDES, "class", "test"])
    return folder


def records_of(tmp_path, path):
    return fetched(Cars196(Cars196Params(path=path)), tmp_path / "raw" / "cars")


def test_both_layouts_give_the_same_classes_and_split(tmp_path, separate, together):
    for folder, first in ((separate, "cars_train/00001.jpg"), (together, "car_ims/000001.jpg")):
        records = records_of(tmp_path, str(folder))
        assert [record.split for record in records] == ["train"] * 12 + ["test"] * 8
        assert records[0].id == first
        assert records[0].image.read_bytes()[:2] == b"\xff\xd8"
        assert records[0].box == (2.0, 1.0, 40.0, 30.0)
        named = {record.class_name: record.group for record in records}
        assert named == {
            "001.AM General Hummer SUV 2000": "AM General",
            "002.Ram C-V Cargo Van 2012": "Ram",
            "003.smart fortwo 2012": "smart",
            "004.Land Rover LR2 2012": "Land Rover",
        }


def test_the_parent_folder_and_labels_in_devkit_will_do(tmp_path, separate):
    labels = separate / "cars_test_annos_withlabels.mat"
    labels.rename(separate / "devkit" / labels.name)
    assert len(records_of(tmp_path, str(separate.parent))) == 20


def test_without_a_path_one_line_says_what_to_get(tmp_path):
    with refused(r"cars196\.path: .*car_ims\.tgz and cars_annos\.mat"):
        records_of(tmp_path, None)
    with pytest.raises(UserError, match="there is no folder"):
        records_of(tmp_path, str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="is not Stanford Cars in an official layout"):
        records_of(tmp_path, str(tmp_path))


@pytest.mark.parametrize(
    ("rows", "fields", "message"),
    [
        ([["car_ims/000001.jpg", 3, 2, 42, 31, 5, 0]], None, "000001.jpg has the class 5; there are 4"),
        (
            [["car_ims/9.jpg", 3, 2, 42, 31, 1, 0]],
            None,
            "1 pictures of the annotation are missing: car_ims/9.jpg",
        ),
        ([["../x.jpg", 3, 2, 42, 31, 1, 0]], None, "names pictures outside it"),
        ([["car_ims/000001.jpg", 3, 2, 42, 31, 1, 0]] * 2, None, "names 1 pictures twice"),
        (
            [["car_ims/000001.jpg", "x", 2, 42, 31, 1, 0]],
            None,
            "'bbox_x1' of a picture is .* should be a number",
        ),
        ([["car_ims/000001.jpg", [1, 2], 2, 42, 31, 1, 0]], None, "a cell holds 2 values"),
        ([["car_ims/000001.jpg", 3, 2, 42, 31, 0]], ["relative_im_path", *SIDES, "test"], "have no 'class'"),
        ([["car_ims/000001.jpg", 3, 2, 42, 31, 1]], ["relative_im_path", *SIDES, "class"], "have no 'test'"),
    ],
)
def test_damaged_annotation_is_one_line_and_writes_nothing(tmp_path, together, rows, fields, message):
    save(together / "cars_annos.mat", rows, fields or ["relative_im_path", *SIDES, "class", "test"])
    with refused(message):
        records_of(tmp_path, str(together))
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("content", [b"", b"no matlab", b"MATLAB 5.0 MAT-file" + bytes(200)])
def test_what_is_no_matlab_file_is_one_line(tmp_path, together, content):
    (together / "cars_annos.mat").write_bytes(content)
    with refused(r"cars_annos\.mat (is no MATLAB file|has no variable)"):
        records_of(tmp_path, str(together))


def test_a_matlab_file_cut_short_is_one_line(tmp_path, together):
    path = together / "cars_annos.mat"
    path.write_bytes(path.read_bytes()[:-40])
    with refused(r"cars_annos\.mat is no MATLAB file"):
        records_of(tmp_path, str(together))


def test_the_devkits_test_list_has_no_labels_and_is_refused(tmp_path, separate):
    rows = [[3, 2, 42, 31, "00001.jpg"]]
    save(separate / "cars_test_annos_withlabels.mat", rows, [*SIDES, "fname"])
    with pytest.raises(UserError, match="have no 'class'; it is not the published file with labels"):
        records_of(tmp_path, str(separate))


def test_the_twin_runs_from_fetch_to_validation(tmp_path, together):
    params = dataset("cars196", {"path": str(together)}, side=32)
    kinds = {kind: SplitParams(dataset="d", kind=kind) for kind in ("retrieval", "classification")}
    _, splits = validated(tmp_path, params, kinds)
    retrieval = splits["retrieval"].groupby("role")["class_name"].unique()
    assert [name[:3] for name in retrieval["train"]] == ["001", "002"]
    assert splits["classification"]["role"].value_counts().to_dict() == {"train": 12, "test": 8}


def test_a_mirrors_layout_with_more_levels_is_read(tmp_path, separate):
    expected = len(records_of(tmp_path, str(separate)))
    for name in ("cars_train", "cars_test"):
        (separate / name).rename(separate / "inner")
        (separate / name).mkdir()
        (separate / "inner").rename(separate / name / name)
    (separate.parent / "kaggle").mkdir()
    separate.rename(separate.parent / "kaggle" / "cars")
    records = records_of(tmp_path, str(separate.parent))
    assert len(records) == expected
    assert records[0].id == "cars_train/cars_train/00001.jpg"
    assert all(record.image.is_file() for record in records)
