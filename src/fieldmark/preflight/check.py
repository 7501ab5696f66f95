"""A check of all of params.yaml, so that a mistake is reported before anything is computed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fieldmark.base.blocks import nearest, now_called
from fieldmark.base.errors import UserError
from fieldmark.clip.schema import ClipParams
from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.method import MethodParams
from fieldmark.contract.registry import known_methods, load_distillation, load_method
from fieldmark.contract.variants import ARMS, read_arm
from fieldmark.datasets.acquire.schema import DatasetParams
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.engine.wiring import Wiring, check_wiring, read_judge, read_transfer, read_wiring, text_item
from fieldmark.language.schema import GRAMMAR, NO_CLIP, PhrasesParams
from fieldmark.preflight.stored import require_cuttable, require_fine_enough
from fieldmark.pretraining.schema import BackboneParams
from fieldmark.prompting.schema import PromptParams
from fieldmark.reporting.published import EXPECTED, read_published
from fieldmark.runtime.params import RuntimeParams

SECTIONS = (
    "note",
    EXPECTED,
    "runtime",
    "datasets",
    "splits",
    "backbones",
    "clip_models",
    "prompts",
    "phrases",
    "methods",
    "arms",
    "distill",
    "judge",
    "transfer",
)
# DVC ignores keys with these names, wherever they stand, when it looks a run up in its run cache
# (treeverse/dvc#10296): it would take a run with another value from there. What to call them instead:
UNSEEN_BY_DVC = {"size": "side", "nfiles": "another word"}


def check_params(configuration: Configuration) -> None:
    """Read every block of params.yaml. Raises UserError for the first thing that is wrong."""
    _check_sections(configuration)
    configuration.note()
    configuration.block("runtime", RuntimeParams)
    _check_data(configuration)
    _check_models(configuration)
    _check_texts(configuration)
    for name in configuration.section("methods"):
        _check_method(configuration, name)
    for name in configuration.section(ARMS):
        _check_arm(configuration, name)
    for name in configuration.section("distill"):
        _check_distillation(configuration, name)
    read_published(configuration.content)  # of variants that are not trained the report says so
    for name in configuration.section("judge"):
        _check_judge(configuration, name)
    for name in configuration.section("transfer"):
        _check_transfer(configuration, name)
    _check_names(configuration.content)
    _check_sharding(configuration)


def _check_sections(configuration: Configuration) -> None:
    known = [*SECTIONS, *known_methods()]
    for key in configuration.content:
        if key not in known:
            raise UserError(f"unknown block {key}{nearest(key, known)}")
    for required in ("datasets", "splits", "backbones", "methods"):
        if required not in configuration.content:
            raise UserError(
                f"params.yaml has no '{required}'{nearest(required, list(configuration.content))}"
            )


def _check_data(configuration: Configuration) -> None:
    for name in configuration.section("datasets"):
        configuration.item("datasets", name, DatasetParams)
    for name in configuration.section("splits"):
        split = configuration.item("splits", name, SplitParams)
        configuration.require("datasets", split.dataset, f"splits.{name}.dataset")


def _check_models(configuration: Configuration) -> None:
    for name in configuration.section("backbones"):
        backbone = configuration.item("backbones", name, BackboneParams)
        configuration.require_split(backbone.split, backbone.dataset, f"backbones.{name}")
        require_fine_enough(configuration, backbone.dataset, backbone, f"backbones.{name}")
        _check_kept(configuration, backbone.weights, f"backbones.{name}.weights")
    for name in configuration.section("clip_models"):
        clip = configuration.item("clip_models", name, ClipParams)
        configuration.require_split(clip.split, clip.dataset, f"clip_models.{name}")
        require_fine_enough(configuration, clip.dataset, clip, f"clip_models.{name}")
        if name == NO_CLIP:
            raise UserError(f"clip_models.{NO_CLIP}: give it another name; '{NO_CLIP}' stands for no CLIP")


def _check_kept(configuration: Configuration, weights: str | None, where: str) -> None:
    """Raise UserError for a file that this run would make anew before, or after, it reads it."""
    file = Path(weights or "").absolute()
    made = [f"models/{name}" for name in configuration.section("methods")]
    made += [f"models/backbones/{name}" for name in configuration.section("backbones")]
    if any(file.is_relative_to(Path(folder).absolute()) for folder in made):
        raise UserError(
            f"{where}: this run makes {file.relative_to(Path.cwd()).parent} anew; copy what is there to "
            "data/pretrained/NAME, and name the copy"
        )


def _check_texts(configuration: Configuration) -> None:
    for name in configuration.section("prompts"):
        prompts = configuration.item("prompts", name, PromptParams)
        configuration.require("datasets", prompts.dataset, f"prompts.{name}.dataset")
        if prompts.vectors and prompts.clip != NO_CLIP:
            raise UserError(f"prompts.{name} has vectors of a file and a clip as well; set clip: {NO_CLIP}")
        if not prompts.vectors:
            configuration.require("clip_models", prompts.clip, f"prompts.{name}.clip")
    for name in configuration.section("phrases"):
        phrases = configuration.item("phrases", name, PhrasesParams)
        configuration.require_split(phrases.split, phrases.dataset, f"phrases.{name}")
        if phrases.clip != NO_CLIP:
            configuration.require("clip_models", phrases.clip, f"phrases.{name}.clip")
        _check_grammar(phrases.grammar)


def _check_grammar(grammar: str) -> None:
    if grammar != GRAMMAR:  # NLTK takes seconds to import
        from fieldmark.language.chunking import Chunker

        Chunker(grammar)


def _check_method(configuration: Configuration, name: str) -> None:
    wiring = read_wiring(configuration, name)
    _check_region(configuration, wiring, f"methods.{name}")
    params = read_method(configuration, name)
    require_fine_enough(configuration, wiring.dataset, params, name)
    if params.cuts_to_boxes:
        _check_boxes(configuration, wiring, f"{name}.variants")
    problem = params.unmet(wiring.text, text_item(configuration, wiring.text))
    if problem:
        raise UserError(problem)
    trained = [variant.name for variant in load_method(name).variants(params) if variant.trained]
    if _kind(configuration, wiring.split) == "landmarks" and trained:
        raise UserError(
            f"methods.{name}.split is '{wiring.split}', a benchmark with nothing to train on: leave {trained[0]} out "
            f"of {name}.variants, or train on another split and name this one in transfer"
        )


def _check_region(configuration: Configuration, wiring: Wiring, where: str) -> None:
    """Raise UserError for pictures that are to be cut to boxes and come without, or squeezed."""
    if wiring.region != "box":
        return
    if not _has_boxes(configuration, wiring):
        raise UserError(
            f"{where}.region is 'box', but the pictures of '{wiring.dataset}' come without boxes; write whole"
        )
    require_cuttable(configuration, wiring.dataset, f"{where}.region")


def _check_boxes(configuration: Configuration, wiring: Wiring, where: str) -> None:
    """Raise UserError for a variant that cuts pictures to boxes where there are none, or where all are cut already."""
    if not _has_boxes(configuration, wiring):
        raise UserError(
            f"{where} has box, but the pictures of '{wiring.dataset}' come without boxes; take it out"
        )
    if wiring.region == "box":
        raise UserError(
            f"{where} has box, but its region is box: every picture is cut already; take one of them out"
        )
    require_cuttable(configuration, wiring.dataset, where)


def _has_boxes(configuration: Configuration, wiring: Wiring) -> bool:
    source = configuration.item("datasets", wiring.dataset, DatasetParams).open_source()
    return source.promises["boxes"]


def read_method(configuration: Configuration, name: str) -> MethodParams:
    """Return the block of a method."""
    return configuration.method_block(name, load_method(name).Params)


def _check_arm(configuration: Configuration, name: str) -> None:
    """Raise UserError when an item of `arms:` does not fit its method."""
    arm, where = read_arm(configuration, name), f"arms.{name}"
    method = arm.wiring.method
    check_wiring(configuration, arm.wiring, where)
    _check_same_work(arm.wiring, read_wiring(configuration, method), where, "method")
    if name in {variant.name for variant in load_method(method).variants(read_method(configuration, method))}:
        raise UserError(f"{where}: {method}.variants has a '{name}' already; give the arm another name")
    require_fine_enough(configuration, arm.wiring.dataset, arm.variant.params, where)
    if arm.variant.params.cuts_to_boxes:
        _check_boxes(configuration, arm.wiring, where)
    problem = arm.variant.params.unmet(arm.wiring.text, text_item(configuration, arm.wiring.text))
    if problem:
        raise UserError(problem)


def _check_distillation(configuration: Configuration, name: str) -> None:
    """Raise UserError when an item of `distill:` does not fit the method of that name."""
    params = configuration.item("distill", name, load_distillation(name).PARAMS)
    check_wiring(configuration, params, f"distill.{name}")
    require_fine_enough(configuration, params.dataset, params, f"distill.{name}")
    _check_same_work(params, read_wiring(configuration, name), f"distill.{name}", "teacher")
    block = read_method(configuration, name)
    trained = [variant.name for variant in load_method(name).variants(block)]
    if params.teacher not in trained:
        raise UserError(
            f"distill.{name}.teacher is '{params.teacher}', which {name}.variants does not train: {', '.join(trained)}"
        )
    if len(params.seeds) != len(block.seeds):
        raise UserError(
            f"distill.{name}.seeds has {len(params.seeds)} and {name}.seeds {len(block.seeds)}: give as many, for a "
            "student learns from the teacher whose seed has the same place in its list"
        )


def _check_same_work(wiring: Wiring, other: Wiring, where: str, who: str) -> None:
    """Raise UserError unless the wiring at `where` has the split, region and text of that of `who`, its teacher."""
    if (wiring.dataset, wiring.split) != (other.dataset, other.split):
        raise UserError(
            f"{where} is of split '{wiring.split}' of '{wiring.dataset}', but its {who} of '{other.split}' "
            f"of '{other.dataset}': give both the same"
        )
    if wiring.region != other.region:
        raise UserError(
            f"{where}.region is '{wiring.region}', but its {who} sees '{other.region}': give both the same"
        )
    if wiring.text != other.text:
        raise UserError(
            f"{where}.text is '{wiring.text}', but its {who} learns to read '{other.text}': give both the same"
        )


def _check_judge(configuration: Configuration, name: str) -> None:
    """Raise UserError when an item of `judge:` does not fit the method of that name."""
    judge, where, block = read_judge(configuration, name), f"judge.{name}", read_method(configuration, name)
    if block.judged_side is None:
        raise UserError(f"{where}: {name} is judged on its own pictures alone; take it out of judge")
    source = configuration.item("datasets", judge.dataset, DatasetParams).open_source()
    if not source.promises["masks"]:
        raise UserError(f"{where}.dataset: the pictures of '{judge.dataset}' come without masks")
    _check_region(configuration, judge.pictures, where)
    for backbone in judge.backbones:
        if backbone in block.variants:
            raise UserError(
                f"{where}.backbones: '{backbone}' is a variant of {name}, too; rename the backbone"
            )
        side = configuration.item("backbones", backbone, BackboneParams).images.side
        if side != block.judged_side:
            raise UserError(
                f"backbones.{backbone}.images.side is {side}, but {name} judges features at {block.judged_side} px: "
                "give both the same, so that the network is made for such pictures"
            )


def _check_transfer(configuration: Configuration, name: str) -> None:
    """Raise UserError when an item of `transfer:` does not fit its method."""
    params, _ = read_transfer(configuration, name)
    block = read_method(configuration, params.method)
    require_fine_enough(configuration, params.dataset, block, params.method)
    kind, known = _kind(configuration, params.split), load_method(params.method).judged_on
    if kind not in known:
        raise UserError(
            f"transfer.{name}: method '{params.method}' cannot be judged on a split of kind '{kind}' elsewhere"
            + (f"; it can on {' and '.join(known)}" if known else "")
        )


def _kind(configuration: Configuration, split: str) -> str:
    return configuration.item("splits", split, SplitParams).kind


def _check_names(content: Any) -> None:
    """Raise UserError for a key, in free options too, whose changed value DVC would not notice."""
    for dotted, key, _ in _keys(content):
        if key in UNSEEN_BY_DVC:
            raise UserError(now_called(dotted, UNSEEN_BY_DVC[key]))


def _check_sharding(configuration: Configuration) -> None:
    """Raise UserError for a training that cannot have its weights cut over the processes."""
    if configuration.block("runtime", RuntimeParams).sharded:
        for dotted, key, value in _keys(configuration.content):
            if key == "compile" and value is True:
                raise UserError(f"{dotted} does not go with runtime.shard: set one of them to false")


def _keys(content: Any, above: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield (dotted path, key, value) of every key at any depth."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield f"{above}{key}", str(key), value
            yield from _keys(value, f"{above}{key}.")
    elif isinstance(content, list):
        for value in content:
            yield from _keys(value, above)
