"""What the blocks say of one another: splits, backbones and texts that are there."""

from typing import Any

import pytest

from fieldmark.base.errors import UserError
from fieldmark.configuration.configuration import Configuration
from fieldmark.engine.wiring import read_wiring, text_item

IRT = {"dataset": "birds", "split": "retrieval", "backbone": "backbones/vit", "text": "none"}
CONTENT = {
    "splits": {"retrieval": {"dataset": "birds", "kind": "retrieval"}, "base": {"dataset": "base"}},
    "backbones": {"vit": {}},
    "prompts": {"scenes": {"clip": "small"}},
    "methods": {"irt": IRT, "loca": {**IRT, "text": "prompts/scenes"}},
}


def wired(**changes: Any) -> Configuration:
    return Configuration({**CONTENT, "methods": {**CONTENT["methods"], "irt": {**IRT, **changes}}})


def test_a_method_works_on_what_is_there() -> None:
    assert read_wiring(wired(), "irt").model_dump() == {**IRT, "region": "whole"}
    assert read_wiring(wired(region="box"), "irt").region == "box"
    assert read_wiring(wired(backbone="loca/variants/LOCA/0"), "irt").backbone == "loca/variants/LOCA/0"
    assert read_wiring(wired(text="prompts/scenes"), "irt").text == "prompts/scenes"
    assert read_wiring(wired(text="prompts"), "irt").text == "prompts"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "retrieva"}, "methods.irt.split: there is no split 'retrieva'; did you mean 'retrieval'"),
        ({"split": "base"}, "methods.irt.dataset is 'birds', but split 'base' is of data set 'base'"),
        ({"backbone": "backbones/vitt"}, "backbones has no 'vitt'; did you mean 'vit'"),
        ({"backbone": "vit"}, "methods.irt.backbone is 'vit'; write backbones/NAME"),
        ({"backbone": "irt/variants/R"}, "methods.irt.backbone is 'irt/variants/R'; write backbones/NAME"),
        ({"backbone": "loca/students/x/0"}, "write backbones/NAME"),
        ({"backbone": "loca/variants/LOCA"}, "or METHOD/variants/VARIANT/SEED for what another method"),
        ({"region": "boxes"}, "methods.irt.region"),
        ({"text": "prompts/scene"}, "prompts has no 'scene'; did you mean 'scenes'"),
        (
            {"text": "phrases/birds"},
            "methods.irt.text is 'phrases/birds'; write phrases/NAME or prompts/NAME",
        ),
        ({"text": "scenes"}, "methods.irt.text is 'scenes'; write phrases/NAME or prompts/NAME"),
        ({"text": "phrases"}, "methods.irt.text is 'phrases'; write phrases/NAME or prompts/NAME"),
        ({"lambda": 1}, "unknown parameter methods.irt.lambda"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_wiring(wired(**changes), "irt")
    assert "\n" not in str(caught.value)


def test_a_split_that_is_no_mapping_is_of_no_data_set() -> None:
    with pytest.raises(UserError, match="split 'own' is of data set 'None'"):
        Configuration({"splits": {"own": 3}}).require_split("own", "birds", "here")


def test_the_item_of_a_text_is_as_it_is_written_and_none_is_empty() -> None:
    assert text_item(wired(), "prompts/scenes") == {"clip": "small"}
    assert text_item(wired(), "prompts") == {"scenes": {"clip": "small"}}
    assert text_item(wired(), "none") == {}


def test_all_prompts_are_nothing_where_there_are_none() -> None:
    bare = Configuration({**wired(text="prompts").content, "prompts": {}})
    with pytest.raises(UserError, match=r"methods\.irt\.text is 'prompts'; write"):
        read_wiring(bare, "irt")
