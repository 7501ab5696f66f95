"""Files of a revision: what Git has, never what lies in the folder; whatever is no revision is refused in one line."""

import shutil

import pytest
from reporting.repository import commit

from fieldmark.base.errors import UserError
from fieldmark.reporting import revisions
from fieldmark.reporting.revisions import Commit, WorkingTree


@pytest.fixture
def repository(tmp_path):
    """A repository with a project in a folder below its root, changed since the commit."""
    project = tmp_path / "project"
    for file, text in (("reports/a b.json", "old"), ("reports/deep/b.json", "b"), ("params.yaml", "é: 1")):
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        (project / file).write_text(text, encoding="utf-8")
    commit(tmp_path)
    (project / "reports/a b.json").write_text("new")
    (project / "reports/c.json").write_text("not in Git")
    return project


def test_a_commit_has_the_files_of_its_time(repository):
    main = Commit.named(repository, "main")
    assert main.files("reports") == ["reports/a b.json", "reports/deep/b.json"]
    assert main.files("reports/none") == []
    assert main.read("reports/a b.json") == b"old"
    assert main.read("params.yaml").decode() == "é: 1"
    assert main.where("params.yaml") == "main:params.yaml"


def test_the_working_tree_has_the_files_of_the_folder(repository):
    tree = WorkingTree(repository)
    assert tree.files("reports") == ["reports/a b.json", "reports/c.json", "reports/deep/b.json"]
    assert tree.files("reports/none") == []
    assert tree.read("reports/a b.json") == b"new"


def test_a_revision_is_named_with_its_commit(repository):
    full = Commit.named(repository, "main").commit
    assert Commit.named(repository, "main").title == f"main ({full[:7]})"
    assert Commit.named(repository, full).title == full[:7]
    assert Commit.named(repository, full[:10]).title == full[:7]


@pytest.mark.parametrize("kind", [WorkingTree, lambda root: Commit.named(root, "main")])
def test_an_absent_file_is_named(repository, kind):
    with pytest.raises(UserError, match=r"gone\.json") as caught:
        kind(repository).read("reports/gone.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["", "no-such-branch", "--help", "--output=hacked", "-n", "^main", "main..main", "main:params.yaml",
     "main\nHEAD", "$(touch hacked)", "HEAD^{tree}"],
)  # fmt: skip
def test_what_is_no_revision_is_refused(repository, name):
    with pytest.raises(UserError, match="there is no revision") as caught:
        Commit.named(repository, name)
    assert "\n" not in str(caught.value)
    assert not list(repository.parent.rglob("hacked"))


def test_outside_of_a_repository_there_is_no_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UserError, match=r"no Git repository here .*not a git repository"):
        Commit.named(tmp_path, "main")


def test_a_machine_without_git_is_told(repository, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(UserError, match="git is not installed"):
        revisions.Commit.named(repository, "main")
