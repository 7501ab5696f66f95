"""What a method is: a model that is built from its block of `params.yaml`, trained, saved and read again."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, runtime_checkable

from pydantic import Field, field_validator, model_validator
from safetensors.torch import save_file
from torch import Tensor

from fieldmark.base.blocks import Block, pick
from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_path
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.engine.params import Precision, TrainParams, TrainRecipe
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Trainable
from fieldmark.vision.backbones import contiguous
from fieldmark.vision.reading import read_tensors

WEIGHTS = "weights.safetensors"


class Recipe(Block):
    """What training reads of a block: which pictures, how they are trained on, and from which seeds.

    What the block describes is trained once per seed; the block of a single model has one.
    """

    renamed: ClassVar[Mapping[str, str]] = {"train.seed": "seeds (a list)"}

    images: ImageParams
    train: TrainRecipe
    seeds: tuple[int, ...] = (0,)

    @field_validator("seeds")
    @classmethod
    def _rising(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        # The i-th seeds of two lists belong together, and so do the i-th folders.
        if not seeds or seeds[0] < 0 or list(seeds) != sorted(set(seeds)):
            raise ValueError("seeds must be whole numbers from 0 on, at least one, in rising order")
        return seeds

    @property
    def seed(self) -> int:
        """The seed of a single model, and the first one of several."""
        return self.seeds[0]

    @property
    def seeded(self) -> TrainParams:
        """How a single model is trained."""
        return self.train.with_seed(self.seed)

    def for_pictures(self, count: int) -> Self:
        """Return the block with all lengths in steps, for so many training pictures."""
        return self.model_copy(update={"train": self.train.for_pictures(count)})

    def for_seed(self, seed: int) -> Self:
        """Return the block of the model that is trained from this seed."""
        return self.model_copy(update={"seeds": (seed,)})


class MethodParams(Recipe):
    """What every method's block has; each method adds its own, and says which variants there are."""

    variants: tuple[str, ...]

    @model_validator(mode="after")
    def _each_variant_once(self) -> Self:
        each_once(self.variants, "variants")
        return self

    @property
    def kept_views(self) -> int | None:
        """In how many views a picture is seen by a variant that trains on features; None: in a fresh one each step."""
        return None

    @property
    def cuts_to_boxes(self) -> bool:
        """Whether a variant sees pictures cut to their annotated boxes, whatever `region` its wiring has."""
        return False

    @property
    def judged_side(self) -> int | None:
        """The side of the pictures on which features are judged; None where that is done on its own pictures alone."""
        return None

    def unmet(self, text: str, item: Mapping[str, Any]) -> str | None:
        """Return in one line why the method cannot work with the text of its wiring; None when it can.

        `item` has the parameters of that text.
        """
        return None


class FrozenParams(MethodParams):
    """What the block of a method has that can train on top of a frozen backbone."""

    # Fixed views of each training picture, whose features are computed once; None: a fresh view each step.
    views: int | None = Field(None, ge=1)

    @property
    def kept_views(self) -> int | None:
        """What the block says."""
        return self.views


def each_once(names: Sequence[str], what: str) -> None:
    """Raise ValueError for a list of names that is empty or names one twice."""
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{what} must name at least one, each once")


P = TypeVar("P", bound=MethodParams)
Q = TypeVar("Q")


@dataclass(frozen=True)
class Variant(Generic[P, Q]):
    """One model that a method's block asks for.

    `name` is its folder and its row in every table, `title` says what it is. `params` is the block with the values
    of this variant, `parts` says what the model is made of (None where all variants have the same parts). `fixed`
    says that nothing of it depends on the seed: it is made once, for the first one. `start` is the backbone of an arm
    that starts from another one than its method.
    """

    name: str
    title: str
    params: P
    parts: Q
    fixed: bool = False
    start: str = ""

    @property
    def trained(self) -> bool:
        """Whether training makes any step."""
        return self.params.train.steps > 0

    def by_seed(self) -> "list[Variant[P, Q]]":
        """Return the variant with the block of each model that is made of it."""
        seeds = self.params.seeds[:1] if self.fixed else self.params.seeds
        return [replace(self, params=self.params.for_seed(seed)) for seed in seeds]


