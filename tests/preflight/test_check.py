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
            "^parameter loca.dense.images: erase, cutout and augment change pictures without",
        ),
        (
            "loca.dense.images.erase",
            0.2,
            "^parameter loca.dense.images: erase, cutout and augment change pictures without",
        ),
        (
            "loca.dense.images.augment",
            2,
            "^parameter loca.dense.images: erase, cutout and augment change pictures without",
        ),
        ("irt", None, "params.yaml has no 'irt'"),
    ],
)
def test_mistakes_are_one_line_that_names_the_key(path: str, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check(changed(path, value))
    assert "\n" not in str(caught.value)


JUDGED = {"dataset": "scenes", "split": "longtail", "backbones": ["vit"]}


def judged(method: str = "loca", side: int = 160, **item: object) -> dict[str, Any]:
    """The default with features judged on the scenes, beside a backbone made for pictures of `side` px."""
    params = changed("judge", {method: {**JUDGED, **item}})
    params["backbones"]["vit"]["images"]["side"] = side
    return params


def test_features_may_be_judged_on_other_pictures_beside_other_networks() -> None:
    check(judged())
    check(judged(backbones=[], side=128))
    check(judged(dataset="birds", split="classification", region="box"))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"method": "irt"}, "^judge.irt: irt is judged on its own pictures alone; take it out of judge"),
        ({"method": "none"}, "^judge.none: methods has no 'none'"),
        (
            {"split": "retrieval"},
            "judge.loca.dataset is 'scenes', but split 'retrieval' is of data set 'birds'",
        ),
        ({"backbones": ["vitt"]}, "judge.loca.backbones: backbones has no 'vitt'; did you mean 'vit'"),
        ({"backbones": ["vit", "vit"]}, "judge.loca.*backbones must be named once each"),
        ({"backbone": "vit"}, "unknown parameter judge.loca.backbone; did you mean 'backbones'"),
        ({"side": 128}, "^backbones.vit.images.side is 128, but loca judges features at 160 px: give both"),
        ({"region": "box"}, "judge.loca.region is 'box', but the pictures of 'scenes' come without boxes"),
    ],
)
def test_a_judgement_that_could_not_be_made_is_refused(item: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(judged(**item))


def test_a_judgement_needs_masks_and_names_that_no_variant_has() -> None:
    params = judged()
    params["datasets"]["scenes"] = {"source": "folder", "folder": {"path": "/photos", "csv": None}}
    with pytest.raises(UserError, match=r"judge\.loca\.dataset: the pictures of 'scenes' come without masks"):
        check(params)
    params = judged(backbones=["LOCA"])
    params["backbones"]["LOCA"] = params["backbones"]["vit"]
    with pytest.raises(UserError, match=r"judge\.loca\.backbones: 'LOCA' is a variant of loca, too; rename"):
        check(params)


@pytest.mark.parametrize(
    ("weights", "kept"),
    [
        ("models/loca/variants/LOCA/0/weights.safetensors", False),
        (str(Path("models/backbones/vit/weights.safetensors").absolute()), False),
        ("models/backbones/other/weights.safetensors", True),
        ("models/other/variants/LOCA/0/weights.safetensors", True),
        ("/two/more/models/loca/variants/LOCA/0/weights.safetensors", True),
        ("data/pretrained/loca/weights.safetensors", True),
        ("library", True),
    ],
)
def test_weights_that_the_run_makes_anew_are_refused(weights: str, kept: bool) -> None:
    params = changed("backbones.vit.weights", weights)
    if kept:
        check(params)
        return
    with pytest.raises(
        UserError, match=r"^backbones\.vit\.weights: this run makes models/.* anew; copy what is"
    ):
        check(params)


@pytest.mark.parametrize("section", ["phrases", "prompts", "distill", "clip_models", "judge"])
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
