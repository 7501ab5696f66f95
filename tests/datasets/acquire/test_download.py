import errno
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire import download as module
from fieldmark.datasets.acquire.download import download

BODY = bytes(range(256)) * 4000  # about 1 MB
KEPT = 5 * module.CHUNK_BYTES
SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `body`; drops the connection after `drops.pop()` bytes as long as there are drops."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.etag, self.date = BODY, '"one"', "Wed, 21 Oct 2015 07:28:00 GMT"
        self.ranges, self.status, self.shift = True, 200, 0
        self.drops: list[int] = []
        self.statuses: list[int] = []  # answered once each, before `status`
        self.requests: list[tuple[str, int]] = []  # Range header and bytes sent
        self.url = f"http://127.0.0.1:{self.server_port}/data.bin"

    def handle_error(self, *_):
        """A client that is stopped in the middle is what the tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        status = self.server.statuses.pop(0) if self.server.statuses else self.server.status
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        current = self.headers.get("If-Range") in (None, self.server.etag, self.server.date)
        if not (asked and self.server.ranges and current):
            start = 0
        elif status == 200:
            status = 206 if start < len(self.server.body) else 416
        self.send_response(status)
        if status == 206:
            start += self.server.shift
            self.send_header(
                "Content-Range", f"bytes {start}-{len(self.server.body) - 1}/{len(self.server.body)}"
            )
        if status == 416:
            self.send_header("Content-Range", f"bytes */{len(self.server.body)}")
        body = self.server.body[start:] if status in (200, 206) else b"<html>no</html>"
        self.send_header("Content-Length", str(len(body)))
        for name, value in (("ETag", self.server.etag), ("Last-Modified", self.server.date)):
            if value:
                self.send_header(name, value)
        sent = body[: self.server.drops.pop()] if self.server.drops else body
        self.server.requests.append((asked or "", len(sent)))
        self.end_headers()
        self.wfile.write(sent)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.001)
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "downloads" / "data.bin"


def interrupted(server, path):
    """Leave what a killed download leaves: the first `KEPT` bytes."""
    server.drops = [KEPT]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            download(server.url, path)
    assert part(path).stat().st_size == KEPT
    server.requests.clear()


def interrupt(_):
    raise KeyboardInterrupt


def part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def names(path):
    return sorted(item.name for item in path.parent.iterdir())


def test_downloads_verifies_and_leaves_only_the_file(server, path):
    download(server.url, path, sha256=SHA256, md5=MD5, size=len(BODY))
    assert path.read_bytes() == BODY
    assert names(path) == ["data.bin"]


def test_a_file_that_is_there_and_right_is_not_downloaded_again(server, path):
    download(server.url, path, sha256=SHA256)
    download(server.url, path, sha256=SHA256)
    assert len(server.requests) == 1


def test_a_file_that_is_there_and_wrong_is_downloaded_again(server, path):
    path.parent.mkdir()
    path.write_bytes(b"something else")
    download(server.url, path, sha256=SHA256)
    assert path.read_bytes() == BODY


def test_dropped_connections_are_resumed_where_they_ended(server, path):
    server.drops = [2 * module.CHUNK_BYTES, 0, KEPT]
    download(server.url, path, sha256=SHA256)
    assert path.read_bytes() == BODY
    assert server.requests == [
        ("", KEPT),
        (f"bytes={KEPT}-", 0),
        (f"bytes={KEPT}-", 2 * module.CHUNK_BYTES),
        (f"bytes={KEPT + 2 * module.CHUNK_BYTES}-", len(BODY) - KEPT - 2 * module.CHUNK_BYTES),
    ]


def test_a_killed_download_goes_on_in_the_next_run(server, path):
    interrupted(server, path)
    download(server.url, path)
    assert path.read_bytes() == BODY
    assert server.requests == [(f"bytes={KEPT}-", len(BODY) - KEPT)]


def test_a_complete_part_is_taken_as_it_is(server, path):
    interrupted(server, path)
    part(path).write_bytes(BODY)
    download(server.url, path, sha256=SHA256)
    assert path.read_bytes() == BODY


def test_a_part_longer_than_the_remote_file_is_begun_anew(server, path):
    interrupted(server, path)
    part(path).write_bytes(BODY + b"more")
    download(server.url, path, sha256=SHA256)
    assert path.read_bytes() == BODY


def test_a_server_that_ignores_ranges_is_read_from_the_start(server, path):
    interrupted(server, path)
    server.ranges = False
    download(server.url, path, sha256=SHA256)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("validator", ["etag", "date"])
def test_a_remote_file_that_changed_meanwhile_is_read_from_the_start(server, path, validator):
    if validator == "date":
        server.etag = ""
    interrupted(server, path)
    server.body = BODY[::-1]
    server.etag, server.date = ('"two"' if validator == "etag" else ""), "Thu, 22 Oct 2015 07:28:00 GMT"
    download(server.url, path)
    assert path.read_bytes() == BODY[::-1]


def test_without_validator_and_checksum_nothing_is_glued_together(server, path):
    server.etag = server.date = ""
    interrupted(server, path)
    server.body = BODY[::-1]
    download(server.url, path)
    assert path.read_bytes() == BODY[::-1]


def test_another_range_than_asked_for_is_not_glued(server, path):
    interrupted(server, path)
    server.shift = 10
    download(server.url, path, sha256=SHA256)
    assert path.read_bytes() == BODY
    assert [asked for asked, _ in server.requests] == [f"bytes={KEPT}-", ""]


def test_a_body_shorter_than_announced_is_not_taken_for_whole(server, path, monkeypatch):
    chunks = [iter([BODY[:KEPT]]), iter([BODY[KEPT:]])]
    monkeypatch.setattr("requests.Response.iter_content", lambda *_: chunks.pop(0))
    download(server.url, path)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"sha256": "0" * 64}, f"SHA-256 is {SHA256}, it should be {'0' * 64}"),
        ({"md5": "0" * 32}, f"MD5 is {MD5}, it should be {'0' * 32}"),
        ({"size": 5}, f"{len(BODY)} bytes came, 5 were expected"),
    ],
)
def test_a_wrong_file_is_refused_naming_both_sums_and_deleted(server, path, expected, message):
    with pytest.raises(UserError, match=message):
        download(server.url, path, **expected)
    assert names(path) == []


def test_without_checksum_the_first_download_is_trusted_and_later_ones_held_to_it(server, path):
    download(server.url, path)
    assert (path.parent / "data.bin.sha256").read_text() == f"{SHA256}  data.bin\n"
    path.unlink()
    server.body = BODY[::-1]
    with pytest.raises(UserError, match=f"it should be {SHA256}"):
        download(server.url, path)
    server.body = BODY
    download(server.url, path)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_one_line_and_is_not_repeated(server, path, status):
    server.status = status
    with pytest.raises(UserError, match=f"the server answers {status}") as caught:
        download(server.url, path)
    assert "\n" not in str(caught.value)
    assert len(server.requests) == 1


def test_passing_trouble_of_the_server_is_waited_for(server, path):
    server.statuses = [503, 429, 500]
    download(server.url, path, sha256=SHA256)
    assert path.read_bytes() == BODY


def test_lasting_trouble_is_given_up_with_one_line(server, path):
    server.status = 503
    with pytest.raises(UserError, match=r"answers 503 .*run again to go on after 0 bytes"):
        download(server.url, path)
    assert len(server.requests) == module.ATTEMPTS


def test_an_unreachable_server_is_one_line(server, path):
    url = server.url.replace(str(server.server_port), "1")
    with pytest.raises(UserError, match="cannot download") as caught:
        download(url, path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="cannot download"):
        download("no-such-scheme://x", path)


@pytest.mark.parametrize("name", ["birds.tgz", "birds.zip", "birds.tar.gz"])
def test_a_quota_page_in_place_of_an_archive_is_recognised(server, path, name):
    server.body = b"<!DOCTYPE html><html>Too many users have viewed this file</html>"
    with pytest.raises(UserError, match=f"sent a web page .* instead of {name}; download .* in a browser"):
        download(server.url, path.with_name(name))
    assert names(path) == []


def test_a_full_disk_leaves_no_finished_file_and_the_next_run_goes_on(server, path, monkeypatch):
    class FullDisk:
        def update(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            pass

    with monkeypatch.context() as patch:
        patch.setattr(module, "progress", lambda **_: FullDisk())
        with pytest.raises(OSError, match="No space"):
            download(server.url, path, sha256=SHA256)
    assert not path.exists()
    download(server.url, path, sha256=SHA256)
    assert path.read_bytes() == BODY
    assert server.requests[-1][0].startswith("bytes=")
