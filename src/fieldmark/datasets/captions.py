"""The captions of Reed et al. (CVPR 2016): ten sentences a photograph, for CUB-200-2011 and Flowers-102.

One text file a photograph, a sentence a line, in folders under `text_c10`. Their archives lie on a drive that
may ask for consent; then they are downloaded by hand. The terms are those of the photographs.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from fieldmark.datasets.download import download
from fieldmark.datasets.listing import existing_folder
from fieldmark.datasets.records import Record
from fieldmark.errors import UserError

DOWNLOAD = "download"  # in place of a folder's path
FOLDER = "text_c10"
SENTENCES = 10  # per photograph
_DRIVE = "https://drive.usercontent.google.com/download?export=download&authuser=0&confirm=t"
ARCHIVES = {
    "cvpr2016_cub.tar.gz": f"{_DRIVE}&id=0B0ywwgffWnLLZW9uVHNjb2JmNlE&resourcekey=0-8y2UVmBHAlG26HafWYNoFQ",
    "cvpr2016_flowers.tar.gz": f"{_DRIVE}&id=0B0ywwgffWnLLcms2WWJQRFNSWXM&resourcekey=0-Av8zFbeDDvNcF1sSjDR32w",
}
log = logging.getLogger(__name__)


def download_captions(archive: str, downloads: Path) -> Path:
    """Download one of `ARCHIVES` into the folder `downloads`; return its path.

    No checksum is published: that of the first download is kept and holds from then on.
    """
    path = downloads / archive
    download(ARCHIVES[archive], path)
    return path


def captions_folder(setting: str, unpacked: Path, parameter: str) -> Path:
    """Return the folder text_c10 that the parameter's value names at any depth, or that lies in `unpacked`.

    Raises UserError when there is none.
    """
    folder = unpacked if setting == DOWNLOAD else existing_folder(setting, parameter)
    found = [folder] if folder.name == FOLDER else sorted(folder.rglob(FOLDER))
    if not found:
        raise UserError(f"{parameter}: there is no folder {FOLDER} in {folder}")
    return found[0]


def read_captions(path: Path) -> tuple[str, ...]:
    """Return the sentences of one photograph, one per line; none when there is no file.

    Some files hold bytes that are no UTF-8: these are dropped, with the blank that follows them.
    """
    if not path.is_file():
        return ()
    text = (
        path.read_bytes().decode("utf-8", errors="replace").replace("\ufffd\ufffd", "").replace("\ufffd", "")
    )
    return tuple(" ".join(line.split()) for line in text.splitlines() if line.strip())


def warn_of_few_captions(records: Sequence[Record]) -> None:
    """Log how many photographs have fewer captions than the published ten."""
    few = [record.id for record in records if len(record.captions) < SENTENCES]
    if few:
        log.warning("%d photographs have fewer than %d captions, first %s", len(few), SENTENCES, few[0])
