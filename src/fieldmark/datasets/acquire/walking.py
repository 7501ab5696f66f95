"""What lies in a user's folder: links are followed, and what operating systems leave behind is passed over."""

import os
import posixpath
import unicodedata
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

from fieldmark.base.errors import UserError

# Folders and files of thumbnails, twins and bins; so are all hidden ones.
LEFTOVERS = (
    *("@eadir", "__macosx", "#recycle", "$recycle.bin", "lost+found", "system volume information"),
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
)


def is_leftover(name: str) -> bool:
    """Say whether a file or folder of this name is hidden (`._x.jpg` of macOS), or made by an operating system."""
    return name.startswith(".") or name.lower() in LEFTOVERS


def walk(folder: Path) -> list[Path]:
    """Return the files in a folder, relative to it and sorted, those behind links to folders too.

    A link that leads nowhere counts as a file. Raises UserError for a loop of links and for a name that is not UTF-8.
    """
    return sorted(path.relative_to(folder) for path in _files(folder, (os.path.realpath(folder),)))


def inner_folders(folder: Path) -> list[str]:
    """Return the names of the folders that lie directly in a folder, sorted."""
    return sorted(entry.name for entry in _entries(folder) if _is_folder(entry))


def composed(text: str) -> str:
    """Return `text` in composed Unicode (NFC): macOS stores the names of files decomposed."""
    return unicodedata.normalize("NFC", text)


def is_file(path: Path) -> bool:
    """Say whether there is a file; a name that no disk could hold is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def require_utf8(name: str, where: str) -> None:
    """Raise UserError when `name`, found at `where`, is no text in UTF-8."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        shown = ascii(name)[:80]
        raise UserError(
            f"{where}: the name {shown} is not in UTF-8; rename it, or convert it with convmv"
        ) from None


class Places:
    """The files in the folder `base`, found by the paths that a list gives them."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def find(self, written: str) -> str:
        """Return the path, relative to `base`, of the file that a list writes as `written`.

        It may be written with backslashes, with the name of `base` before it, in another form of Unicode, or in other
        case where that fits one file; and a mirror may ship it one folder deeper, in a folder of the same name as the
        first one or as `base`. Where there is no such file, the path is returned as it is written, without "." and
        "..".
        """
        plain = posixpath.normpath(written)
        slashes = posixpath.normpath(written.replace("\\", "/"))
        for path in (path for path in (plain, slashes) if not _leads_out(path)):
            short = path
            while short.startswith(f"{self.base.name}/"):
                short = short.removeprefix(f"{self.base.name}/")
            for known in (path, short, f"{self.base.name}/{short}", _deeper(path)):
                if is_file(self.base / known):
                    return known
                likely = self._alike.get(composed(known).casefold(), [])
                for found in ([one for one in likely if composed(one) == composed(known)], likely):
                    if len(found) == 1:
                        return found[0]
        return plain

    @cached_property
    def _alike(self) -> dict[str, list[str]]:
        """The paths on disk by their composed form without case."""
        alike: dict[str, list[str]] = {}
        for path in walk(self.base):
            alike.setdefault(composed(path.as_posix()).casefold(), []).append(path.as_posix())
        return alike


def _deeper(path: str) -> str:
    """Return the path with its first folder twice, as archives unpacked into a folder of their own name have it."""
    first, slash, rest = path.partition("/")
    return f"{first}/{first}/{rest}" if slash else path


def _leads_out(path: str) -> bool:
    return PurePosixPath(path).is_absolute() or path.startswith("..")


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if not is_leftover(entry.name):
                require_utf8(entry.name, os.fsencode(folder).decode("utf-8", "backslashreplace"))
                yield entry


def _files(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files in `folder`; `above` are the real paths of the folders that lead to it."""
    for entry in _entries(folder):
        path = Path(entry.path)
        if not _is_folder(entry):
            yield path
            continue
        real = os.path.realpath(path)
        if real in above:
            raise UserError(
                f"{path} is a link to a folder that it lies in, a loop without end; remove the link"
            )
        yield from _files(path, (*above, real))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
