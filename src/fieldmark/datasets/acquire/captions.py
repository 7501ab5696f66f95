"""The captions of Reed et al. (CVPR 2016): ten sentences per photograph, for CUB-200-2011 and Flowers-102.

There is one text file per photograph with one sentence per line, in folders under `text_c10`. The archives lie on
a drive that may ask for consent; then they must be downloaded by hand. The terms are those of the photographs.
"""

import logging
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.archives import unpack
from fieldmark.datasets.acquire.download import download, download_folder
from fieldmark.datasets.acquire.listing import existing_folder
from fieldmark.datasets.acquire.official import Contents, Official, OfficialParams
from fieldmark.datasets.acquire.records import Record

DOWNLOAD = "download"  # the value of `captions` that asks for the download, where a folder could be named
FOLDER = "text_c10"
SENTENCES = 10  # per photograph
_DRIVE = "https://drive.usercontent.google.com/download?export=download&authuser=0&confirm=t"
ARCHIVES = {
    "cvpr2016_cub.tar.gz": f"{_DRIVE}&id=0B0ywwgffWnLLZW9uVHNjb2JmNlE&resourcekey=0-8y2UVmBHAlG26HafWYNoFQ",
    "cvpr2016_flowers.tar.gz": f"{_DRIVE}&id=0B0ywwgffWnLLcms2WWJQRFNSWXM&resourcekey=0-Av8zFbeDDvNcF1sSjDR32w",
}
log = logging.getLogger(__name__)


class CaptionedParams(OfficialParams):
    """`captions` is a folder that holds `text_c10` at any depth; "download" fetches it; None goes without."""

    captions: str | None = None


class Captioned(Official):
    """An official layout with the captions of `archive` beside it, in files of the pattern `texts`."""

    params: CaptionedParams
    boxes: ClassVar[bool]
    archive: ClassVar[str]
    texts: ClassVar[str]

    @property
    def promises(self) -> Mapping[str, bool]:
        """Captions when a folder of captions is named."""
        return {"captions": self.params.captions is not None, "boxes": self.boxes, "masks": False}

    def fetch(self, destination: Path) -> None:
        """Fetch the photographs as for any official layout, and the captions where they are to be downloaded."""
        asked = self.params.captions == DOWNLOAD
        captions = download_captions(self.archive, download_folder(destination)) if asked else None
        super().fetch(destination)  # replaces all that is in `destination`
        if captions is not None:
            unpack(captions, destination / "captions")

    @abstractmethod
    def _files(self, folder: Path) -> list[Path]:
        """Return the files of the photographs and their tables. Raises UserError when one is missing."""

    @abstractmethod
    def _records(self, folder: Path, captions: Path | None) -> list[Record]:
        """Return the records; `captions` is the folder text_c10, None for records without captions."""

    def _read(self, folder: Path, raw: Path) -> Contents:
        files = [] if self.params.path is None else self._files(folder) + self._caption_files(raw)
        return files, self._captioned(folder, raw)

    def _captioned(self, folder: Path, raw: Path) -> Iterator[Record]:
        captions = self._captions(raw)
        records = self._records(folder, captions)
        if captions is not None:
            warn_of_few_captions(records)
        yield from records

    def _captions(self, raw: Path) -> Path | None:
        setting, parameter = self.params.captions, f"{self.name}.captions"
        return None if setting is None else captions_folder(setting, raw / "captions", parameter)

    def _caption_files(self, raw: Path) -> list[Path]:
        """Return the files of captions in the user's folder; none where the captions are downloaded."""
        captions = None if self.params.captions == DOWNLOAD else self._captions(raw)
        return [] if captions is None else sorted(captions.glob(self.texts))


def download_captions(archive: str, downloads: Path) -> Path:
    """Download one of `ARCHIVES` into the folder `downloads`; return its path.

    No checksum is published: that of the first download is kept, and later downloads must have the same.
    """
    path = downloads / archive
    download(ARCHIVES[archive], path)
    return path


def captions_folder(setting: str, unpacked: Path, parameter: str) -> Path:
    """Return the folder text_c10: in the folder that `setting` names, or in `unpacked` after a download.

    It may lie at any depth. `parameter` is the name of the setting for messages. Raises UserError when there is none.
    """
    folder = unpacked if setting == DOWNLOAD else existing_folder(setting, parameter)
    folders = [folder] if folder.name == FOLDER else sorted(folder.rglob(FOLDER))
    if not folders:
        raise UserError(f"{parameter}: there is no folder {FOLDER} in {folder}")
    return folders[0]


def read_captions(path: Path) -> tuple[str, ...]:
    """Return the sentences of one photograph, one per line; none when there is no file.

    Some files hold bytes that are not UTF-8: these are dropped, with the blank that follows them. Raises UserError
    for a file in another encoding, which zero bytes show.
    """
    if not path.is_file():
        return ()
    data = path.read_bytes()
    if b"\x00" in data:
        raise UserError(f"{path} is no text in UTF-8; save it in UTF-8, or copy it again")
    text = data.decode("utf-8-sig", errors="replace").replace("\ufffd\ufffd", "").replace("\ufffd", "")
    return tuple(" ".join(line.split()) for line in text.splitlines() if line.strip())


def warn_of_few_captions(records: Sequence[Record]) -> None:
    """Log how many photographs have fewer captions than the published ten."""
    few = [record.id for record in records if len(record.captions) < SENTENCES]
    if few:
        log.warning("%d photographs have fewer than %d captions, first %s", len(few), SENTENCES, few[0])
