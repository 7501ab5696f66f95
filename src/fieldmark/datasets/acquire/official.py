"""What the sources of published data sets have in common: they are downloaded, or read where the user has them."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from fieldmark.base.blocks import Block
from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder
from fieldmark.datasets.acquire.download import download_folder
from fieldmark.datasets.acquire.listing import (
    beside,
    check_listing,
    existing_folder,
    official_layout,
    write_listing,
)
from fieldmark.datasets.acquire.published import LongTailed, fetch_lists
from fieldmark.datasets.acquire.records import LeftOut, Record

Contents = tuple[Sequence[Path], Iterable[Record]]


class OfficialParams(Block):
    """`path` is a folder in the official layout; with None the data set is downloaded, where that is allowed."""

    path: str | None = None


class Official(ABC):
    """A data set in the official layout, that of its makers.

    `title` is its name for people, `name` is its block in `params.yaml`. The files and folders `needed` must lie
    in the folder of the layout: a given folder, or the folder `inner` in it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    inner: ClassVar[str]
    needed: ClassVar[tuple[str, ...]]

    def __init__(self, params: OfficialParams) -> None:
        self.params = params
        self._left_out: list[LeftOut] = []

    def fetch(self, destination: Path) -> None:
        """Download and unpack, or check the named folder and record its listing."""
        if self.params.path is None:
            self._download(download_folder(destination), destination)
            return
        folder = self._folder(destination)
        files, _ = self._read(folder, destination)
        write_listing(folder, files, destination)

    def records(self, raw: Path) -> Iterator[Record]:
        """Yield the photographs in the order of the official lists."""
        folder = self._folder(raw)
        files, records = self._read(folder, raw)
        if self.params.path is not None:
            check_listing(folder, files, raw)
        found = list(records)
        pictures = [path for one in found for path in (one.image, one.mask) if isinstance(path, Path)]
        tops = sorted({folder / path.relative_to(folder).parts[0] for path in pictures})
        classes = [record.class_name for record in found]
        self._left_out = beside(filter(Path.is_dir, tops), pictures) + bare_classes(
            self._classes(folder), classes
        )
        return iter(found)

    def left_out(self) -> Sequence[LeftOut]:
        """Return the files beside the pictures of `records`, and the classes that have none; call `records` first."""
        return self._left_out

    def _classes(self, folder: Path) -> Iterable[str]:
        """Return the classes that the official lists declare, where they do."""
        return ()

    @abstractmethod
    def _download(self, downloads: Path, destination: Path) -> None:
        """Download archives into the folder `downloads` and unpack them as `destination`."""

    @abstractmethod
    def _read(self, folder: Path, raw: Path) -> Contents:
        """Return the files that the records are made of, in a fixed order, and the records.

        Raises UserError for what is missing or damaged. The records may be made lazily: `fetch` needs the files
        only and does not ask for them.
        """

    def _folder(self, raw: Path) -> Path:
        path = self.params.path
        return self._layout(raw if path is None else existing_folder(path, f"{self.name}.path"))

    def _layout(self, outer: Path) -> Path:
        """Return the folder of the layout in `outer`. Raises UserError when there is none."""
        return official_layout(outer, self.inner, self.needed, self.title)


class ByHand(Official):
    """A data set that must be downloaded by hand: `advice` says what to get and which folder to name."""

    advice: ClassVar[str]

    def _download(self, downloads: Path, destination: Path) -> None:
        self._folder(destination)  # refuses

    def _folder(self, raw: Path) -> Path:
        if self.params.path is None:
            raise UserError(f"{self.name}.path: {self.advice}")
        return super()._folder(raw)


class LongTailableParams(OfficialParams):
    """`lists` reduces the data set to its long-tailed lists: `published` downloads them, or a folder holds them."""

    lists: str | None = None


class LongTailable(ABC):
    """A data set with several labels per picture: all of it, or the part that its long-tailed lists name."""

    name: ClassVar[str]
    longtailed: ClassVar[LongTailed]

    def __init__(self, params: LongTailableParams) -> None:
        self.params = params
        self._left_out: list[LeftOut] = []

    def fetch(self, destination: Path) -> None:
        """Download and unpack, or check the named folder and record its listing; fetch the lists."""
        p = self.params
        with atomic_folder(destination) as folder:
            if p.lists is not None:
                fetch_lists(self.longtailed, p.lists, destination, folder, f"{self.name}.lists")
            if p.path is None:
                self._download(download_folder(destination), folder)
            records = self._read(folder)
            if p.path is not None:
                write_listing(*self._listed(folder, records), folder / "listing")

    def records(self, raw: Path) -> Iterator[Record]:
        """Yield the photographs, in the order of the official sets or of the lists."""
        records = self._read(raw)
        if self.params.path is not None:
            check_listing(*self._listed(raw, records), raw / "listing")
        pictures = [record.image for record in records if isinstance(record.image, Path)]
        labels = {label for record in records for label in record.labels}
        self._left_out = [
            *beside(sorted({path.parent for path in pictures}), pictures),
            *self._annotations_left_out(),
            *bare_classes(self._classes(raw), labels),
        ]
        return iter(records)

    def left_out(self) -> Sequence[LeftOut]:
        """Return what is beside the pictures and labels of `records`; call `records` first."""
        return self._left_out

    def _annotations_left_out(self) -> Sequence[LeftOut]:
        """Return the annotations that gave no label, and the captions that gave no sentence."""
        return ()

    @abstractmethod
    def _classes(self, raw: Path) -> Iterable[str]:
        """Return the kinds of objects that the data set declares."""

    @abstractmethod
    def _download(self, downloads: Path, folder: Path) -> None:
        """Download what is needed into the folder `downloads` and unpack it in `folder`, where the lists lie."""

    @abstractmethod
    def _read(self, raw: Path) -> list[Record]:
        """Return the records. Raises UserError for what is missing or damaged."""

    @abstractmethod
    def _listed(self, raw: Path, records: list[Record]) -> tuple[Path, Sequence[Path]]:
        """Return the folder of the layout and the files in it that the records are made of."""


def bare_classes(declared: Iterable[str], here: Collection[str | None]) -> list[LeftOut]:
    """Return the declared classes that no picture has; `here` are those of the pictures."""
    found = {*here}
    return [LeftOut(name, "no picture has it", name, kind="class") for name in declared if name not in found]
