"""NLTK's averaged perceptron tagger; its model is read from a folder of NLTK data, or downloaded into one."""

import json
import logging
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from nltk.downloader import Downloader
from nltk.tag.perceptron import PerceptronTagger

from fieldmark.base.errors import UserError
from fieldmark.base.files import sha256_file, write_json
from fieldmark.language.tagging import Tagged

PACKAGE = "averaged_perceptron_tagger_eng"
FOLDER = Path("taggers") / PACKAGE
FILES = tuple(f"{PACKAGE}.{part}.json" for part in ("weights", "tagdict", "classes"))
RECORD = f"{PACKAGE}.sha256.json"  # checksums of the files that the verified download unpacked
log = logging.getLogger(__name__)


class NltkTagger:
    """The tagger that nltk.pos_tag uses; `data` is a folder of NLTK data, which has a folder taggers/."""

    def __init__(self, data: Path) -> None:
        self._tagger = PerceptronTagger(load=False)
        self._tagger.decode_json_params(_read_model(data))

    def tag(self, words: Sequence[str]) -> Tagged:
        """Return each of `words` with its Penn Treebank tag, in order."""
        return [(word, tag) for word, tag in self._tagger.tag(list(words))]


def require_tagger(data: Path) -> None:
    """Download the model into the NLTK data folder `data`, unless it is there as it was downloaded.

    NLTK's downloader compares the archive with the checksum in NLTK's index. The checksums of the unpacked files are
    recorded, so that later runs notice a change without the network. Raises UserError when the download fails.
    """
    if _is_as_recorded(data):
        return
    data.mkdir(parents=True, exist_ok=True)
    remedy = f"or unpack {PACKAGE}.zip into a folder of NLTK data under taggers/ and name it as nltk_data"
    downloader = Downloader(download_dir=str(data.resolve()))
    try:
        silent = StringIO()  # swallows what it would print, which is in the error as well
        downloader.download(PACKAGE, quiet=True, force=True, raise_on_error=True, print_error_to=silent)
        installed = downloader.is_installed(PACKAGE)
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:150]
        raise UserError(f"cannot download NLTK's {PACKAGE} ({reason}); run again, {remedy}") from None
    if not installed:
        raise UserError(f"NLTK's {PACKAGE} came damaged; run again, {remedy}")
    _read_model(data)
    write_json(data / RECORD, _checksums(data))
    log.info("NLTK's %s lies verified in %s", PACKAGE, data)


def _is_as_recorded(data: Path) -> bool:
    record = data / RECORD
    if not (record.is_file() and all((data / FOLDER / name).is_file() for name in FILES)):
        return False
    return bool(json.loads(record.read_text(encoding="utf-8")) == _checksums(data))


def _checksums(data: Path) -> dict[str, str]:
    return {name: sha256_file(data / FOLDER / name) for name in FILES}


def _read_model(data: Path) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """Return weights by feature and tag, tags of unambiguous words, and all tags."""
    weights, tagdict, classes = (_read_json(data / FOLDER / name) for name in FILES)
    if not (
        isinstance(weights, dict) and isinstance(tagdict, dict) and isinstance(classes, list) and weights
    ):
        raise UserError(f"{data / FOLDER} holds no tagger model in NLTK's JSON form; fetch {PACKAGE} anew")
    return weights, tagdict, classes


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise UserError(
            f"nltk_data: {path} does not exist; name a folder of NLTK data with {FOLDER}, or null"
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path} is damaged; delete it and fetch {PACKAGE} anew") from None
