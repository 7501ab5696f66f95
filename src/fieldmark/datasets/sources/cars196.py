"""Stanford Cars (Krause et al. 2013): 16,185 photographs of 196 models of cars.

The official hosts no longer serve it and mirrors ask for an account, so nothing is downloaded. For research; the
photographs belong to their photographers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.listing import folders_below, require_pictures
from fieldmark.datasets.acquire.matlab import read_mat, scalar
from fieldmark.datasets.acquire.official import ByHand, Contents, OfficialParams
from fieldmark.datasets.acquire.records import Record
from fieldmark.datasets.acquire.tables import from_corners, warn_of_other_splits
from fieldmark.datasets.acquire.walking import Places

TWO_WORDS = ("AM", "Aston", "Land")  # makers of two words: AM General, Aston Martin, Land Rover
SIDES = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
COUNTS = {"train": (8_144, 196), "test": (8_041, 196)}  # pictures, models
# The official archives, unpacked side by side: one list and one folder of pictures per split.
META, TRAIN, TEST = "devkit/cars_meta.mat", "devkit/cars_train_annos.mat", "cars_test_annos_withlabels.mat"
# The archive car_ims.tgz: all pictures in one folder, the split in the list.
ALL = "cars_annos.mat"
INNER = ("stanford_cars", "cars196")


class Cars196Params(OfficialParams):
    """`path` is a folder in one of the two official layouts, or its parent.

    Either it holds cars_train/, cars_test/, devkit/ and cars_test_annos_withlabels.mat (here or in devkit/), or
    car_ims/ and cars_annos.mat.
    """


class Cars196(ByHand):
    """The official photographs, models, boxes and split; the group is the maker.

    A class is named `<number>.<model>`, so that the sorted names have the official order.
    """

    Params = Cars196Params
    promises: ClassVar[Mapping[str, bool]] = {"captions": False, "boxes": True, "masks": False}
    name = "cars196"
    advice = (
        "Stanford Cars is no longer served by its makers; get car_ims.tgz and cars_annos.mat, "
        "or cars_train.tgz, cars_test.tgz, car_devkit.tgz and cars_test_annos_withlabels.mat, from a mirror "
        "whose terms you accept, unpack them side by side and name the folder"
    )

    def _layout(self, outer: Path) -> Path:
        for folder in (outer, *(outer / name for name in INNER), *folders_below(outer)):
            if _lists(folder) is not None:
                return folder
        raise UserError(
            f"{outer} is not Stanford Cars in an official layout: it holds neither {ALL} nor {META}, {TRAIN} "
            f"and {TEST}"
        )

    def _classes(self, folder: Path) -> list[str]:
        return _names((_lists(folder) or [])[0])

    def _read(self, folder: Path, raw: Path) -> Contents:
        records = _records(folder)
        paths = [record.id for record in records]
        pictures = require_pictures(folder, folder, paths, "the annotation")
        return [*(_lists(folder) or []), *pictures], records


SOURCE = Cars196


def _lists(folder: Path) -> list[Path] | None:
    """Return the annotation files of the layout that the folder has, [all] or [meta, train, test]; None for neither."""
    if (folder / ALL).is_file():
        return [folder / ALL]
    tests = [path for path in (folder / TEST, folder / "devkit" / TEST) if path.is_file()]
    needed = [folder / META, folder / TRAIN, *tests[:1]]
    return needed if tests and all(path.is_file() for path in needed) else None


def _records(folder: Path) -> list[Record]:
    files = _lists(folder) or []
    names = _names(files[0])
    if len(files) == 1:
        rows = [(row, "test" if _whole(row, "test", files[0]) else "train", "") for row in _rows(files[0])]
        rows.sort(key=lambda row: row[1] != "train")
    else:
        parts = (("train", files[1]), ("test", files[2]))
        rows = [(row, split, f"cars_{split}/") for split, path in parts for row in _rows(path)]
    places = Places(folder)
    records = [_record(places, row, split, inner, names) for row, split, inner in rows]
    warn_of_other_splits(folder, records, COUNTS)
    return records


def _names(path: Path) -> list[str]:
    """Return the class names in order; a slash (Ram C/V) becomes "-", since class names occur in file names."""
    [names] = read_mat(path, "class_names")
    texts = [str(scalar(name, path)).replace("/", "-") for name in names]
    return [f"{number:03d}.{text}" for number, text in enumerate(texts, start=1)]


def _rows(path: Path) -> list[Any]:
    [annotations] = read_mat(path, "annotations")
    fields = annotations.dtype.names or ()
    picture = "relative_im_path" if path.name == ALL else "fname"
    for field in (*SIDES, "class", picture):
        if field not in fields:
            raise UserError(
                f"{path}: the annotations have no '{field}'; it is not the published file with labels"
            )
    return list(annotations)


def _record(places: Places, row: Any, split: str, inner: str, names: list[str]) -> Record:
    folder = places.base
    picture = str(scalar(row["fname" if inner else "relative_im_path"], folder))
    label = _whole(row, "class", folder)
    if not 1 <= label <= len(names):
        raise UserError(f"{folder}: {picture} has the class {label}; there are {len(names)}")
    words = names[label - 1].partition(".")[2].split()
    place = places.find(f"{inner}{picture}")
    return Record(
        id=place,
        image=folder / place,
        class_name=names[label - 1],
        group=" ".join(words[: 2 if words[0] in TWO_WORDS else 1]),
        split=split,
        box=from_corners(*(_whole(row, side, folder) for side in SIDES)),
    )


def _whole(row: Any, field: str, path: Path) -> int:
    if field not in (row.dtype.names or ()):
        raise UserError(f"{path}: the annotations have no '{field}'; it is not the published file")
    try:
        return int(scalar(row[field], path))
    except (ValueError, OverflowError):
        raise UserError(
            f"{path}: '{field}' of a picture is {row[field]!r:.40}, it should be a number"
        ) from None
