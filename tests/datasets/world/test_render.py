"""Photographs: the same bytes always, masks and boxes that fit."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from fieldmark.datasets.world.base import make_kinds
from fieldmark.datasets.world.parts import LABEL, PARTS
from fieldmark.datasets.world.render import CHUNK, render, render_all

# One photograph of every class of a small world. They change when anything that draws changes: look at the
# contact sheet, and if the change is meant, write down the new ones.
GOLDEN_PIXELS = "2927f1960be92747"
GOLDEN_FILES = "f6bd6a8e787bfdf6"


@pytest.fixture(scope="module")
def shots():
    found = []
    for part in ("species", "base"):
        kinds = make_kinds(part, 0, 40, 20)
        found += [(kind, render(kind, f"0/{part}/{i}/0", 64, 2)) for i, kind in enumerate(kinds)]
    return found


def pixels(encoded: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(encoded)))


def test_golden(shots):
    drawn, files = hashlib.sha256(), hashlib.sha256()
    for _, shot in shots:
        drawn.update(pixels(shot.image).tobytes() + pixels(shot.mask).tobytes())
        files.update(shot.image + shot.mask + "\n".join(shot.captions).encode())
    assert (drawn.hexdigest()[:16], files.hexdigest()[:16]) == (GOLDEN_PIXELS, GOLDEN_FILES)


def test_pictures_and_masks_have_the_size_asked_for(shots):
    for _, shot in shots:
        picture, mask = Image.open(io.BytesIO(shot.image)), Image.open(io.BytesIO(shot.mask))
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (64, 64))
        assert (mask.format, mask.mode, mask.size) == ("PNG", "L", (64, 64))


def test_box_is_the_extent_of_the_labelled_subject(shots):
    for _, shot in shots:
        mask = pixels(shot.mask)
        places = [
            (x, y)
            for y in range(64)
            for x in range(64)
            if PARTS[mask[y, x]] not in ("background", "occluder")
        ]
        xs, ys = [x for x, _ in places], [y for _, y in places]
        assert shot.box == (min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1)


def test_birds_have_parts_and_things_are_objects(shots):
    seen = dict.fromkeys(PARTS, 0)
    birds = 0
    for kind, shot in shots:
        found = {PARTS[label] for label in np.unique(pixels(shot.mask))}
        if "bill_shape" in kind.attributes:
            birds += 1
            assert "object" not in found
            assert len(found) >= 6
            for name in found:
                seen[name] += 1
        else:
            assert found <= {"background", "object", "occluder"}
    assert seen.pop("object") == 0
    assert 0 < seen.pop("occluder") < birds / 2
    assert all(count > 0.7 * birds for count in seen.values()), seen


def test_subject_fills_a_sensible_share_of_the_picture(shots):
    extents = [max(shot.box[2:]) / 64 for _, shot in shots]
    assert min(extents) > 0.2
    assert 0.5 < np.mean(extents) < 0.85


def test_pictures_use_the_tonal_range(shots):
    means = [pixels(shot.image).mean() for _, shot in shots]
    assert 60 < np.mean(means) < 190
    assert np.std(means) > 20  # light varies
    assert min(pixels(shot.image).std() for _, shot in shots) > 8


def test_number_of_processes_changes_nothing():
    kinds = make_kinds("species", 0, 2, 1)
    alone, together = (list(render_all(kinds, "0/species", CHUNK // 2 + 2, 32, 2, n)) for n in (1, 2))
    assert alone == together
    assert [(c, p) for c, p, _ in alone] == [(c, p) for c in range(2) for p in range(CHUNK // 2 + 2)]


def test_more_photographs_change_no_earlier_ones():
    kinds = make_kinds("species", 0, 2, 1)
    few = [s for _, _, s in render_all(kinds, "0/species", 2, 32, 2, 1)]
    many = [s for c, p, s in render_all(kinds, "0/species", 3, 32, 2, 1) if p < 2]
    assert few == many


def test_seed_class_and_number_each_change_the_picture():
    kinds = make_kinds("species", 0, 2, 2)
    keys = ("0/species/0/0", "1/species/0/0", "0/base/0/0", "0/species/1/0", "0/species/0/1")
    assert len({render(kinds[0], key, 32, 1).image for key in keys}) == len(keys)


@pytest.mark.parametrize("side", [32, 50, 129])
def test_any_side_renders(side):
    for kind in make_kinds("base", 1, 4, 4):
        shot = render(kind, "1/base/0/0", side, 1)
        assert pixels(shot.mask).shape == (side, side)
        assert (pixels(shot.mask) != LABEL["background"]).any()
