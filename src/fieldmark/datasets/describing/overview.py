"""An overview of a data set: its contact sheet, and how well nearest neighbours do without a network."""

from PIL import Image

from fieldmark.datasets.describing.contact import contact_sheet, labelled_sheet
from fieldmark.datasets.describing.difficulty import measure_difficulty
from fieldmark.datasets.describing.specimens import Specimen
from fieldmark.results.figures import FigureFolder

SHEET = "contact.webp"
SHOWN_CLASSES = 60
SHOWN_PICTURES = 32


def draw_overview(pictures: list[Specimen], figures: FigureFolder) -> dict[str, float]:
    """Draw the contact sheet; return the difficulty of the data set.

    Where pictures have several labels and no class, the overview is that of `labels.py`. Where they have neither,
    it is a sheet of some of them, and the difficulty is empty.
    """
    if not any(specimen.class_name for specimen in pictures):
        if any(specimen.labels for specimen in pictures):
            # It measures with torch, which takes seconds to import.
            from fieldmark.datasets.describing.labels import draw_label_overview

            return draw_label_overview(pictures, figures)
        return _draw_plain_sheet(pictures, figures)
    difficulty = measure_difficulty(pictures)
    shown = set(list(dict.fromkeys(specimen.class_name for specimen in pictures))[:SHOWN_CLASSES])
    sheet: Image.Image = contact_sheet(specimen for specimen in pictures if specimen.class_name in shown)
    sheet.save(
        figures.new(SHEET, "Contact sheet", _caption(difficulty), wide=True), "WEBP", quality=60, method=6
    )
    return difficulty


def _draw_plain_sheet(pictures: list[Specimen], figures: FigureFolder) -> dict[str, float]:
    together = [specimen._replace(group="") for specimen in pictures]
    path = figures.new(SHEET, "Contact sheet", "Pictures at even steps; they have no class.", wide=True)
    labelled_sheet(together, SHOWN_PICTURES, columns=8, tile=96).save(path, "WEBP", quality=60, method=6)
    return {}


def _caption(difficulty: dict[str, float]) -> str:
    def percent(name: str) -> str:
        return f"{100 * difficulty[name]:.1f} %"

    text = (
        f"Nearest neighbours find the right class for {percent('pixels_class')} of the pictures by raw pixels and for "
        f"{percent('colours_class')} by colour histogram (chance: {percent('chance_class')})"
    )
    if difficulty["chance_group"] < 1.0:
        text += (
            f"; the right group for {percent('pixels_group')} and {percent('colours_group')} "
            f"(chance: {percent('chance_group')})"
        )
    return text + "."
