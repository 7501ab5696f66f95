import io
import stat
import tarfile
import zipfile

import pytest

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.archives import unpack


def make_tar(path, names=(), members=(), mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 5
            tar.addfile(info, io.BytesIO(b"hello"))
        for member in members:
            tar.addfile(member)
    return path


def make_zip(path, names, mode=0):
    with zipfile.ZipFile(path, "w") as zipped:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            zipped.writestr(info, "hello")
    return path


def link(kind, name, target):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("name", ["a.tgz", "a.tar", "a.tar.xz", "a.zip"])
def test_unpacks_and_replaces_an_older_folder(tmp_path, name):
    names = ["top.txt", "birds/wren/1.txt"]
    modes = {"a.tgz": "w:gz", "a.tar": "w", "a.tar.xz": "w:xz"}
    archive = tmp_path / name
    make_zip(archive, names) if name == "a.zip" else make_tar(archive, names, mode=modes[name])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("from before")
    unpack(archive, tmp_path / "out")
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert found == ["birds/wren/1.txt", "top.txt"]
    assert (tmp_path / "out/birds/wren/1.txt").read_text() == "hello"


UNSAFE = ["/etc/evil", "../evil", "a/../../evil", "C:\\evil", "..\\evil", "\\evil"]


@pytest.mark.parametrize("name", UNSAFE)
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_paths_that_lead_outside_are_refused_and_nothing_is_unpacked(tmp_path, make, name):
    archive = make(tmp_path / "archive", ["fine.txt", name])
    with pytest.raises(UserError, match="unsafe path"):
        unpack(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


@pytest.mark.parametrize(
    "member",
    [
        link(tarfile.SYMTYPE, "link", "/etc/passwd"),
        link(tarfile.SYMTYPE, "link", "../outside"),
        link(tarfile.LNKTYPE, "link", "/etc/passwd"),
        link(tarfile.CHRTYPE, "device", ""),
        link(tarfile.FIFOTYPE, "pipe", ""),
    ],
)
def test_links_outside_and_devices_in_a_tar_are_refused(tmp_path, member):
    archive = make_tar(tmp_path / "archive", ["fine.txt"], [member])
    with pytest.raises(UserError):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_in_a_zip_are_refused(tmp_path):
    archive = make_zip(tmp_path / "archive", ["link"], stat.S_IFLNK | 0o777)
    with pytest.raises(UserError, match="holds a link"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("cut", [0, 10, 0.5, -30])
@pytest.mark.parametrize("name", ["a.tgz", "a.zip"])
def test_damaged_archives_are_one_line_errors(tmp_path, name, cut):
    archive = tmp_path / name
    names = [f"{number}.txt" for number in range(50)]
    make_zip(archive, names) if name == "a.zip" else make_tar(archive, names)
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * cut) if isinstance(cut, float) else cut])
    with pytest.raises(UserError, match="cannot be unpacked") as caught:
        unpack(archive, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_archive_that_is_no_archive(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"<html></html>")
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
