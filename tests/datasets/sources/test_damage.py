"""Every source with systematically damaged files: the right result or one line, never a traceback or a silent loss."""

import math
from pathlib import Path

import pytest
from support.damage import damages
from support.pictures import dataset
from support.sources import fetched
from support.twins import TWINS

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.source import SOURCES
from fieldmark.datasets.preparing.prepare import prepare

LONGEST = 1200  # characters of a message
NOTHING = ", 0 left out"  # of the line that says what was used


def test_every_source_that_reads_foreign_files_is_here():
    assert {name.split()[0] for name in TWINS} | {"world"} == {
        path.stem for path in SOURCES.glob("[a-z]*.py")
    }


@pytest.mark.parametrize("name", TWINS)
def test_damaged_files_give_the_right_result_or_one_line(tmp_path, caplog, name):
    caplog.set_level("INFO")
    folder = tmp_path / "data"
    params = dataset(name.split()[0], TWINS[name](folder))
    expected, told = read(params, tmp_path), set(caplog.messages)
    wrong = []
    for path in damaged_files(folder):
        whole = path.read_bytes()
        for what, data in damages(path):
            path.unlink(missing_ok=True)
            if data is not None:
                path.write_bytes(data)
            caplog.clear()
            verdict = judge(params, tmp_path, expected, lambda: set(caplog.messages) - told, path)
            if verdict:
                wrong.append(f"{path.relative_to(folder)}, {what}: {verdict}")
        path.write_bytes(whole)
    assert not wrong, "\n".join([f"{len(wrong)} kinds of damage", *wrong[:40]])


def damaged_files(folder: Path) -> list[Path]:
    """All tables and annotations, of which there is one in a folder of many; one picture and one mask."""
    found: dict[tuple[Path, str], Path] = {}
    for path in sorted(folder.rglob("*.*")):
        captions = "text_c10" in path.parts
        many = captions or path.suffix in (".jpg", ".JPG", ".png", ".xml")
        place = path.parents[1] if captions else path.parent if many else path
        if path.is_file():
            found.setdefault((place, path.suffix), path)
    pictures = [path for path in found.values() if path.suffix.lower() == ".jpg"]
    return [path for path in found.values() if path not in pictures[1:]]


def read(params, tmp_path, known=None):
    """Return the records; they are prepared, too, unless they are `known` to go well."""
    source = params.open_source()
    records = fetched(source, tmp_path / "raw" / "d")
    if records != known:
        prepare(records, tmp_path / "out", params, left_out=source.left_out())
    return records


def judge(params, tmp_path, expected, said, path):
    """Return what is wrong with the outcome of damage to the file `path`; nothing where it is right."""
    pixels = path.suffix.lower() in (".jpg", ".png")
    try:
        records = read(params, tmp_path, None if pixels else expected)
    except UserError as error:
        return "many lines" if "\n" in str(error) or len(str(error)) > LONGEST else ""
    except Exception as error:  # whatever it is, a user would see a traceback
        return f"{type(error).__name__}: {error}"[:200]
    lost = sum(map(content, expected)) - sum(map(content, records))
    silent = all(message.endswith(NOTHING) for message in said())
    if len(records) < len(expected) or lost > 0:
        return "a silent loss" if silent else ""
    odd = [box for box in (record.box for record in records) if box and not all(map(math.isfinite, box))]
    return f"a box of {odd[0]}" if odd else ""


def content(record):
    """How much a record says: a value that is absent or blank says nothing."""
    texts = (record.class_name, record.group, record.split, *record.captions, *record.labels)
    return (
        sum(bool(text and text.strip()) for text in texts)
        + (record.box is not None)
        + (record.mask is not None)
    )
