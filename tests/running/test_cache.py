"""Before anything is computed it is asked whether DVC could keep it."""

import os
from pathlib import Path

import pytest

from fieldmark.base.errors import UserError
from fieldmark.running.surroundings import require_cache


@pytest.mark.parametrize("named", [None, "elsewhere", "/tmp/elsewhere"])
def test_a_cache_that_is_read_only_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None
) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    autostage = true\n")
    cache = tmp_path / ".dvc" / (named or "cache")
    if named:
        cache = tmp_path / named.strip("/")
        place = str(cache) if named.startswith("/") else f"../{named}"
        (tmp_path / ".dvc/config.local").write_text(f"[cache]\n    dir = {place}\n")
    require_cache(tmp_path)  # it is not there yet, and can be made
    cache.mkdir(parents=True)
    require_cache(tmp_path)
    usual = os.access

    def access(path: Path, mode: int) -> bool:
        return not cache.samefile(path) and usual(path, mode)

    monkeypatch.setattr(os, "access", access)  # the tests may run as a user who may do all
    with pytest.raises(UserError, match=r"^DVC's cache .* cannot be written to[^\n]*$"):
        require_cache(tmp_path)
