"""Pictures as the network sees them."""

from pathlib import Path

import numpy as np
from support.tiny import SIDE, make_task

from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.protocols.seen import seen_picture


def test_a_picture_of_the_networks_size_is_the_stored_one(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    assert np.array_equal(seen_picture(task, ImageParams(side=SIDE), 5), task.store[5])


def test_the_centre_is_cropped_as_in_evaluation(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    seen = seen_picture(task, ImageParams(side=SIDE // 2, resize=SIDE), 3)
    edge = SIDE // 4
    assert seen.dtype == np.uint8
    assert np.array_equal(seen, task.store[3][edge:-edge, edge:-edge])
