"""A folder with the user's photographs and masks: for each photograph an 8-bit one-channel picture of labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from fieldmark.base.blocks import Block
from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.listing import (
    beside,
    check_listing,
    existing_folder,
    few,
    is_picture,
    require_pictures,
    write_listing,
)
from fieldmark.datasets.acquire.records import LeftOut, MaskLabels, Record
from fieldmark.datasets.acquire.tables import read_lines
from fieldmark.datasets.acquire.walking import Places, composed, walk
from fieldmark.datasets.data.packed.store import NO_LABEL

Role = Literal["train", "test", "val"]
Value = Annotated[int, Field(ge=0, le=NO_LABEL)]  # of a pixel of a mask file
Pair = tuple[str, str]  # the paths of a picture and its mask, relative to the folder


class MasksParams(Block):
    """`path` is the folder; `images` and `masks` are folders in it.

    A picture and a mask belong together when they have the same name there, apart from the ending. `lists` gives
    the split: for each role the name of a text file in `path` whose lines name a picture and its mask, relative to
    `path`; pictures that no list names are left out. `labels` names the values of the masks that are not among
    `ignore`, in rising order; pixels with an ignored value, or with 255, have no label. Where the values are others,
    `values` gives that of each label: [0, 255] for binary masks in black and white.
    """

    path: str
    images: str = "images"
    masks: str = "masks"
    lists: dict[Role, str] = Field(default_factory=dict)
    labels: tuple[str, ...] = Field(min_length=2, max_length=NO_LABEL)
    ignore: tuple[Value, ...] = ()
    values: tuple[Value, ...] | None = None

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        if len({name.strip() for name in self.labels} - {""}) < len(self.labels):
            raise ValueError("labels must be different names, and none of them blank")
        given = self.values
        if given is not None and (
            len(given) != len(self.labels) or len({*given, *self.ignore}) < len(given) + len({*self.ignore})
        ):
            raise ValueError("values must give each label a value of its own that is not among ignore")
        return self

    def mask_labels(self) -> MaskLabels:
        """Return what the values of the masks mean. Every label must have a pixel somewhere."""
        if self.values is None:
            labels = MaskLabels.skipping(self.labels, self.ignore)
        else:
            labels = MaskLabels.of_values(self.labels, self.values, self.ignore)
        return replace(labels, absent="refused")


class Masks:
    """Pictures and masks that are read where they lie; nothing is copied. They have no class."""

    Params = MasksParams
    promises: ClassVar[Mapping[str, bool]] = {"captions": False, "boxes": False, "masks": True}

    def __init__(self, params: MasksParams) -> None:
        self.params = params

    def fetch(self, destination: Path) -> None:
        """Check the folder and record its listing. Raises UserError for whatever is wrong with it."""
        write_listing(self._folder(), self._files(self._pairs()), destination)

    def records(self, raw: Path) -> Iterator[Record]:
        """Yield the pictures in the order of the lists, or sorted by name."""
        folder, pairs = self._folder(), self._pairs()
        check_listing(folder, self._files(pairs), raw)
        labels = self.params.mask_labels()
        return iter(
            [
                Record(
                    id=image,
                    image=folder / image,
                    class_name=None,
                    split=role,
                    mask=folder / mask,
                    mask_labels=labels,
                )
                for role, of_role in pairs.items()
                for image, mask in of_role
            ]
        )

    def left_out(self) -> Sequence[LeftOut]:
        """Return the files in both folders that are no pictures, and with lists the pictures that none names."""
        folder, p = self._folder(), self.params
        used = [folder / path for of_role in self._pairs().values() for pair in of_role for path in pair]
        return beside(filter(Path.is_dir, (folder / p.images, folder / p.masks)), used)

    def _folder(self) -> Path:
        return existing_folder(self.params.path, "masks.path")

    def _pairs(self) -> Mapping[Role | None, list[Pair]]:
        """Return the pairs by role; the only role is None without lists."""
        folder, p = self._folder(), self.params
        if not p.lists:
            return {None: _by_name(folder, p.images, p.masks)}
        places = Places(folder)
        return {role: _listed(folder / name, places) for role, name in p.lists.items()}

    def _files(self, pairs: Mapping[Role | None, list[Pair]]) -> list[Path]:
        """Return every file that the records are made of. Raises UserError when one is missing or named twice."""
        folder, named_by = self._folder(), " and ".join(self.params.lists.values()) or "masks.path"
        files = [folder / name for name in self.params.lists.values()]
        for side in (0, 1):
            paths = [pair[side] for of_role in pairs.values() for pair in of_role]
            files += require_pictures(folder, folder, paths, named_by)
        return files


SOURCE = Masks


def _by_name(folder: Path, images: str, masks: str) -> list[Pair]:
    photographs, labels = _named(folder, images, "images"), _named(folder, masks, "masks")
    for these, others, what, missing in (
        (photographs, labels, "pictures", "mask"),
        (labels, photographs, "masks", "picture"),
    ):
        alone = sorted(these.keys() - others.keys())
        if alone:
            raise UserError(f"{folder}: {len(alone)} {what} have no {missing}: {few(alone)}")
    return [(photographs[name], labels[name]) for name in sorted(photographs)]


def _named(folder: Path, inner: str, parameter: str) -> dict[str, str]:
    """Return the paths of the pictures in a folder, by their name without the ending.

    Raises UserError for a name that comes twice and for a folder without pictures.
    """
    base = existing_folder(str(folder / inner), f"masks.{parameter}")
    paths: dict[str, str] = {}
    for relative in filter(is_picture, walk(base)):
        name = composed(relative.with_suffix("").as_posix())
        if name in paths:
            raise UserError(f"masks.{parameter}: {base} holds '{name}' with two endings; keep one")
        paths[name] = (base / relative).relative_to(folder).as_posix()
    if not paths:
        raise UserError(f"masks.{parameter}: {base} holds no picture")
    return paths


def _listed(path: Path, places: Places) -> list[Pair]:
    """Read lines of `<picture> <mask>` with a tab, a comma or a blank between the two."""
    if not path.is_file():
        raise UserError(f"masks.lists: there is no file {path}")
    pairs: list[Pair] = []
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        mark = next((mark for mark in ("\t", ",") if mark in line), None)
        parts = [part.strip() for part in line.split(mark)]
        if len(parts) != 2 or not all(parts):
            raise UserError(f"{path}: line {number} should be '<picture> <mask>', it is '{line[:60]}'")
        pairs.append((places.find(parts[0]), places.find(parts[1])))
    if not pairs:
        raise UserError(f"{path} names no picture")
    return pairs
