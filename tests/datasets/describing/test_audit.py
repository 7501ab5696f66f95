"""Planted copies, conflicts, odd sizes and classes are found and counted, and the worst pairs come first."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fieldmark.datasets.data.packed.store import ImageStore, StoreWriter
from fieldmark.datasets.describing import audit as auditing
from fieldmark.datasets.describing.audit import audit
from fieldmark.datasets.describing.lookalikes import draw_audit, shortened
from fieldmark.results.figures import FigureFolder, read_figures


def smooth(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC))


# id, seed of the picture, lighter by, class, role
ROWS = [
    ("a0", 0, 0, "a", "train"),
    ("a1", 1, 0, "a", "train"),
    ("a2", 1, 6, "a", "test"),  # alike a1, in another role
    ("b0", 0, 0, "b", "test"),  # equal a0, in another role and of another class
    ("b1", 2, 0, "b", "train"),
    ("b2", 2, 0, "b", "train"),  # equal b1
    ("c0", 3, 0, "c", "test"),
]


def data(folder: Path, encoding: str = "raw") -> tuple[ImageStore, pd.DataFrame]:
    with StoreWriter(folder, encoding) as writer:
        for _, seed, light, _, _ in ROWS:
            writer.add((smooth(seed).astype(int) + light).clip(0, 255).astype(np.uint8))
    manifest = pd.DataFrame(
        {
            "id": [row[0] for row in ROWS],
            "row": range(len(ROWS)),
            "class_name": [row[3] for row in ROWS],
            "split": [row[4] for row in ROWS],
            "labels": [None] * len(ROWS),
            "sha256": [f"{seed}+{light}" for _, seed, light, _, _ in ROWS],
            "width": [64, 64, 64, 400, 64, 64, 20],
            "height": [64, 64, 64, 100, 64, 64, 30],
        }
    )
    return ImageStore.open(folder), manifest


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_finds_what_was_planted(tmp_path: Path, encoding: str) -> None:
    store, manifest = data(tmp_path, encoding)
    split = manifest[["id"]].assign(role=manifest["split"]).drop(index=3)  # b0 was left out
    facts, looks = audit(store, manifest, {"mine": split})
    assert facts["equal"] == {"pairs": 2, "pictures": 4, "conflicts": 2, "across": {"the source": 2}}
    assert facts["alike"] == {
        "pairs": 1,
        "pictures": 2,
        "conflicts": 0,
        "across": {"mine": 2, "the source": 2},
    }
    named = [(ROWS[look.first][0], ROWS[look.second][0], look.equal, look.conflict) for look in looks]
    assert named == [("a0", "b0", True, True), ("a1", "a2", False, False), ("b1", "b2", True, False)]
    assert looks[1].across == ("mine", "the source")


def test_sizes_and_classes(tmp_path: Path) -> None:
    facts, _ = audit(*data(tmp_path), {})
    assert facts["sizes"] == {
        "shorter_side": [20, 64, 100],
        "longer_side": [30, 64, 400],
        "aspect": 4.0,
        "tiny": {"pictures": 1, "ids": ["c0"]},
        "elongated": {"pictures": 1, "ids": ["b0"]},
    }
    assert facts["classes"] == {"least": ["c", 1], "most": ["a", 3], "single": 1}


def test_of_several_labels_other_labels_are_a_conflict(tmp_path: Path) -> None:
    store, manifest = data(tmp_path)
    labels = [["x", "y"], [], [], ["y", "x"], ["x"], ["x", "y"], []]
    facts, _ = audit(store, manifest.assign(class_name=None, labels=labels, split=None), {})
    assert facts["equal"] == {"pairs": 2, "pictures": 4, "conflicts": 2, "across": {}}
    assert facts["classes"] == {"least": ["y", 3], "most": ["x", 4], "single": 0}


def test_without_classes_nothing_is_said_of_them(tmp_path: Path) -> None:
    store, manifest = data(tmp_path)
    bare = manifest.assign(class_name=None, split=None, labels=[[]] * len(ROWS))
    facts, _ = audit(store, bare, {})
    assert facts["classes"] is None
    assert facts["equal"]["conflicts"] == 0


def test_of_too_many_some_are_compared_and_copies_are_found_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "COMPARED", 3)
    facts, looks = audit(*data(tmp_path), {})
    assert facts["compared"] == 3
    assert facts["equal"]["pictures"] == 4
    assert [look for look in looks if not look.equal] == []


def test_draws_the_pairs_and_the_odd_sizes(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "figures").mkdir()
    store, manifest = data(tmp_path / "data")
    figures = FigureFolder(tmp_path / "figures")
    draw_audit(store, manifest, *audit(store, manifest, {}), figures)
    figures.write_index()
    drawn = read_figures(tmp_path / "figures")
    assert [figure.entry.file for figure in drawn] == ["lookalikes.webp", "odd-sizes.webp"]
    with Image.open(tmp_path / "figures/lookalikes.webp") as sheet:
        assert len(sheet.convert("RGB").getcolors(1_000_000)) > 1000  # photographs, not paper alone


def test_draws_nothing_where_nothing_is_odd(tmp_path: Path) -> None:
    store, manifest = data(tmp_path)
    clean = manifest.iloc[[0, 1]].reset_index(drop=True)
    figures = FigureFolder(tmp_path)
    draw_audit(store, clean, *audit(store, clean, {}), figures)
    figures.write_index()
    assert read_figures(tmp_path) == []


def test_a_long_id_shows_its_end() -> None:
    assert shortened("short.jpg") == "short.jpg"
    assert shortened("x" * 40 + "/bird.jpg").endswith("x/bird.jpg")
    assert len(shortened("x" * 40)) == 30
