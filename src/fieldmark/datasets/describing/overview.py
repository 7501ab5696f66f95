"""A data set at a glance: its contact sheet, and how far one gets on it without a network."""

from pathlib import Path

from PIL import Image

from fieldmark.datasets.describing.contact import contact_sheet, labelled_sheet
from fieldmark.datasets.describing.difficulty import measure_difficulty
from fieldmark.datasets.describing.labels import write_label_overview
from fieldmark.datasets.describing.specimens import Specimen
from fieldmark.results.schema import FigureEntry, write_figures_index

SHEET = "contact.webp"
SHOWN_CLASSES = 60
SHOWN_PICTURES = 32


def write_overview(pictures: list[Specimen], folder: Path) -> dict[str, float]:
    """Write the contact sheet and its index into `folder`; return the difficulty of the data set.

    Where pictures have several labels and no class, the overview is that of `labels.py`; where they have
    neither, it is a sheet of a few of them, and there is no difficulty to tell.
    """
    if not any(one.class_name for one in pictures):
        if any(one.labels for one in pictures):
            return write_label_overview(pictures, folder)
        return _write_plain_sheet(pictures, folder)
    difficulty = measure_difficulty(pictures)
    shown = set(list(dict.fromkeys(one.class_name for one in pictures))[:SHOWN_CLASSES])
    sheet: Image.Image = contact_sheet(one for one in pictures if one.class_name in shown)
    sheet.save(folder / SHEET, "WEBP", quality=60, method=6)
    write_figures_index(
        folder, [FigureEntry(file=SHEET, title="Contact sheet", caption=_caption(difficulty), wide=True)]
    )
    return difficulty


def _write_plain_sheet(pictures: list[Specimen], folder: Path) -> dict[str, float]:
    together = [one._replace(group="") for one in pictures]
    labelled_sheet(together, SHOWN_PICTURES, columns=8, tile=96).save(
        folder / SHEET, "WEBP", quality=60, method=6
    )
    caption = "Pictures at even steps; they have no class."
    write_figures_index(folder, [FigureEntry(file=SHEET, title="Contact sheet", caption=caption, wide=True)])
    return {}


def _caption(found: dict[str, float]) -> str:
    def percent(name: str) -> str:
        return f"{100 * found[name]:.1f} %"

    text = (
        f"Nearest neighbours find the right class for {percent('pixels_class')} of the pictures by raw pixels and for "
        f"{percent('colours_class')} by colour histogram (chance: {percent('chance_class')})"
    )
    if found["chance_group"] < 1.0:
        text += (
            f"; the right group for {percent('pixels_group')} and {percent('colours_group')} "
            f"(chance: {percent('chance_group')})"
        )
    return text + "."
