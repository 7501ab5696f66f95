"""Mid-training states: what they are keyed by, and that a kill in the middle of writing spoils none."""

from pathlib import Path

import pytest
import torch

from fieldmark.engine.checkpoint import CheckpointFolder, StateKey, fingerprint


def test_fingerprint_follows_params_and_inputs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_text("one")
    key = fingerprint({"lr": 1}, [data])
    assert key == fingerprint({"lr": 1}, [data])
    assert key != fingerprint({"lr": 2}, [data])
    data.write_text("two")
    assert key != fingerprint({"lr": 1}, [data])


def test_a_run_has_a_folder_for_all_that_it_follows_from(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("one")
    states = StateKey(tmp_path / "states", {"lr": 1}, (tmp_path / "data",))
    folder = states.folder("irt/R").folder
    assert folder.parent == tmp_path / "states/irt/R"
    assert folder == states.folder("irt/R").folder
    others = [
        states.folder("irt/L"),
        states.folder("irt/R", ["weights"]),
        StateKey(states.root, {"lr": 2}, states.files).folder("irt/R"),
        StateKey(states.root, states.params).folder("irt/R"),
    ]
    assert len({folder, *(other.folder for other in others)}) == 5


def test_states_come_back_and_are_forgotten_with_those_of_other_keys(tmp_path: Path) -> None:
    first, second = (CheckpointFolder(tmp_path, "irt/R", key) for key in ("one", "two"))
    assert first.load() is None
    for folder, step in ((first, 1), (second, 2)):
        folder.save({"step": step, "weights": torch.ones(2)})
    assert first.load()["step"] == 1  # type: ignore[index]
    second.clear()
    assert first.load() is None
    assert not (tmp_path / "irt/R").exists()


def test_a_kill_while_writing_leaves_the_state_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = CheckpointFolder(tmp_path, "irt/R", "key")
    folder.save({"step": 1})

    def killed(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        folder.save({"step": 2})
    assert folder.load() == {"step": 1}
    assert [path.name for path in folder.folder.iterdir()] == ["state.pt"]


def test_the_last_run_of_a_stage_leaves_no_empty_folder(tmp_path: Path) -> None:
    key = StateKey(tmp_path / ".resume")
    first, second = (key.folder(f"evaluate-loca/LOCA/{seed}/probe") for seed in (0, 1))
    first.save({"step": 1})
    second.save({"step": 1})
    first.clear()
    assert second.load() == {"step": 1}
    assert not (tmp_path / ".resume/evaluate-loca/LOCA/0").exists()
    second.clear()
    second.clear()
    assert list((tmp_path / ".resume").iterdir()) == []


def test_a_state_that_is_not_used_is_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (CheckpointFolder(tmp_path, "irt/R/0", key) for key in ("one", "two"))
    assert first.load() is None
    assert capsys.readouterr().err == ""
    first.save({"step": 1})
    assert second.load() is None
    assert capsys.readouterr().err == (
        f"irt/R/0: the state {first.path} is of other parameters, data or code: it is not used, training begins anew\n"
    )
    assert first.load() == {"step": 1}  # it is still there when the parameters are its own again


@pytest.mark.parametrize("kept", [0, 10, -30])
def test_a_state_that_lost_its_end_with_the_power_is_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kept: int
) -> None:
    folder = CheckpointFolder(tmp_path, "irt/R/0", "one")
    folder.save({"step": 1, "weights": torch.ones(9)})
    folder.path.write_bytes(folder.path.read_bytes()[:kept])
    assert folder.load() is None
    said = capsys.readouterr().err
    assert "state.pt is damaged: it is not used" in said
    assert said.count("\n") == 1
