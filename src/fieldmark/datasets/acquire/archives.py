"""Unpacking of downloaded archives: nothing lands outside its folder, nothing is half-unpacked."""

import lzma
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder
from fieldmark.base.progress import progress

_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)


def unpack(archive: Path, destination: Path) -> None:
    """Unpack a tar (plain, gz, bz2, xz) or zip into the folder `destination`.

    The folder appears whole or not at all. Raises UserError for absolute paths, '..', links that lead
    outside, links in a zip, devices, and encrypted or damaged archives.
    """
    try:
        with atomic_folder(destination) as folder:
            if zipfile.is_zipfile(archive):
                _unpack_zip(archive, folder)
            else:
                _unpack_tar(archive, folder)
    except _DAMAGED as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{archive} cannot be unpacked ({reason}); delete it and run again") from None


def _unpack_tar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in progress(tar, desc=f"unpack {archive.name}", unit="file"):
            _refuse_outside(archive, member.name)
            tar.extract(member, folder, filter="data")


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as zipped:
        for member in progress(zipped.infolist(), desc=f"unpack {archive.name}", unit="file"):
            _refuse_outside(archive, member.filename)
            if stat.S_ISLNK(member.external_attr >> 16):
                raise UserError(f"{archive} holds a link, '{member.filename}'; it is not unpacked")
            zipped.extract(member, folder)


def _refuse_outside(archive: Path, name: str) -> None:
    windows, posix = PureWindowsPath(name), PurePosixPath(name)
    if posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts:
        raise UserError(f"{archive} holds the unsafe path '{name}'; it is not unpacked")
