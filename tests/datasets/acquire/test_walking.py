"""Walking through a user's folder: links, leftovers of operating systems, names."""

import os
import unicodedata

import pytest
from support.sources import refused

from fieldmark.datasets.acquire.walking import Places, is_leftover, walk


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def found(folder):
    return [path.as_posix() for path in walk(folder)]


def test_links_to_folders_and_files_are_followed_and_dead_links_are_files(tmp_path):
    touch(tmp_path / "all/wren/1.jpg")
    folder = tmp_path / "subset"
    folder.mkdir()
    (folder / "wren").symlink_to(tmp_path / "all/wren")
    (folder / "gone").symlink_to(tmp_path / "all/owl")
    (folder / "self").symlink_to(folder / "self")
    (folder / "2.jpg").symlink_to(tmp_path / "all/wren/1.jpg")
    assert found(folder) == ["2.jpg", "gone", "self", "wren/1.jpg"]


def test_two_links_to_one_folder_are_two_folders(tmp_path):
    touch(tmp_path / "all/1.jpg")
    for name in ("a", "b"):
        (tmp_path / "subset").mkdir(exist_ok=True)
        (tmp_path / "subset" / name).symlink_to(tmp_path / "all")
    assert found(tmp_path / "subset") == ["a/1.jpg", "b/1.jpg"]


@pytest.mark.parametrize("target", ["", "wren", "wren/inner"])
def test_a_loop_of_links_is_refused_by_name(tmp_path, target):
    (tmp_path / "photos/wren/inner").mkdir(parents=True)
    (tmp_path / "photos/wren/inner/again").symlink_to(tmp_path / "photos" / target)
    with refused("wren/inner/again is a link to a folder that it lies in"):
        walk(tmp_path / "photos")


def test_what_operating_systems_leave_is_passed_over(tmp_path):
    for place in ("@eaDir/a.jpg", "wren/@eaDir/1.jpg/SYNOPHOTO.jpg", "__MACOSX/wren/._1.jpg", "wren/._1.jpg",
                  "wren/Thumbs.db", "Desktop.ini", ".thumbnails/x.png", "wren/1.jpg"):  # fmt: skip
        touch(tmp_path / place)
    assert found(tmp_path) == ["wren/1.jpg"]
    assert not is_leftover("eaDir")


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / os.fsdecode(b"w\xe9ren")).mkdir()
    with refused(r"the name 'w\\udce9ren' is not in UTF-8; rename it"):
        walk(tmp_path)


COMPOSED = "Bussard mit \u00e4.jpg"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


@pytest.mark.parametrize(
    ("written", "on_disk"),
    [
        ("wren/1.jpg", "wren/1.jpg"),
        ("./wren/../wren/1.jpg", "wren/1.jpg"),
        ("wren\\1.jpg", "wren/1.jpg"),
        ("photos/wren/1.jpg", "wren/1.jpg"),
        ("photos\\wren\\1.jpg", "wren/1.jpg"),
        ("photos/photos/wren/1.jpg", "wren/1.jpg"),
        ("Wren/1.JPG", "wren/1.jpg"),
        ("owl/B.JPG", "owl/B.JPG"),
        ("owl/b.jpg", "owl/b.jpg"),
        ("owl/B.jpg", "owl/B.jpg"),  # two files fit: neither is taken
        (COMPOSED, DECOMPOSED),
        (DECOMPOSED, DECOMPOSED),
    ],
)
def test_a_path_is_found_however_it_is_written(tmp_path, written, on_disk):
    touch(tmp_path / "photos/wren/1.jpg")
    touch(tmp_path / "photos/owl/b.jpg")
    touch(tmp_path / "photos/owl/B.JPG")
    touch(tmp_path / "photos" / DECOMPOSED)
    assert Places(tmp_path / "photos").find(written) == on_disk


@pytest.mark.parametrize("written", ["../secret.jpg", "..\\secret.jpg", "/etc/hostname", "wren/2.jpg", ""])
def test_a_path_that_leads_out_or_nowhere_stays_as_it_is(tmp_path, written):
    touch(tmp_path / "photos/wren/1.jpg")
    touch(tmp_path / "secret.jpg")
    assert Places(tmp_path / "photos").find(written) == (written or ".")
