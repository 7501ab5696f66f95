"""A contact sheet: every group with its classes and a few photographs of each, to see how hard a data set is.

Pictures with several labels are shown by group, with their labels below them.
"""

import textwrap
from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

from fieldmark.datasets.describing.specimens import Specimen

PAPER, INK, FAINT = (250, 249, 245), (34, 36, 40), (120, 122, 126)
GAP, CAPTION, HEADING = 6, 22, 40


def contact_sheet(
    pictures: Iterable[Specimen],
    photographs: int = 3,
    columns: int = 5,
    tile: int = 96,
    groups: int | None = None,
) -> Image.Image:
    """Return a sheet with one section per group: its classes side by side, `photographs` of each.

    A row shows at most `columns` classes. Pictures are `tile` pixels wide. `groups` limits how many groups are shown.
    """
    sections = _sections(pictures, photographs)
    chosen = list(sections)[: groups or len(sections)]
    columns = min(columns, max((len(sections[group]) for group in chosen), default=1))
    block = photographs * tile + GAP * 3
    rows = {group: -(-len(sections[group]) // columns) for group in chosen}
    height = sum(HEADING + rows[group] * (tile + CAPTION + GAP) for group in chosen) + 2 * GAP
    sheet = Image.new("RGB", (columns * block + 2 * GAP, height), PAPER)
    y = GAP
    for group in chosen:
        y = _section(sheet, group, sections[group], (columns, block, tile), y)
    return sheet


def labelled_sheet(
    pictures: Iterable[Specimen], photographs: int = 10, columns: int = 5, tile: int = 144
) -> Image.Image:
    """Return a sheet of `photographs` pictures per group, evenly spaced, each with its labels underneath."""
    groups: dict[str, list[Specimen]] = {}
    for specimen in pictures:
        groups.setdefault(specimen.group, []).append(specimen)
    cell = tile + 3 * CAPTION
    rows = {name: -(-min(photographs, len(members)) // columns) for name, members in groups.items()}
    height = sum(HEADING + count * cell for count in rows.values()) + 2 * GAP
    sheet = Image.new("RGB", (columns * (tile + GAP) + 3 * GAP, height), PAPER)
    draw, y = ImageDraw.Draw(sheet), GAP
    for name, members in groups.items():
        draw.text((2 * GAP, y + 8), name, INK, ImageFont.load_default(20))
        count = min(photographs, len(members))
        for index in range(count):
            specimen = members[index * len(members) // count]
            corner = (2 * GAP + index % columns * (tile + GAP), y + HEADING + index // columns * cell)
            _strip(sheet, [specimen.picture], corner, tile)
            text = "\n".join(textwrap.wrap(", ".join(specimen.labels), tile // 6)[:3])
            draw.text((corner[0], corner[1] + tile + 3), text, FAINT, ImageFont.load_default(12))
        y += HEADING + rows[name] * cell
    return sheet


def _sections(pictures: Iterable[Specimen], photographs: int) -> dict[str, dict[str, list[Image.Image]]]:
    """Collect the first photographs of every class by group, both in order of appearance."""
    sections: dict[str, dict[str, list[Image.Image]]] = {}
    for picture, name, group, _ in pictures:
        shown = sections.setdefault(group, {}).setdefault(name, [])
        if len(shown) < photographs:
            shown.append(picture)
    return sections


def _section(
    sheet: Image.Image,
    group: str,
    classes: dict[str, list[Image.Image]],
    layout: tuple[int, int, int],
    y: int,
) -> int:
    """Draw one group below `y` and return where the next may start."""
    columns, block, tile = layout
    draw = ImageDraw.Draw(sheet)
    draw.text((2 * GAP, y + 8), group, INK, ImageFont.load_default(20))
    y += HEADING
    for index, (name, pictures) in enumerate(classes.items()):
        left = GAP + index % columns * block + GAP
        top = y + index // columns * (tile + CAPTION + GAP)
        _strip(sheet, pictures, (left, top), tile)
        draw.text((left, top + tile + 3), name, FAINT, ImageFont.load_default(13))
    return y + -(-len(classes) // columns) * (tile + CAPTION + GAP)


def _strip(sheet: Image.Image, pictures: Sequence[Image.Image], corner: tuple[int, int], tile: int) -> None:
    for index, picture in enumerate(pictures):
        small = ImageOps.fit(picture, (tile, tile), Image.Resampling.LANCZOS)
        sheet.paste(small, (corner[0] + index * tile, corner[1]))
