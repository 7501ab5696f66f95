"""params.yaml as a whole: what is wrong is refused by name, before anything is computed."""

import re
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
ARM = {
    "method": "irt",
    "variant": "L",
    "dataset": "birds",
    "split": "retrieval",
    "backbone": "backbones/resnet",
    "text": "none",
    "change": {"pooling": "average", "train": {"lr": 1e-4}},
}


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


def test_an_arm_is_right_where_its_method_does_not_train_the_variant() -> None:
    check(changed("arms", {"resnet": ARM}))
    params = changed("arms", {"resnet": {**ARM, "backbone": "irt/variants/R/0"}})
    params["irt"]["variants"] = ["R"]
    check(params)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"method": "itr"}, "there is no method 'itr'"),
        ({"variant": "X"}, "arms.a.variant is 'X': parameter irt.variants"),
        ({"change": {"poling": "gem"}}, "unknown parameter arms.a.change.poling; did you mean 'pooling'"),
        ({"change": {"margin": 2}}, "parameter arms.a.change.margin"),
        ({"change": {"seeds": [0, 1]}}, "arms.a.change.seeds: an arm has the seeds of its method, leave it"),
        ({"change": {"variants": ["O"]}}, "arms.a.change.variants: an arm has the variants of its method"),
        ({"backbone": "backbones/resnt"}, "backbones has no 'resnt'; did you mean 'resnet'"),
        ({"split": "classification"}, "arms.a is of split 'classification' of 'birds', but its method of 'r"),
        ({"region": "box"}, "arms.a.region is 'box', but its method sees 'whole'"),
        ({"text": "prompts/scenes"}, "arms.a.text is 'prompts/scenes', but its method learns to read 'none'"),
        ({"margin": 0.3}, "unknown parameter arms.a.margin"),
    ],
)
def test_a_wrong_arm_is_refused_in_one_line(item: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check(changed("arms", {"a": {**ARM, **item}}))
    assert "\n" not in str(caught.value)


def test_an_arm_is_not_called_as_a_variant() -> None:
    with pytest.raises(
        UserError, match=r"arms\.R: irt\.variants has a 'R' already; give the arm another name"
    ):
        check(changed("arms", {"R": ARM}))


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
        (
            "prompts.some",
            {"dataset": "birds", "clip": "none", "vectors": {"file": "a"}},
            "a wants a file of names",
        ),
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


@pytest.mark.parametrize("devices", [1, 2])
def test_what_is_compiled_does_not_train_in_parts(devices: int) -> None:
    params = changed("irt.train.compile", True)
    check(params)
    params["runtime"] |= {"shard": True, "devices": devices}
    if devices == 1:
        check(params)
        return
    with pytest.raises(
        UserError, match=r"^irt\.train\.compile does not go with runtime\.shard: set one of them"
    ):
        check(params)


def test_a_variant_of_boxes_needs_boxes_that_are_not_cut_already() -> None:
    params = changed("frpt.variants", ["box", "FRPT"])
    check(params)
    wiring = params["methods"]["frpt"]
    params["methods"]["frpt"] = {**wiring, "region": "box"}
    with pytest.raises(
        UserError, match=r"^frpt\.variants has box, but its region is box: every picture is cut already"
    ):
        check(params)
    params["methods"]["frpt"] = {**wiring, "dataset": "scenes", "split": "longtail"}
    with pytest.raises(
        UserError, match=r"^frpt\.variants has box, but the pictures of 'scenes' come without"
    ):
        check(params)
    params["frpt"]["variants"] = ["FRPT"]
    params["arms"] = {"cut": {**params["methods"]["frpt"], "method": "frpt", "variant": "box"}}
    with pytest.raises(UserError, match=r"^arms\.cut has box, but the pictures of 'scenes' come without"):
        check(params)


def squares(side: int = 128) -> dict[str, Any]:
    """The default with birds that are kept as squares, and IRT on them alone."""
    params = changed("datasets.birds.side", side)
    params["datasets"]["birds"]["shape"] = "square"
    params["methods"] = {"irt": params["methods"]["irt"]}
    return params | {"distill": {}, "arms": {}}


REMEDY = r"set datasets\.birds\.side=null datasets\.birds\.encoding=jpeg datasets\.birds\.shape=shorter_side$"


@pytest.mark.parametrize(
    ("block", "images", "message"),
    [
        ("irt", {"side": 144}, "irt.images asks for pictures resized to 144 px (square)"),
        ("irt", {"side": 128, "resize": 144}, "irt.images asks for pictures resized to 144 px (square)"),
        (
            "irt",
            {"side": 96, "shape": "shorter_side"},
            "irt.images asks for pictures resized to 96 px (shorter",
        ),
        ("frpt", {"source": {"side": 200}}, "frpt.source asks for pictures resized to 200 px (square)"),
        ("vit", {"side": 160}, "backbones.vit.images asks for pictures resized to 160 px (square)"),
        ("arm", {"side": 160}, "arms.a.images asks for pictures resized to 160 px (square)"),
    ],
)
def test_squares_that_are_kept_are_read_as_squares_no_larger(
    block: str, images: dict[str, Any], message: str
) -> None:
    params = squares()
    check(params)
    if block == "arm":
        params["arms"] = {"a": {**ARM, "change": {"images": images}}}
    elif block == "frpt":
        params["methods"]["frpt"] = read_yaml(PARAMS)["methods"]["frpt"]
        params["frpt"] |= images
    else:
        (params["backbones"]["vit"] if block == "vit" else params[block])["images"] = images
    with pytest.raises(UserError, match=f"^{re.escape(message)}.*'birds' keeps squares of 128 px; {REMEDY}"):
        check(params)


def test_squares_may_be_enlarged_where_the_block_says_so() -> None:
    params = squares()
    params["irt"]["images"] = {"side": 192, "enlarge": True}
    check(params)
    params["irt"]["images"]["shape"] = "shorter_side"  # a square stays one, whatever its size
    with pytest.raises(UserError, match=r"^irt\.images asks for pictures resized to 192 px \(shorter"):
        check(params)


def test_squares_are_fine_enough_for_students_clips_and_models_trained_elsewhere() -> None:
    default, params = read_yaml(PARAMS), squares()
    params["methods"]["pma"], params["distill"] = default["methods"]["pma"], default["distill"]
    params["distill"]["pma"]["images"] = {"side": 160}
    with pytest.raises(UserError, match=r"^distill\.pma\.images asks for pictures resized to 160 px"):
        check(params)
    params = squares()
    params["clip_models"]["birds"] = {**CLIP, "dataset": "birds", "split": "classification"}
    params["clip_models"]["birds"]["images"] = {"side": 96, "shape": "shorter_side"}
    with pytest.raises(UserError, match=r"^clip_models\.birds\.images asks for pictures resized to 96 px"):
        check(params)
    params = squares()
    params["datasets"]["others"] = {**params["datasets"]["birds"], "side": 64}
    params["splits"]["others"] = {**params["splits"]["retrieval"], "dataset": "others"}
    params["transfer"] = {"a": {"method": "irt", "dataset": "others", "split": "others"}}
    with pytest.raises(UserError, match=r"^irt\.images asks for .* 'others' keeps squares of 64 px"):
        check(params)


def test_squares_that_are_kept_are_not_cut_to_boxes() -> None:
    params = squares()
    params["methods"]["irt"] = {**params["methods"]["irt"], "region": "box"}
    with pytest.raises(
        UserError, match=rf"^methods\.irt\.region cuts pictures to boxes, but 'birds' .*{REMEDY}"
    ):
        check(params)
    params = squares()
    params["methods"]["frpt"] = read_yaml(PARAMS)["methods"]["frpt"]
    params["frpt"]["variants"] = ["box"]
    with pytest.raises(UserError, match=rf"^frpt\.variants cuts pictures to boxes, but 'birds' .*{REMEDY}"):
        check(params)


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


@pytest.mark.parametrize("section", ["phrases", "prompts", "arms", "distill", "clip_models", "judge"])
def test_what_no_method_needs_may_be_left_out_or_empty(section: str) -> None:
    params = read_yaml(PARAMS)
    for name in ("phrases", "prompts", "arms", "distill", "clip_models"):
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
