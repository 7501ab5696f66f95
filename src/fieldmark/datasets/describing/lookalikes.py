"""A sheet of pairs of pictures that are equal or look alike, and one of tiny and long pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from PIL import Image, ImageDraw, ImageFont, ImageOps

from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.datasets.describing.audit import Look
from fieldmark.datasets.describing.contact import CAPTION, FAINT, GAP, INK, PAPER
from fieldmark.results.figures import FigureFolder

TILE, COLUMNS, SHOWN = 96, 4, 24
LINE = 30  # letters below two tiles
Cell = tuple[Sequence[int], Sequence[str]]  # rows of the store, and lines of text


def draw_audit(
    store: ImageStore,
    manifest: pd.DataFrame,
    facts: Mapping[str, Any],
    looks: Sequence[Look],
    figures: FigureFolder,
) -> None:
    """Draw the pairs, those first that do most harm, and the pictures of odd size; nothing where there are none."""
    rows = manifest["row"].to_numpy()
    if looks:
        more = f", {SHOWN} of {len(looks)} pairs" if len(looks) > SHOWN else ""
        caption = f"Those of other classes first, then those with several roles{more}."
        path = figures.new("lookalikes.webp", "Equal and similar pictures", caption, wide=True)
        cells = [
            ([int(rows[look.first]), int(rows[look.second])], _told(look, manifest)) for look in looks[:SHOWN]
        ]
        sheet(store, cells).save(path, "WEBP", quality=60, method=6)
    places = pd.Series(range(len(manifest)), index=manifest["id"])
    odd: list[Cell] = []
    for kind in ("tiny", "elongated"):
        for place in places[facts["sizes"][kind]["ids"]]:
            one = manifest.iloc[place]
            odd.append(([int(one["row"])], [f"{kind}: {one['width']} x {one['height']}", str(one["id"])]))
    if odd:
        path = figures.new(
            "odd-sizes.webp", "Tiny and long pictures", "The most extreme originals.", wide=True
        )
        sheet(store, odd).save(path, "WEBP", quality=60, method=6)


def sheet(store: ImageStore, cells: Sequence[Cell]) -> Image.Image:
    """Return a sheet with the pictures of each cell side by side, and its lines below them."""
    lines = max(len(text) for _, text in cells)
    wide, high = 2 * TILE + 3 * GAP, TILE + GAP + lines * (CAPTION - 6) + 2 * GAP
    columns = min(COLUMNS, len(cells))
    result = Image.new("RGB", (columns * wide + GAP, -(-len(cells) // columns) * high + GAP), PAPER)
    draw = ImageDraw.Draw(result)
    for place, (rows, text) in enumerate(cells):
        left, top = GAP + place % columns * wide, GAP + place // columns * high
        for index, row in enumerate(rows):
            whole = ImageOps.pad(Image.fromarray(store[row]), (TILE, TILE), color=PAPER)
            result.paste(whole, (left + index * (TILE + GAP // 2), top))
        for number, line in enumerate(text):
            corner = (left, top + TILE + GAP // 2 + number * (CAPTION - 6))
            draw.text(corner, shortened(line), INK if not number else FAINT, ImageFont.load_default(12))
    return result


def shortened(text: str) -> str:
    """Return the text, or its end where it is longer than a line."""
    return text if len(text) <= LINE else f"…{text[1 - LINE :]}"


def _told(look: Look, manifest: pd.DataFrame) -> list[str]:
    what = ["equal" if look.equal else "alike"]
    what += ["two classes"] if look.conflict else []
    what += ["two roles"] if look.across else []
    pair = manifest.iloc[[look.first, look.second]]
    return [", ".join(what), *(str(name) for name in pair["id"])]
