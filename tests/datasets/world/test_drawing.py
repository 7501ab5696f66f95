"""Geometry and canvas: curves, patches, and masks that lie exactly under what is drawn."""

import math

import numpy as np
import pytest
from PIL import Image

from fieldmark.datasets.world.bills import BILLS, mandibles
from fieldmark.datasets.world.canvas import Canvas
from fieldmark.datasets.world.geometry import Patch, arc, points, polar, rotate, smooth
from fieldmark.datasets.world.parts import LABEL, PARTS


def test_smooth_passes_through_its_control_points():
    control = points((0, 0), (1, 2), (3, 1), (4, 4), (6, 0))
    np.testing.assert_allclose(smooth(control, 20)[::5], control, atol=1e-12)


def test_smooth_through_a_straight_line_is_the_line():
    curve = smooth(points((0, 0), (1, 1), (2, 2)), 10)
    np.testing.assert_allclose(curve[:, 0], curve[:, 1], atol=1e-12)
    np.testing.assert_allclose(curve[:, 0], np.linspace(0, 2, 11), atol=1e-12)


def test_rotate_by_a_quarter_turn_about_a_point():
    np.testing.assert_allclose(rotate(points((2, 1)), 90, (1, 1)), [[1, 2]], atol=1e-12)


def test_arc_and_polar_keep_their_radius():
    ring = arc((1, 2), (3, 3), 0, 360)
    np.testing.assert_allclose(np.hypot(ring[:, 0] - 1, ring[:, 1] - 2), 3)
    assert math.dist((1, 2), polar((1, 2), 37, 3)) == pytest.approx(3)


def test_patch_of_a_square_is_the_plane():
    square = Patch.between(points((0, 0), (1, 0)), points((0, 1), (1, 1)))
    np.testing.assert_allclose(
        square.at(np.array((0, 0.3, 1)), np.array((-1, 0, 1))), [[0, 0], [0.3, 0.5], [1, 1]]
    )
    assert square.point(0.25, 1) == pytest.approx((0.25, 1))
    region = square.region((0.2, -1), (0.4, -1), (0.4, 1), (0.2, 1))
    assert region.min(axis=0) == pytest.approx((0.2, 0))
    assert region.max(axis=0) == pytest.approx((0.4, 1))


@pytest.mark.parametrize("shape", BILLS)
def test_bills_reach_as_far_as_their_length(shape):
    upper, lower = mandibles(shape, 2.0)
    assert upper.outline()[:, 0].max() == pytest.approx(2.0, rel=0.08)
    assert lower.outline()[:, 0].min() == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("mirrored", [False, True])
def test_mask_agrees_with_the_drawing_wherever_a_pixel_is_of_one_colour(mirrored):
    canvas = Canvas(Image.new("RGB", (40, 40)))
    canvas.place(0.47, 0.52, 0.4, mirrored)
    canvas.polygon(points((-0.8, -0.5), (0.9, -0.2), (0.3, 0.9)), (255, 255, 255), "wing")
    picture, labels, silhouette = canvas.finish()
    grey, mask = np.asarray(picture)[:, :, 0], np.asarray(labels)
    assert set(np.unique(mask)) == {0, LABEL["wing"]}
    assert (mask[grey == 255] == LABEL["wing"]).all()
    assert (mask[grey == 0] == 0).all()
    np.testing.assert_array_equal(np.asarray(silhouette), grey)


def test_mirror_and_turn_are_what_they_say():
    def drawn(mirrored: bool, turn: float) -> np.ndarray:
        canvas = Canvas(Image.new("RGB", (41, 41)))
        canvas.place(0.5, 0.5, 0.4, mirrored)
        canvas.turn = turn
        canvas.polygon(points((0.1, -0.2), (0.9, -0.2), (0.9, 0.2), (0.1, 0.2)), (255, 255, 255), "object")
        return np.argwhere(np.asarray(canvas.finish()[1])).mean(axis=0) - 20

    assert drawn(False, 0) == pytest.approx((0, 8.2), abs=0.5)
    assert drawn(True, 0) == pytest.approx((0, -8.2), abs=0.5)
    assert drawn(False, 90) == pytest.approx((-8.2, 0), abs=0.5)  # anticlockwise: upwards


def test_parts_begin_with_the_background():
    assert PARTS[0] == "background"
    assert len(set(PARTS)) == len(PARTS) < 255
