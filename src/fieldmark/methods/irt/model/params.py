"""The `irt:` block of `params.yaml`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from fieldmark.base.blocks import Block
from fieldmark.contract.method import MethodParams
from fieldmark.methods.irt.model.pairs import Reduction
from fieldmark.methods.irt.model.rivals import LossName
from fieldmark.vision.pooling import Pooling

VariantName = Literal["O", "L", "R"]


class MemoryParams(Block):
    """The cross-batch memory."""

    fraction: float = Field(1.0, ge=0.0, le=1.0)  # size as a fraction of the training set; 0: no memory
    start: int = Field(0, ge=0)  # first step whose loss looks into the memory
    start_passes: float | None = Field(None, gt=0)  # the same in passes over the training pictures
    # Of the momentum encoder that makes the entries; None: the model makes them.
    momentum: float | None = Field(None, ge=0.0, lt=1.0)


class TupleParams(Block):
    """Training on pairs that the data set names, with hard negatives: for specific objects (SfM-120k)."""

    negatives: int = Field(5, ge=1)  # of each query, from as many other objects
    pairs: int = Field(2000, ge=1)  # drawn for each round, in which its negatives stay
    pool: int = Field(22000, ge=1)  # pictures, drawn for each round, among which its negatives are sought

    @property
    def length(self) -> int:
        """Pictures of a tuple."""
        return 2 + self.negatives


class IrtParams(MethodParams):
    """IRT (arXiv 2102.05644), section 3. Defaults are the paper's for category-level retrieval."""

    variants: tuple[VariantName, ...] = ("O", "L", "R")  # frozen, contrastive only, with KoLeo
    lambda_: float = Field(0.7, ge=0.0, alias="lambda")  # weight of KoLeo in variant R
    margin: float = Field(0.5, ge=-1.0, lt=1.0)  # beta: similarity below which a negative costs nothing
    # What pairs of pictures cost; all but "contrastive" are what the paper compares it with.
    loss: LossName = "contrastive"
    temperature: float | None = Field(
        None, gt=0.0
    )  # of nsoftmax, proxynca and snca; None: that of their papers
    proxy_lr: float = Field(1.0, gt=0.0)  # multiple of train.lr for the proxies of nsoftmax and proxynca
    gradients: bool = False  # whether the spread of the loss's gradients is measured while training
    reduction: Reduction = "sum"  # of the contrastive loss; "mean" is how a popular library reads it
    pooling: Pooling = "cls"
    dim: int | None = Field(None, ge=1)  # descriptor length after the PCA; None: no PCA
    memory: MemoryParams = MemoryParams()
    # Batches of tuples, whose margin is a distance; None: pairs within a batch, by class.
    tuples: TupleParams | None = None

    @model_validator(mode="after")
    def _whole_tuples(self) -> Self:
        if self.tuples is None:
            return self
        train, length = self.train, self.tuples.length
        if train.batch_size % (length * train.accumulate):
            raise ValueError(
                f"train.batch_size {train.batch_size} must be whole tuples of {length} pictures, times accumulate"
            )
        if train.images_per_class is not None or self.memory.fraction or self.reduction != "sum":
            raise ValueError(
                "tuples go with train.images_per_class null, memory.fraction 0 and reduction sum"
            )
        return self

    def for_pictures(self, count: int) -> Self:
        """Return the block with all lengths in steps, the memory's start too."""
        if self.memory.start_passes is None:
            return super().for_pictures(count)
        start = self.train.steps_in(self.memory.start_passes, count)
        memory = self.memory.model_copy(update={"start": start, "start_passes": None})
        return super().for_pictures(count).model_copy(update={"memory": memory})
