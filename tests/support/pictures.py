"""Small pictures and data sets made on the spot."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.acquire.records import Record
from fieldmark.datasets.acquire.schema import DatasetParams

Pixels = NDArray[np.uint8]
SHARED = Path(__file__).parents[3] / "shared" / "data"  # real photographs; tests skip without them


def noise(seed: int, height: int = 40, width: int = 48) -> Pixels:
    """A smooth random picture, (H, W, 3): survives JPEG with small differences."""
    grid = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))


def encoded(pixels: Pixels | Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def write_picture(path: Path, seed: int) -> None:
    """Write a noisy JPEG, and the folders that lead to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(noise(seed), "JPEG", quality=95))


def record(number: int, class_name: str | None = "wren", **fields: Any) -> Record:
    fields.setdefault("image", encoded(noise(number)))
    return Record(id=f"{class_name}/{number}", class_name=class_name, **fields)


def dataset(source: str = "folder", settings: dict[str, Any] | None = None, **fields: Any) -> DatasetParams:
    settings = {"path": "nowhere"} if settings is None else settings
    content = {"datasets": {"d": {"source": source, source: settings, **fields}}}
    return Configuration(content).item("datasets", "d", DatasetParams)


def manifest(classes: dict[str, int], splits: dict[str, str] | None = None) -> pd.DataFrame:
    """A manifest with so many pictures per class; `splits` gives the source's split of some ids."""
    names = [name for name, count in classes.items() for _ in range(count)]
    ids = [f"{name}/{number}" for number, name in enumerate(names)]
    labels = {name: index for index, name in enumerate(sorted(classes))}
    return pd.DataFrame(
        {
            "id": ids,
            "row": range(len(ids)),
            "class_name": names,
            "label": [labels[name] for name in names],
            "group": None,
            "split": [(splits or {}).get(key) for key in ids],
            "labels": [[] for _ in ids],
            "captions": [[] for _ in ids],
            "box": None,
            "mask_row": -1,
            "attributes": "{}",
            "width": 48,
            "height": 40,
            "sha256": [f"content of {key}" for key in ids],
        }
    )


def write_cub(folder: Path, classes: int = 4, per_class: int = 5, captions: Path | None = None) -> None:
    """Write a twin of CUB-200-2011 in its official layout: the last picture of a class is for the test."""
    lines: dict[str, list[str]] = {
        name: [] for name in ("images", "classes", "image_class_labels", "train_test_split", "bounding_boxes")
    }
    for label in range(1, classes + 1):
        name = f"{label:03d}.Bird_{'AB'[label % 2]}"
        lines["classes"].append(f"{label} {name}")
        for number in range(per_class):
            key = len(lines["images"]) + 1
            place = f"{name}/Bird_{number:04d}_{key}"
            lines["images"].append(f"{key} {place}.jpg")
            lines["image_class_labels"].append(f"{key} {label}")
            lines["train_test_split"].append(f"{key} {int(number < per_class - 2)}")
            lines["bounding_boxes"].append(f"{key} 4.0 3.0 {46.0 if key == 1 else 20.0} 30.0")
            write_picture(folder / "images" / f"{place}.jpg", key)
            if captions:
                text = captions / "text_c10" / f"{place}.txt"
                text.parent.mkdir(parents=True, exist_ok=True)
                text.write_text("".join(f"this is sentence {n} of bird {key}.\n" for n in range(10)))
    for name, content in lines.items():
        (folder / f"{name}.txt").write_text("\n".join(content) + "\n")
