"""params.yaml as a whole: what is wrong is refused by name, before anything is computed."""

from pathlib import Path
from typing import Any

import pytest

from fieldmark.base.blocks import read_yaml
from fieldmark.base.errors import UserError
from fieldmark.configuration.configuration import Configuration
from fieldmark.preflight.check import check_params

PARAMS = Path(__file__).parents[2] / "params.yaml"
VECTORS = {"file": "v.npy", "names": "names.txt"}
CLIP = read_yaml(PARAMS)["clip_models"]["small"]


def check(params: dict[str, Any]) -> None:
    check_params(Configuration(params))


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the default with another value at a dotted path; None takes it out."""
    params = read_yaml(PARAMS)
    *parents, last = path.split(".")
    place = params
    for name in parents:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return params


def test_the_seed_of_a_backbone_keeps_its_place() -> None:
    trained = {
        **read_yaml(PARAMS)["backbones"]["vit"],
        "weights": None,
        "train": {"steps": 3, "batch_size": 8, "lr": 1.0},
    }
    check(changed("backbones.vit", {**trained, "train": {**trained["train"], "seed": 3}}))
    check(changed("methods.irt.backbone", "loca/variants/LOCA/0"))


def test_the_default_is_right() -> None:
    check(read_yaml(PARAMS))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("irtt", {}, "unknown block irtt; did you mean 'irt'"),
        ("note", 3, "note must be a sentence for the top of the report, it is 3"),
        ("irt.lamda", 0.3, "unknown parameter irt.lamda; did you mean 'lambda'"),
        ("irt.train.stepz", 3, "unknown parameter irt.train.stepz; did you mean 'steps'"),
        ("irt.lambda", "0.3x", "irt.lambda"),
        ("irt.train.seed", 1, r"^parameter irt\.train\.seed is called irt\.seeds \(a list\) now$"),
        ("pma.train.seed", 1, r"^parameter pma\.train\.seed is called pma\.seeds \(a list\) now$"),
        ("distill.pma.train.seed", 1, r"is called distill\.pma\.seeds \(a list\) now$"),
        ("irt.seeds", [], "irt.seeds: seeds must be whole numbers from 0 on, at least one, in rising order"),
        ("irt.seeds", [1, 1], "in rising order"),
        ("irt.seeds", [2, 0], "in rising order"),
        ("irt.seeds", [-1], "from 0 on"),
        ("irt.seeds", 0, "parameter irt.seeds: input should be a valid tuple"),
        ("pma.seeds", [0, 1], r"^distill\.pma\.seeds has 1 and pma\.seeds 2: give as many"),
        ("distill.pma.seeds", [1, 2], r"^distill\.pma\.seeds has 2 and pma\.seeds 1: give as many"),
        ("methods.irt.backbone", "loca/variants/LOCA", "or METHOD/variants/VARIANT/SEED"),
        ("irt.train.precision", "fp8", "irt.train.precision"),
        ("runtime.wokers", 3, "unknown parameter runtime.wokers; did you mean 'workers'"),
        ("runtime.device", "tpu", "runtime.device"),
        ("methods.irt.backbone", "backbones/vitt", "backbones has no 'vitt'; did you mean 'vit'"),
        ("methods.irt.backbone", "vit", "write backbones/NAME"),
        ("methods.irt.backbone", "irt/variants/R", "write backbones/NAME"),
        ("methods.irt.text", "phrase/birds", "methods.irt.text is 'phrase/birds'; write phrases/NAME"),
        ("methods.pma.text", "none", "variants text and PMA read phrases, and methods.pma.text names none"),
        ("methods.pma.text", "prompts/scenes", "name some such as phrases/birds"),
        ("pma.phrase_encoder", "clip", "phrase_encoder clip reads vectors .* set phrases.birds.clip"),
        ("methods.cprfl.text", "none", "methods.cprfl.text is 'none'; name some such as prompts/scenes"),
        ("methods.irt.split", "retrieva", "did you mean 'retrieval'"),
        ("methods.irt.dataset", "base", "split 'retrieval' is of data set 'birds'"),
        (
            "methods.frpx",
            {"split": "retrieval", "dataset": "birds", "backbone": "backbones/vit", "text": "none"},
            "there is no method 'frpx'|params.yaml has no 'frpx'",
        ),
        (
            "clip_models.small.split",
            "longtial",
            "clip_models.small.split: there is no split 'longtial'; did you mean 'longtail'",
        ),
        ("clip_models.small.dataset", "birds", "split 'longtail' is of data set 'scenes'"),
        (
            "clip_models.small.imagess",
            {},
            "unknown parameter clip_models.small.imagess; did you mean 'images'",
        ),
        (
            "prompts.some",
            {"dataset": "bird", "clip": "small"},
            "datasets has no 'bird'; did you mean 'birds'",
        ),
        (
            "prompts.some",
            {"dataset": "birds", "clip": "smal"},
            "clip_models has no 'smal'; did you mean 'small'",
        ),
        ("prompts.some", {"dataset": "birds", "clip": "small", "templates": ["a"]}, "prompts.some.templates"),
        (
            "prompts.some",
            {"dataset": "birds", "clip": "none"},
            "prompts.some.clip: clip_models has no 'none'",
        ),
        (
            "prompts.some",
            {"dataset": "birds", "clip": "small", "vectors": VECTORS},
            "prompts.some has vectors of a file and a clip as well; set clip: none",
        ),
        ("prompts.some", {"dataset": "birds", "clip": "none", "vectors": {"file": "a"}}, "names is missing"),
        ("backbones.vit.split", "retrival", "did you mean 'retrieval'"),
        ("backbones.vit.weights", None, "either weights"),
        ("datasets.birds.world.genera", 0, "datasets.birds.world.genera"),
        ("datasets.birds.source", "wrld", "wrld"),
        ("splits.retrieval.kind", "search", "splits.retrieval.kind"),
        (
            "splits.retrieval.dataset",
            "brids",
            "splits.retrieval.dataset: datasets has no 'brids'; did you mean 'birds'",
        ),
        ("phrases.birds.split", "t", "phrases.birds.split: there is no split 't'"),
        (
            "phrases.birds.dataset",
            "base",
            "phrases.birds.dataset is 'base', but split .* is of data set 'birds'",
        ),
        ("phrases.birds.grammar", "NP: {<", "grammar: nltk.RegexpParser refuses"),
        (
            "phrases.birds.clip",
            "smal",
            "phrases.birds.clip: clip_models has no 'smal'; did you mean 'small'",
        ),
        ("clip_models.none", CLIP, "clip_models.none: give it another name; 'none' stands for no CLIP"),
        ("distill.pma.teacher", "vision-1", "distill.pma.teacher"),
        ("distill.pma.split", "retrieval", "distill.pma is of split 'retrieval' of 'birds', but its teacher"),
        (
            "distill.pma.text",
            "none",
            "distill.pma.text is 'none', but its teacher learns to read 'phrases/birds'",
        ),
        (
            "methods.cprfl.region",
            "box",
            "methods.cprfl.region is 'box', but the pictures of 'scenes' come without boxes",
        ),
        ("distill.pma.region", "box", "distill.pma.region is 'box', but its teacher sees 'whole'"),
        ("distill.irt", {}, "distill.irt: method 'irt' has no distillation; take it out of distill"),
        ("pma.variants", ["plain"], "distill.pma.teacher is 'PMA', which pma.variants does not train: plain"),
        ("datasets.a/b", {}, "datasets: 'a/b' cannot be a name"),
        ("splits", [], "parameter splits must map names to blocks"),
        (
            "loca.dense.images.cutout",
            0.3,
            "^parameter loca.dense.images: cutout and augment change pictures without",
        ),
        (
            "loca.dense.images.augment",
            2,
            "^parameter loca.dense.images: cutout and augment change pictures without",
        ),
        ("irt", None, "params.yaml has no 'irt'"),
        ("transfer.a", {"dataset": "birds", "split": "retrieval"}, "transfer.a.method is missing"),
        (
            "transfer.a",
            {"method": "irtt", "dataset": "birds", "split": "retrieval"},
            "transfer.a.method: methods has no 'irtt'; did you mean 'irt'",
        ),
        (
            "transfer.a",
            {"method": "irt", "dataset": "scenes", "split": "retrieval"},
            "transfer.a.dataset is 'scenes', but split 'retrieval' is of data set 'birds'",
        ),
        (
            "transfer.a",
            {"method": "irt", "dataset": "scenes", "split": "longtail"},
            "transfer.a: method 'irt' cannot be judged on a split of kind 'longtail' elsewhere; it can on",
        ),
        (
            "transfer.a",
            {"method": "pma", "dataset": "birds", "split": "retrieval"},
            "transfer.a: method 'pma' cannot be judged on a split of kind 'retrieval' elsewhere$",
        ),
        (
            "splits.retrieval",
            {"dataset": "birds", "kind": "landmarks"},
            "methods.irt.split is 'retrieval', a benchmark with nothing to train on: leave L out of irt.variants",
        ),
    ],
)
def test_mistakes_are_one_line_that_names_the_key(path: str, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check(changed(path, value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("section", ["phrases", "prompts", "distill", "clip_models"])
def test_what_no_method_needs_may_be_left_out_or_empty(section: str) -> None:
    params = read_yaml(PARAMS)
    for name in ("phrases", "prompts", "distill", "clip_models"):
        params[name] = {}
    params["methods"] = {"irt": params["methods"]["irt"]}
    check(params)
    del params[section]
    check(params)


def test_a_text_is_wanted_only_by_what_reads_it() -> None:
    params = changed("methods.pma.text", "none")
    params["pma"]["variants"] = ["plain", "vision"]
    del params["distill"]
    check(params)
    params = changed("pma.phrase_encoder", "clip")
    params["phrases"]["birds"]["clip"] = "small"
    check(params)
