"""The card of a model says what it is, what was measured, and under which terms."""

from pathlib import Path

import pytest
from reporting.example import PARAMS, method_result, write

from fieldmark.reporting.build import build_cards

MODELS = {
    "R": {"folder": "models/irt/variants/R", "seeds": [0, 3], "steps": 1200},
    "O": {"folder": "models/irt/variants/O", "seeds": [0], "steps": 0},
}
ITEMS = {
    "datasets": {"birds": {"source": "cub200"}},
    "backbones": {"vit": {"arch": "vit_tiny", "weights": "library"}},
}
VIT = {"name": "vit", "arch": "timm: vit_tiny", "parameters": 899344, "weights": "library"}


def cards(folder: Path, models: dict = MODELS, params: dict | None = None, **changes) -> dict[str, str]:
    result = {
        **method_result(),
        "backbone": "backbones/vit",
        "models": models,
        "precision": "bf16",
        **changes,
    }
    write(folder / "results/irt.json", result)
    write(folder / "results/backbones/vit.json", VIT)
    build_cards(folder, folder / "prepared", {**PARAMS, **ITEMS, **(params or {})}, folder / "cards")
    return {path.stem: path.read_text() for path in sorted((folder / "cards").rglob("*.md"))}


def test_one_card_for_each_model_with_numbers_and_how_to_load(tmp_path: Path) -> None:
    found = cards(tmp_path)
    assert list(found) == ["O", "R"]  # L was measured, but no model of it is kept
    assert "fieldmark.load('models/irt/variants/R/0')" in found["R"]
    assert "seeds 0, 3" in found["R"]
    assert "| recall@1 | 65.5 | 64.0 – 67.0 |" in found["R"]
    assert "| components\\_90 | 31 | – |" in found["R"]
    assert "1\u202f200 steps in bf16" in found["R"]
    assert "timm: vit\\_tiny, 899\u202f344 weights, from library" in found["R"]
    assert "44.3 imbalance, 1 in 36 position chance)" in found["R"]
    assert "One training seed" in found["O"]
    assert "One training seed" not in found["R"]
    assert "not trained here" in found["O"]
    assert "Nothing was measured" in found["O"]


@pytest.mark.parametrize(
    ("weights", "terms"),
    [
        ("library", "page of these weights"),
        ("data/pretrained/vit.safetensors", "shipped with this project"),
        ("/mine/dino.pth", "`dino.pth`"),
        (None, "made here"),
    ],
)
def test_licences_follow_data_and_weights(tmp_path: Path, weights: str | None, terms: str) -> None:
    card = cards(tmp_path, params={"backbones": {"vit": {"arch": "vit_tiny", "weights": weights}}})["R"]
    assert "non-commercial research and teaching" in card
    assert terms in card.split("## Licences")[1]


def test_a_source_without_known_terms_says_where_to_look(tmp_path: Path) -> None:
    assert (
        "terms of its publisher"
        in cards(tmp_path, params={"datasets": {"birds": {"source": "sfm120k"}}})["R"]
    )


def test_what_was_measured_elsewhere_stands_there_too(tmp_path: Path) -> None:
    other = {**method_result(), "split": "landmarks", "dataset": "paris"}
    write(tmp_path / "results/transfer/paris.json", other)
    found = cards(tmp_path, params={"transfer": {"paris": {}}})
    assert "On split `landmarks` of `paris`, on which it was not trained" in found["R"]
    assert "landmarks" not in found["O"]


def test_names_cannot_break_out_of_the_text(tmp_path: Path) -> None:
    assert "<script>" not in cards(tmp_path)["R"]


def test_results_of_before_have_no_card(tmp_path: Path) -> None:
    assert cards(tmp_path, models={}) == {}


def test_a_method_with_a_network_of_its_own_starts_from_none(tmp_path: Path) -> None:
    card = cards(tmp_path, params={"irt": {"arch": "vit_tiny"}})["R"]
    assert "starts from random weights" in card
    assert "backbones/vit" not in card
