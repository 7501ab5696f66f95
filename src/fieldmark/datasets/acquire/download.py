"""Downloads that can be interrupted, resumed and trusted, and archives unpacked without surprises."""

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests

from fieldmark.base.errors import UserError
from fieldmark.base.files import sha256_file, write_text
from fieldmark.base.progress import progress

CHUNK_BYTES = 1 << 16  # as many bytes are lost at most when a connection drops
TIMEOUT_SECONDS = 30.0
ATTEMPTS = 6  # this many attempts in a row without a single new byte end the download
FIRST_PAUSE_SECONDS = 1.0  # between two attempts; doubles after each attempt without a new byte
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
# The first bytes of archives. A page about quota or consent that is sent instead begins with other bytes.
MAGIC = {".tgz": b"\x1f\x8b", ".gz": b"\x1f\x8b", ".zip": b"PK", ".bz2": b"BZh", ".xz": b"\xfd7zXZ"}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Expected:
    """What is known of a file before it is downloaded; a missing value is not checked."""

    sha256: str | None = None
    md5: str | None = None
    size: int | None = None


class _DroppedError(Exception):
    """The connection ended early or the server asks to come back; worth another attempt."""


def download_folder(destination: Path) -> Path:
    """Return the folder for archives beside the data folder `destination`.

    It lies outside, because DVC empties a stage's outputs before it runs the stage again: there a partial
    download would never be resumed and a complete one would be fetched anew.
    """
    return destination.parent / ".downloads"


def download(
    url: str, path: Path, sha256: str | None = None, md5: str | None = None, size: int | None = None
) -> None:
    """Download `url` to `path`, going on where an interrupted download stopped.

    Does nothing when `path` already holds what is expected. Without a checksum the SHA-256 of the first
    download is trusted and kept in `<path>.sha256`. Raises UserError when the server refuses, serves a web
    page instead of an archive, or the size or checksum is wrong (the file is then deleted).
    """
    expected = Expected(sha256 or (None if md5 else _trusted(path)), md5, size)
    if path.exists():
        try:
            _verify(path, url, expected)
        except UserError as error:
            log.warning("downloading again: %s", error)
        else:
            _trust(path, expected)
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    _fetch_persistently(url, part, may_resume=bool(expected.sha256 or expected.md5))
    _verify_or_delete(part, path, url, expected)
    part.replace(path)
    _validator_path(part).unlink(missing_ok=True)
    _trust(path, expected)


def _fetch_persistently(url: str, part: Path, may_resume: bool) -> None:
    """Fetch until the file is complete; give up after `ATTEMPTS` attempts that brought nothing new."""
    failures = 0
    while True:
        before = _size(part)
        try:
            _fetch(url, part, may_resume)
            return
        except (_DroppedError, requests.ConnectionError, requests.Timeout) as error:
            failures = 1 if _size(part) > before else failures + 1
            if failures >= ATTEMPTS:
                raise UserError(
                    f"cannot download {url}: {_reason(error)}; run again to go on after {_size(part)} bytes, "
                    "or download it by hand and name its folder in params.yaml"
                ) from None
            time.sleep(FIRST_PAUSE_SECONDS * 2 ** (failures - 1))
        except requests.RequestException as error:
            raise UserError(f"cannot download {url}: {_reason(error)}") from None


def _fetch(url: str, part: Path, may_resume: bool) -> None:
    """One attempt. Raises _DroppedError when fewer bytes came than announced."""
    headers = _resume_headers(part, may_resume)
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
        if _is_complete(response, part):
            return
        _check_status(response, url, part)
        start = _start(response, part)
        total = _total(response, start)
        _remember_validator(response.headers, part)
        with part.open("r+b" if start else "wb") as stream:
            stream.seek(start)
            stream.truncate()
            bar = progress(total=total, initial=start, desc=f"download {part.stem}", unit="B")
            try:
                for chunk in response.iter_content(CHUNK_BYTES):
                    stream.write(chunk)
                    bar.update(len(chunk))
            except requests.exceptions.ChunkedEncodingError as error:
                raise _DroppedError(_reason(error)) from None
            finally:
                bar.close()
    if total is not None and _size(part) < total:
        raise _DroppedError(f"the connection ended after {_size(part)} of {total} bytes")