@runtime_checkable
class Embeds(Protocol):
    """A model that describes pictures."""

    def embed(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> unit-length descriptors (B, D)."""


@runtime_checkable
class Classifies(Protocol):
    """A model that names what is in pictures."""

    class_names: list[str]

    def probabilities(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C)."""

    def presence_thresholds(self) -> Tensor | None:
        """Return the probability (C,) from which a class is present; None where each picture has one class."""


class Method(Trainable, Generic[P, Q]):
    """A published method: one class for all of its variants.

    `fieldmark.methods.<name>.model.method` names the class METHOD; `fieldmark.methods.<name>.evaluation` has
    `evaluate(models, params, task, figures)`, which scores the models of every variant (one per seed, in the order of
    the seeds), draws figures and returns an `Evaluation`. The two are separate so that a new figure does not retrain
    anything.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    Params: ClassVar[type[MethodParams]]
    unsaved: ClassVar[tuple[str, ...]] = ()  # prefixes of the names of weights that inference does not need
    judged_on: ClassVar[
        tuple[str, ...]
    ] = ()  # kinds of splits on which `transfer` may score what was trained elsewhere

    def __init__(self, variant: Variant[P, Q]) -> None:
        super().__init__()
        self.variant = variant
        self.precision: Precision | None = None  # in which it was trained; None for what is not trained
        self.earlier: list[
            Path
        ] = []  # folders of the copies that training kept, by steps, once it is read again

    @property
    def params(self) -> P:
        """The block as this variant has it."""
        return self.variant.params

    @property
    def loaded(self) -> ImageParams:
        """How pictures are loaded: as the network takes them, unless the method makes these from finer pictures."""
        return self.params.images

    @classmethod
    @abstractmethod
    def variants(cls, params: P) -> Sequence[Variant[P, Q]]:
        """Return the variants that a block asks for, in its order. A variant without steps is not trained.

        A model is saved with the params of its variant. These params must ask for the same variant again.
        """

    @classmethod
    def named(cls, params: P, name: str) -> Variant[P, Q]:
        """Return the variant `name` of a block. Raises UserError, with the nearest name, when it is not there."""
        by_name = {variant.name: variant for variant in cls.variants(params)}
        named: Variant[P, Q] = pick(by_name, name, f"{cls.name}.variants")
        return named

    @classmethod
    def training_task(cls, variant: Variant[P, Q], task: Task) -> Task:
        """Return the task that a variant is built and trained on (fewer pictures per class, for instance)."""
        return task

    @classmethod
    @abstractmethod
    def build(cls, variant: Variant[P, Q], task: Task) -> Self:
        """Build the model that training starts from. Raises UserError for parameters that do not fit the task."""

    @property
    def snapshot_steps(self) -> tuple[int, ...]:
        """After how many steps a copy of the model is kept beside it, to be scored later."""
        return ()

    def finish(self, task: Task) -> None:
        """Act once after the last step, with the final weights (a PCA is fitted here)."""

    @property
    def trained_weights(self) -> int:
        """How many weights training changes."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad) if self.variant.trained else 0

    def description(self) -> dict[str, Any]:
        """Return what `rebuild` needs besides the weights, as JSON."""
        return {}

    @classmethod
    @abstractmethod
    def rebuild(
        cls, variant: Variant[P, Q], description: Mapping[str, Any], weights: Mapping[str, Tensor]
    ) -> Self:
        """Build the network that `description` describes; its weights are loaded afterwards."""

    def save(self, folder: Path) -> None:
        """Write the weights that inference needs into an existing folder."""
        kept = {name: value for name, value in self.state_dict().items() if not name.startswith(self.unsaved)}
        save_weights(kept, folder / WEIGHTS)

    @classmethod
    def load(cls, variant: Variant[P, Q], description: Mapping[str, Any], folder: Path) -> Self:
        """Read what `save` wrote. Raises UserError when the weights do not fit the description."""
        weights = read_tensors(folder / WEIGHTS)
        method = cls.rebuild(variant, description, weights)
        method.take_up(weights, folder)
        return method

    def take_up(self, weights: Mapping[str, Tensor], folder: Path) -> None:
        """Load saved weights. Raises UserError for a weight that is unknown, or absent though it is saved."""
        absent, unknown = self.load_state_dict(dict(weights), strict=False)
        if unknown or any(not name.startswith(self.unsaved) for name in absent):
            raise UserError(f"the weights in {folder} do not fit its model.json; train the variant again")


def evenly_spaced(count: int, steps: int) -> tuple[int, ...]:
    """Return `count` numbers of steps, evenly spaced over a training of `steps`, without its last step."""
    return tuple(steps * part // (count + 1) for part in range(1, count + 1))


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write weights as safetensors, atomically."""
    with atomic_path(path) as temporary:
        save_file(contiguous(dict(weights)), temporary)
