"""A copy of the repository: the files as they lie there, its own parameters, and what was made in it stays."""

import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest
from dvc.repo import Repo

from fieldmark.base.errors import UserError
from fieldmark.running.copies import update_copy

FILES = {
    "src/a.py": "a",
    "src/room/b.py": "b",
    "dvc.yaml": "stages: {}",
    "dvc.lock": "of the repository",
    "params.yaml": "of the repository",
    "reports/results/irt.json": "of the repository",
    ".dvc/config": "[core]\n    autostage = true\n",
    ".gitignore": "/data/\n/.copies/\n*.pyc\n.dvc/tmp\n.dvc/config.local\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for arguments in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    return tmp_path


def test_it_holds_the_working_tree_without_what_runs_make(root: Path) -> None:
    (root / "src/a.py").write_text("edited")
    (root / "src/new.py").write_text("new")
    (root / "src/new.pyc").write_text("ignored")
    (root / "notes.txt").write_text("unknown to Git, and no code")
    (root / "data").mkdir()
    (root / "data/raw").write_text("of the repository")
    folder = update_copy(root, "demo", "of the copy")
    assert folder == root / ".copies/demo"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found - {".copied", ".dvc/config.local"} == {
        *("src/a.py", "src/room/b.py", "src/new.py", "dvc.yaml", "params.yaml", ".dvc/config", ".gitignore")
    }
    assert (folder / "src/a.py").read_text() == "edited"
    assert (folder / "params.yaml").read_text() == "of the copy"
    assert (root / "params.yaml").read_text() == "of the repository"


def test_a_second_time_brings_what_changed_and_leaves_what_was_made(root: Path) -> None:
    folder = update_copy(root, "demo", "first")
    for made in ("dvc.lock", "reports/results/irt.json", "data/raw"):
        (folder / made).parent.mkdir(parents=True, exist_ok=True)
        (folder / made).write_text("made in the copy")
    untouched = (folder / "dvc.yaml").stat().st_mtime_ns
    (root / "src/a.py").write_text("A")
    (root / "src/room/b.py").unlink()
    update_copy(root, "demo", "second")
    assert (folder / "src/a.py").read_text() == "A"
    assert not (folder / "src/room/b.py").exists()  # a folder of code is what DVC depends on
    assert (folder / "params.yaml").read_text() == "second"
    for made in ("dvc.lock", "reports/results/irt.json", "data/raw"):
        assert (folder / made).read_text() == "made in the copy"
    assert (folder / "dvc.yaml").stat().st_mtime_ns == untouched


def test_it_is_a_project_of_its_own_that_shares_the_cache(root: Path) -> None:
    folder = update_copy(root, "demo", "")
    with Repo(str(folder)) as repo:
        assert Path(repo.root_dir) == folder
        assert Path(repo.cache.local.path).is_relative_to(root / ".dvc/cache")
    config = ConfigParser()
    config.read(folder / ".dvc/config.local")
    assert config["core"]["no_scm"] == "true"


def test_a_cache_in_another_place_is_shared_too(root: Path) -> None:
    (root / ".dvc/config.local").write_text(f"[cache]\n    dir = {root / 'elsewhere'}\n")
    with Repo(str(update_copy(root, "demo", ""))) as repo:
        assert Path(repo.cache.local.path).is_relative_to(root / "elsewhere")


def test_copies_have_names(root: Path) -> None:
    assert update_copy(root, "a", "1") != update_copy(root, "b", "2")
    assert (root / ".copies/a/params.yaml").read_text() == "1"


def test_without_git_it_says_so_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UserError, match=r"no copy can be made here: .*not a git repository") as caught:
        update_copy(tmp_path, "demo", "")
    assert "\n" not in str(caught.value)
