"""The contact sheet shows every class, and the specimens it is made of are spread over the data set."""

from pathlib import Path

import pandas as pd
from PIL import Image
from support.tiny import make_task

from fieldmark.datasets.describing.contact import contact_sheet
from fieldmark.datasets.describing.specimens import Specimen, specimens


def birds() -> list[Specimen]:
    return [
        Specimen(Image.new("RGB", (50, 40), (20 * c, 10 * p, 90)), f"class {c}", f"genus {c // 2}")
        for c in range(4)
        for p in range(3)
    ]


def test_has_a_place_for_every_class() -> None:
    sheet = contact_sheet(birds(), photographs=2, columns=2, tile=40)
    shorter = contact_sheet(birds(), photographs=2, columns=2, tile=40, groups=1)
    assert sheet.width == shorter.width > 2 * 2 * 40
    assert shorter.height < sheet.height
    colours = {colour for _, colour in sheet.getcolors(100_000)}
    shown = {(20 * c, 10 * p, 90) for c in range(4) for p in range(2)}
    assert shown <= colours
    assert not {(20 * c, 20, 90) for c in range(4)} & colours


def test_of_nothing_is_blank() -> None:
    assert len(contact_sheet([]).getcolors()) == 1


def test_specimens_are_spread_and_name_what_is_absent(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    manifest = task.split.assign(group=None)
    every = list(specimens(task.store, manifest))
    few = list(specimens(task.store, manifest, 6))
    assert len(every) == 36
    assert [one.class_name for one in few] == [f"class {c}" for c in (0, 1, 2, 3, 4, 5)]
    assert every[0].group == ""
    assert every[0].picture.size == (32, 32)
    assert list(specimens(task.store, pd.DataFrame(columns=manifest.columns))) == []
