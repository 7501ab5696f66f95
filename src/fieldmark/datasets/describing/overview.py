"""A data set at a glance: its contact sheet, and how far one gets on it without a network."""

from PIL import Image

from fieldmark.datasets.describing.contact import contact_sheet, labelled_sheet
from fieldmark.datasets.describing.difficulty import measure_difficulty
from fieldmark.datasets.describing.labels import draw_label_overview
from fieldmark.datasets.describing.specimens import Specimen
from fieldmark.results.figures import FigureFolder

SHEET = "contact.webp"
SHOWN_CLASSES = 60
SHOWN_PICTURES = 32


def draw_overview(pictures: list[Specimen], figures: FigureFolder) -> dict[str, float]:
    """Draw the contact sheet; return the difficulty of the data set.

    Where pictures have several labels and no class, the overview is that of `labels.py`; where they have
    neither, it is a sheet of a few of them, and there is no difficulty to tell.
    """
    if not any(one.class_name for one in pictures):
        if any(one.labels for one in pictures):
            return draw_label_overview(pictures, figures)
        return _draw_plain_sheet(pictures, figures)
    difficulty = measure_difficulty(pictures)
    shown = set(list(dict.fromkeys(one.class_name for one in pictures))[:SHOWN_CLASSES])
    sheet: Image.Image = contact_sheet(one for one in pictures if one.class_name in shown)
    sheet.save(
        figures.new(SHEET, "Contact sheet", _caption(difficulty), wide=True), "WEBP", quality=60, method=6
    )
    return difficulty


def _draw_plain_sheet(pictures: list[Specimen], figures: FigureFolder) -> dict[str, float]:
    together = [one._replace(group="") for one in pictures]
    path = figures.new(SHEET, "Contact sheet", "Pictures at even steps; they have no class.", wide=True)
    labelled_sheet(together, SHOWN_PICTURES, columns=8, tile=96).save(path, "WEBP", quality=60, method=6)
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