def _resume_headers(part: Path, may_resume: bool) -> dict[str, str]:
    """Return the headers of a request: for the rest of the file where a part is here already.

    The rest is asked for only when the server can tell whether its file is still the same (by the validator), or
    when a checksum will tell afterwards.
    """
    headers = {"Accept-Encoding": "identity"}
    validator = _validator_path(part).read_text() if _validator_path(part).exists() else ""
    if _size(part) and (validator or may_resume):
        headers["Range"] = f"bytes={_size(part)}-"
        if validator:
            headers["If-Range"] = validator
    return headers


def _is_complete(response: requests.Response, part: Path) -> bool:
    """Say whether the server refuses the range because nothing is left to send."""
    return response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{_size(part)}"


def _check_status(response: requests.Response, url: str, part: Path) -> None:
    if response.status_code == 416:  # the part is longer than the remote file
        part.unlink(missing_ok=True)
        raise _DroppedError("the partial file did not fit the remote one; starting over")
    if response.status_code in TRANSIENT:
        raise _DroppedError(f"the server answers {response.status_code} {response.reason}")
    if response.status_code not in (200, 206):
        raise UserError(f"cannot download {url}: the server answers {response.status_code} {response.reason}")


def _start(response: requests.Response, part: Path) -> int:
    """Return the offset at which the body begins: 0 when the server sends the whole file."""
    if response.status_code == 200:
        return 0
    span = response.headers.get("Content-Range", "")
    if not span.startswith(f"bytes {_size(part)}-"):
        part.unlink(missing_ok=True)
        raise _DroppedError(
            f"the server sent another range than asked for ({span or 'unnamed'}); starting over"
        )
    return _size(part)


def _total(response: requests.Response, start: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdigit() else None


def _remember_validator(headers: Mapping[str, str], part: Path) -> None:
    """Keep the validator, which tells later whether the remote file is still the same: a strong ETag, else its date."""
    etag = headers.get("ETag", "")
    validator = etag if etag.startswith('"') else headers.get("Last-Modified", "")
    write_text(_validator_path(part), validator)


def _verify_or_delete(part: Path, path: Path, url: str, expected: Expected) -> None:
    try:
        _refuse_web_page(part, path, url)
        _verify(part, url, expected)
    except UserError:
        part.unlink()
        _validator_path(part).unlink(missing_ok=True)
        raise


def _verify(path: Path, url: str, expected: Expected) -> None:
    size = _size(path)
    if expected.size is not None and size != expected.size:
        raise UserError(f"{url}: {size} bytes came, {expected.size} were expected")
    if expected.sha256 is not None and (actual := sha256_file(path)) != expected.sha256:
        raise UserError(f"{url}: the SHA-256 is {actual}, it should be {expected.sha256}")
    if expected.md5 is not None and (actual := _md5_file(path)) != expected.md5:
        raise UserError(f"{url}: the MD5 is {actual}, it should be {expected.md5}")


def _refuse_web_page(part: Path, path: Path, url: str) -> None:
    magic = MAGIC.get(path.suffix)
    with part.open("rb") as stream:
        head = stream.read(512)
    if magic and not head.startswith(magic):
        page = b"<html" in head.lower() or head.lstrip().lower().startswith(b"<!doctype")
        what = "a web page (a quota or consent page?)" if page else "no such archive"
        raise UserError(
            f"{urlsplit(url).netloc} sent {what} instead of {path.name}; "
            f"download {url} in a browser and put it at {path}"
        )


def _trusted(path: Path) -> str | None:
    record = path.with_name(path.name + ".sha256")
    return record.read_text().split()[0] if record.exists() else None


def _trust(path: Path, expected: Expected) -> None:
    """Record the SHA-256 on first use, where no checksum was given."""
    record = path.with_name(path.name + ".sha256")
    if not (expected.sha256 or expected.md5 or record.exists()):
        write_text(record, f"{sha256_file(path)}  {path.name}\n")


def _validator_path(part: Path) -> Path:
    return part.with_name(part.name + ".validator")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _md5_file(path: Path) -> str:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
