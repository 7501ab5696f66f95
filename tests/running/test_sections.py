"""A params.yaml from before a section was added is told what it lacks, not what DVC cannot find."""

import shutil
from pathlib import Path

import pytest
from support.pipeline import ROOT

from fieldmark.base.errors import UserError
from fieldmark.running.surroundings import require_sections


def test_a_section_that_is_missing_is_named_with_what_to_add(tmp_path: Path) -> None:
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text)
    require_sections(tmp_path)
    old = [line for line in text.splitlines() if not line.startswith(("arms:", "judge:"))]
    (tmp_path / "params.yaml").write_text("\n".join(old))
    with pytest.raises(
        UserError, match=r"^params.yaml lacks a section .* `arms: \{\}`, `judge: \{\}`[^\n]*$"
    ):
        require_sections(tmp_path)


def test_other_folders_are_left_to_dvc(tmp_path: Path) -> None:
    require_sections(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text("salt: 1\n")
    require_sections(tmp_path)
