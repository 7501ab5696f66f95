"""Stages run the code beside them: an experiment that DVC has queued is not changed by what is edited meanwhile."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.pipeline import ROOT

PROBE = """
from _stage import guarded
import fieldmark.base.errors
import fieldmark.configuration.configuration as configuration
guarded(lambda: print(fieldmark.base.errors.__file__, configuration.__file__, sep="\\n"))
"""


def test_a_copied_stage_imports_the_code_that_was_copied_with_it(tmp_path: Path) -> None:
    """Also where the package is installed in place and PYTHONPATH names the edited sources."""
    copied = tmp_path / "queued" / "src"
    shutil.copytree(ROOT / "src/stages", copied / "stages")
    for room in ("base", "configuration"):
        shutil.copytree(ROOT / "src/fieldmark" / room, copied / "fieldmark" / room)
    shutil.copy(ROOT / "src/fieldmark/__init__.py", copied / "fieldmark")
    (copied / "stages/probe.py").write_text(PROBE)
    done = subprocess.run(
        [sys.executable, "src/stages/probe.py"],
        cwd=tmp_path / "queued",
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [Path(line).is_relative_to(copied) for line in done.stdout.splitlines()] == [True, True]
