"""The variants of FRPT: what each is, what it is made of, and what it changes in the block."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from fieldmark.contract.method import Variant
from fieldmark.engine.params import TrainRecipe
from fieldmark.methods.frpt.model.crops import Cut
from fieldmark.methods.frpt.model.head import HeadKind
from fieldmark.methods.frpt.model.params import FrptParams, VariantName


@dataclass(frozen=True)
class Parts:
    """What a variant puts around the backbone, and what it is trained on."""

    prompt: bool = False
    head: HeadKind = "none"
    backbone: bool = False  # whether the backbone is trained
    unchanged_stride: bool = (
        False  # whether the backbone's stride stays as it is, whatever `output_stride` says
    )
    cut: Cut = "none"  # a fixed prompt: pictures cut to the box of their activations, or to the annotated one
    shots: int | None = None  # training pictures per class; None: all

    @property
    def looks(self) -> bool:
        """Whether the model itself makes what the backbone is shown from the pictures that it is given."""
        return self.prompt or self.cut == "activation"


class Row(NamedTuple):
    """What the table says of a variant."""

    title: str
    parts: Parts
    trained: bool = True  # an untrained prompt samples evenly
    followed: bool = False  # scored during training as well, and trained again on few pictures


TABLE: dict[VariantName, Row] = {
    "plain": Row(
        "backbone as it comes, with its own stride, not trained", Parts(unchanged_stride=True), trained=False
    ),
    "frozen": Row("frozen backbone, not trained", Parts(), trained=False),
    "sampled": Row(
        "frozen backbone, finer pictures sampled evenly, not trained", Parts(prompt=True), trained=False
    ),
    "finetune": Row("full fine-tuning, cross-entropy", Parts(backbone=True), followed=True),
    "DPP": Row("prompt alone", Parts(prompt=True)),
    "CAH": Row("head alone", Parts(head="awareness")),
    "activation": Row(
        "head alone, pictures cut to the box of their activations", Parts(head="awareness", cut="activation")
    ),
    "box": Row("head alone, pictures cut to their annotated box", Parts(head="awareness", cut="box")),
    "attention": Row("prompt, and head without instance normalisation", Parts(prompt=True, head="attention")),
    "FRPT": Row("prompt and head", Parts(prompt=True, head="awareness"), followed=True),
    "release": Row("prompt, and the released code's head", Parts(prompt=True, head="release")),
}
FOLLOWED: tuple[VariantName, ...] = tuple(name for name, row in TABLE.items() if row.followed)

FrptVariant = Variant[FrptParams, Parts]


def all_variants(params: FrptParams) -> list[FrptVariant]:
    """Return each variant that is named, trained on all pictures; then the followed ones with few per class."""
    whole = {name: _whole(name, params) for name in params.variants}
    few = [_few(whole[name], shots) for shots in params.shots for name in FOLLOWED if name in whole]
    return [*whole.values(), *few]


def few_name(name: str, shots: int) -> str:
    """Return what variant `name` is called where it is trained on `shots` pictures per class."""
    return f"{name}-{shots}"


def _whole(name: VariantName, params: FrptParams) -> FrptVariant:
    row = TABLE[name]
    steps, snapshots = params.train.steps if row.trained else 0, params.snapshots if row.followed else 0
    train = params.train.model_copy(update={"steps": steps})
    changed = params.model_copy(update={"train": train, "shots": (), "snapshots": snapshots})
    return FrptVariant(name, row.title, changed, row.parts, fixed=not row.trained)


def _few(variant: FrptVariant, shots: int) -> FrptVariant:
    train, per_shot = variant.params.train, variant.params.steps_per_shot
    if per_shot is not None:  # else the recipe counts in passes
        train = _shortened(train, max(1, round(shots * per_shot)))
    return FrptVariant(
        few_name(variant.name, shots),
        f"{variant.title}, {shots} training pictures per class",
        variant.params.model_copy(update={"train": train, "shots": (shots,), "snapshots": 0}),
        replace(variant.parts, shots=shots),
    )


def _shortened(train: TrainRecipe, steps: int) -> TrainRecipe:
    """Return a recipe of `steps` steps whose rate falls and warms up at the same fractions of the training."""
    part = steps / max(1, train.steps)
    return train.model_copy(
        update={
            "steps": steps,
            "warmup_steps": round(train.warmup_steps * part),
            "drop_every": max(1, round(train.drop_every * part)) if train.drop_every else None,
        }
    )
