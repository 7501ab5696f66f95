"""The figures of a section of the report: a folder of pictures, and the list that says what each shows."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from fieldmark.base.errors import UserError
from fieldmark.base.files import write_json
from fieldmark.results.files import read_json, validated

INDEX = "figures.json"


class FigureEntry(BaseModel):
    """One line of a `figures.json`: a picture file beside it, and what it shows."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    file: str = Field(pattern=r"^[^/\\]+\.(svg|png|jpg|webp)$")
    title: str
    caption: str = ""
    wide: bool = False


@dataclass(frozen=True)
class FigureFile:
    """A figure to embed: its entry and its bytes."""

    entry: FigureEntry
    content: bytes


class FigureFolder:
    """Where figures are drawn; each is entered with its title and caption where it is drawn.

    The report shows them in the order in which they were entered. `remark` is added to every caption.
    """

    def __init__(self, folder: Path, remark: str = "") -> None:
        self.folder, self.remark = folder, remark
        self._entries: list[FigureEntry] = []

    def new(self, file: str, title: str, caption: str = "", *, wide: bool = False) -> Path:
        """Enter a figure and return the path to draw it to. One that is not drawn after all is left out."""
        said = f"{caption} {self.remark}".strip()
        self._entries.append(FigureEntry(file=file, title=title, caption=said, wide=wide))
        return self.folder / file

    def write_index(self) -> None:
        """Write the list of the figures that were drawn."""
        drawn = [entry.model_dump() for entry in self._entries if (self.folder / entry.file).exists()]
        write_json(self.folder / INDEX, drawn)


def read_figures(folder: Path) -> list[FigureFile]:
    """Read the figures that `folder/figures.json` lists, in its order; none without that file."""
    index = folder / INDEX
    if not index.exists():
        return []
    listed = read_json(index)
    if not isinstance(listed, list):
        raise UserError(f"{index} must hold a list of figures; run the stage that writes it again")
    figures = []
    for position, item in enumerate(listed):
        entry = validated(FigureEntry, item, str(index), f"{position}.")
        path = folder / entry.file
        if not path.is_file():
            raise UserError(f"{index}: {position}.file names {entry.file}, which does not exist beside it")
        figures.append(FigureFile(entry, path.read_bytes()))
    return figures
