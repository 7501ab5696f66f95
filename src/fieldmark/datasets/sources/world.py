"""The default world as a source: it is rendered, not downloaded."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from fieldmark.base.blocks import Block
from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder
from fieldmark.base.processors import processors
from fieldmark.base.progress import progress
from fieldmark.datasets.acquire.records import LeftOut, MaskLabels, Record
from fieldmark.datasets.world.base import Kind, largest, make_kinds
from fieldmark.datasets.world.base_scenes import BASE_SCENES
from fieldmark.datasets.world.parts import PARTS
from fieldmark.datasets.world.render import Shot, render_all, render_scenes
from fieldmark.datasets.world.scenes import HABITATS, SCENES, Catalogue, category_names

FILE = "photographs.arrow"
BATCH = 256
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("image", pa.binary()),
        ("mask", pa.binary()),
        ("class_name", pa.string()),
        ("group", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("box", pa.list_(pa.float64(), 4)),
        ("attributes", pa.string()),
    ]
)
SCENES_SCHEMA = SCHEMA.append(pa.field("labels", pa.list_(pa.string())))
CATALOGUES = {"scenes": SCENES, "base_scenes": BASE_SCENES}  # parts whose pictures show several classes
MIN_CATEGORIES = 12  # of scenes: enough for several in every habitat


class WorldParams(Block):
    """Which part of the world to render, how much of it and how large.

    `genera` is the number of groups of classes: genera of birds; in the base world half of them are families of
    things. `photographs` is per class, `captions` per photograph, `side` in pixels. A scene shows several of the
    `classes` in one picture; for scenes `genera` is the number of habitats and `photographs` is per habitat. The parts
    `base` and `base_scenes` hold no class of the other two: backbones and CLIPs are trained on them.
    """

    part: Literal["species", "base", "scenes", "base_scenes"] = "species"
    classes: int = Field(60, ge=2, le=400)
    genera: int = Field(12, ge=1, le=48)
    photographs: int = Field(40, ge=1, le=10_000)
    side: int = Field(128, ge=32, le=512)
    captions: int = Field(5, ge=1, le=20)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _room(self) -> Self:
        if self.genera > self.classes:
            raise ValueError(f"genera must not exceed classes ({self.genera} genera, {self.classes} classes)")
        if self.part in CATALOGUES:
            self._room_for_scenes(len(CATALOGUES[self.part].categories))
            return self
        if self.part == "base" and self.genera < 2:
            raise ValueError("the base world needs at least 2 genera, one of birds and one of things")
        max_genera, max_classes = largest(self.part, self.genera)
        if self.genera > max_genera:
            raise ValueError(
                f"the {self.part} world has at most {max_genera} genera, {self.genera} were asked for"
            )
        if self.classes > max_classes:
            raise ValueError(
                f"{self.genera} genera hold at most {max_classes} classes, {self.classes} were asked for"
            )
        return self

    def _room_for_scenes(self, most: int) -> None:
        if not MIN_CATEGORIES <= self.classes <= most:
            raise ValueError(
                f"{self.part} have {MIN_CATEGORIES} to {most} classes, {self.classes} were asked for"
            )
        if self.genera > len(HABITATS):
            raise ValueError(f"scenes have at most {len(HABITATS)} genera (habitats), not {self.genera}")


class World:
    """A source that renders a part of the default world into one Arrow file."""

    Params: ClassVar[type[Block]] = WorldParams

    def __init__(self, params: WorldParams) -> None:
        self.params = params

    @property
    def promises(self) -> Mapping[str, bool]:
        """Captions and masks always; a box where a picture has one subject."""
        return {"captions": True, "boxes": self.catalogue is None, "masks": True}

    @property
    def catalogue(self) -> Catalogue | None:
        """What the scenes of this world hold; None where a picture has one subject."""
        whole = CATALOGUES.get(self.params.part)
        return whole and whole.first(self.params.classes)

    def kinds(self) -> list[Kind]:
        """Return the classes of this world, in the order of their index."""
        return make_kinds(self.params.part, self.params.seed, self.params.classes, self.params.genera)

    def fetch(self, destination: Path) -> None:
        """Render every photograph on all processors; `destination` appears whole or not at all."""
        p = self.params
        groups = p.genera if self.catalogue else p.classes
        bar = progress(self._rows(), total=groups * p.photographs, desc=f"render {p.part}", unit="photo")
        schema = SCENES_SCHEMA if self.catalogue else SCHEMA
        with (
            atomic_folder(destination) as folder,
            pa.OSFile(str(folder / FILE), "wb") as sink,
            pa.ipc.new_file(sink, schema) as writer,
        ):
            rows = iter(bar)
            while batch := list(islice(rows, BATCH)):
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))

    def _rows(self) -> Iterator[dict[str, Any]]:
        p, world = self.params, f"{self.params.seed}/{self.params.part}"
        if self.catalogue:
            scenes = render_scenes(
                self.catalogue, p.genera, world, p.photographs, p.side, p.captions, processors()
            )
            return (_scene_row(p.part, HABITATS[index], photo, shot) for index, photo, shot in scenes)
        kinds = self.kinds()
        shots = render_all(kinds, world, p.photographs, p.side, p.captions, processors())
        return (_row(f"{p.part}_{index:03d}/{photo:04d}", kinds[index], shot) for index, photo, shot in shots)

    def records(self, raw: Path) -> Iterator[Record]:
        """Return the photographs in order of class and number. Raises UserError when nothing was rendered."""
        path = raw / FILE
        if not path.is_file():
            raise UserError(f"{path} does not exist; run the download stage to render the world")
        labels = self.mask_labels
        try:
            with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
                table = reader.read_all()
                table.validate(full=True)
                return iter([_record(row, labels) for row in table.to_pylist()])
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())[:100]
            raise UserError(
                f"{path} is damaged ({reason}); delete it and run `dvc repro --force download@{raw.name}`"
            ) from None

    def left_out(self) -> Sequence[LeftOut]:
        """Return nothing: every photograph that was rendered is a record."""
        return ()

    @property
    def mask_labels(self) -> MaskLabels:
        """Parts of birds and things; in scenes whole animals and things by their category."""
        if self.catalogue is None:
            return MaskLabels(PARTS)
        return MaskLabels((PARTS[0], *category_names(self.catalogue.categories).values()))


def _row(identity: str, kind: Kind, shot: Shot) -> dict[str, Any]:
    return {
        "id": identity,
        "image": shot.image,
        "mask": shot.mask,
        "class_name": kind.name,
        "group": kind.group,
        "captions": list(shot.captions),
        "box": shot.box and list(shot.box),
        "attributes": json.dumps(dict(kind.attributes), sort_keys=True),
    }


def _scene_row(part: str, habitat: str, photo: int, shot: Shot) -> dict[str, Any]:
    return {
        "id": f"{part}_{habitat}/{photo:04d}",
        "image": shot.image,
        "mask": shot.mask,
        "class_name": None,
        "group": habitat,
        "captions": list(shot.captions),
        "box": None,
        "attributes": json.dumps({"habitat": habitat}),
        "labels": list(shot.labels),
    }


def _record(row: dict[str, Any], labels: MaskLabels) -> Record:
    return Record(
        id=row["id"],
        image=row["image"],
        mask=row["mask"],
        mask_labels=labels,
        class_name=row["class_name"],
        group=row["group"],
        captions=tuple(row["captions"]),
        box=row["box"] and tuple(row["box"]),
        attributes=json.loads(row["attributes"]),
        labels=tuple(row.get("labels", ())),
    )


SOURCE = World
