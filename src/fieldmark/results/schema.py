"""What evaluation hands to the report, as it stands in the files of `reports/results`."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel, model_validator

Number = Annotated[int | float, Field(allow_inf_nan=False)]


class _Checked(BaseModel):
    """A part of a results file; keys that the report does not know are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")


# Values by training seed, in the order of the seeds; left out of the file where there is a single one.
BySeed = Annotated[tuple[Number, ...], Field(exclude_if=lambda values: not values)]


class Measure(_Checked):
    """A number, with its 95 % interval where one was computed; an `Interval` has the same attributes and fits.

    Where it is a mean over several training seeds, `seeds` are the values of each.
    """

    # An `Interval` is known by its attributes: to import its class is to import torch, which takes seconds.
    model_config = ConfigDict(from_attributes=True)

    value: Number
    low: Number | None = None
    high: Number | None = None
    seeds: BySeed = ()


def _measure(value: Any) -> Any:
    return {"value": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


AnyMeasure = Annotated[Measure, BeforeValidator(_measure)]
Verdict = Literal["holds", "does not hold", "undecided", "not testable here"]


class Claim(_Checked):
    """What a paper claims and what was found here.

    `claim` is what the paper says, `paper` the numbers it reports, `decides` what decides it here; `value`, `low`
    and `high` are the measured difference with its 95 % interval, `seeds` the differences by training seed where there
    are several. `reason` says why a claim cannot be tested here. `among` is the number of claims that could be decided
    at once, by wider intervals, without changing what the interval says of this one; 0 where that decides nothing.
    """

    claim: str
    paper: str
    decides: str
    value: Number | None = None
    low: Number | None = None
    high: Number | None = None
    seeds: BySeed = ()
    verdict: Verdict
    among: Annotated[int, Field(ge=0, exclude_if=lambda among: not among)] = 0
    reason: Annotated[str, Field(exclude_if=lambda reason: not reason)] = ""

    @model_validator(mode="after")
    def _reasoned(self) -> Self:
        if (self.verdict == "not testable here") != bool(self.reason):
            raise ValueError("a reason belongs to a claim that is not testable here, and to no other")
        return self


class VariantResult(_Checked):
    """What was measured of one variant; the measures may be given as numbers or intervals.

    `backbone` is the one it starts from, where that is not its method's.
    """

    name: str
    title: str = ""
    backbone: Annotated[str, Field(exclude_if=lambda backbone: not backbone)] = ""
    measures: dict[str, AnyMeasure]


class Evaluation(_Checked):
    """What the evaluation of a method returns; the figures stand in a folder of their own.

    `headline` are the measures that the report's first table shows, `metrics` those that DVC shows and compares:
    only a few, because every value is a row of `dvc metrics diff`. `details` is what a reader of the file may look
    up per class or picture; the report does not show it.
    """

    title: str
    variants: tuple[VariantResult, ...] = Field(min_length=1)
    headline: tuple[str, ...] = Field(min_length=1)
    metrics: tuple[str, ...] = Field(min_length=1)
    lower_is_better: tuple[str, ...] = ()  # among the headline
    claims: tuple[Claim, ...] = ()
    counts: dict[str, int | float | str] = {}
    parameters: dict[str, Any] = {}
    details: dict[str, Any] = {}
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _named_measures_exist(self) -> Self:
        for field in ("headline", "metrics"):
            for index, name in enumerate(getattr(self, field)):
                if not any(name in variant.measures for variant in self.variants):
                    raise ValueError(f"{field}.{index} names '{name}', which no variant has")
        return self

    @property
    def others(self) -> list[str]:
        """Names of the measures that are not in the headline, in alphabetical order."""
        known = {name for variant in self.variants for name in variant.measures}
        return sorted(known - set(self.headline))

    @property
    def metric_measures(self) -> dict[str, Measure]:
        """What DVC compares, with intervals: one flat name per measure of a variant, such as "R.recall@1"."""
        return {
            f"{variant.name}.{name}": variant.measures[name]
            for variant in self.variants
            for name in self.metrics
            if name in variant.measures
        }

    @property
    def metric_values(self) -> dict[str, float]:
        """The values of `metric_measures`: `reports/metrics/<method>.json`."""
        return {name: measure.value for name, measure in self.metric_measures.items()}


class SavedModels(_Checked):
    """The models of one variant: their folder, which has one for each of the seeds, and the steps of their training."""

    folder: str
    seeds: tuple[int, ...] = Field(min_length=1)
    steps: int


class MethodResult(Evaluation):
    """`reports/results/<method>.json`: an evaluation, and what the method worked on."""

    method: str
    split: str
    dataset: str
    backbone: str = ""
    text: str = ""
    region: str = "whole"  # what was seen of each picture; box: the square around its box
    precision: str = ""  # in which the variants were trained on the machine at hand: fp32, bf16, or both
    # What was trained on these data, by the name of the variant, arm or student; `transfer` has none of its own.
    models: Annotated[dict[str, SavedModels], Field(exclude_if=lambda models: not models)] = {}


class NetworkResult(_Checked):
    """`reports/results/backbones/<name>.json`: where a network comes from and what it can do by itself.

    A CLIP and a set of prompts have the same file. `metrics` are the measures that DVC shows and compares.
    """

    name: str
    arch: str = ""
    weights: str | None = None
    parameters: int | None = None  # how many weights it has
    split: str = ""
    measures: dict[str, AnyMeasure] = {}
    metrics: tuple[str, ...] = ()
    details: dict[str, Any] = {}
    notes: tuple[str, ...] = ()

    @property
    def metric_measures(self) -> dict[str, Measure]:
        """What DVC compares, with intervals, by the name of the measure."""
        return {name: self.measures[name] for name in self.metrics if name in self.measures}

    @property
    def metric_values(self) -> dict[str, float]:
        """The values of `metric_measures`: `reports/metrics/backbones/<name>.json`."""
        return {name: measure.value for name, measure in self.metric_measures.items()}


class MetricValues(RootModel[dict[str, Number]]):
    """A file below `reports/metrics`: what DVC compares, one flat name per value."""


class PhraseSample(_Checked):
    """One caption of a picture with its tagged words and its phrases."""

    id: str
    caption: str
    tagged: list[tuple[str, str]] = []
    phrases: list[str] = []


class PhrasesResult(_Checked):
    """`reports/results/phrases/<name>.json`: what was extracted from the captions of a data set."""

    dataset: str
    split: str
    tagger: str
    grammar: str = ""
    counts: dict[str, int] = {}
    phrases_per_picture: dict[str, Number] = {}
    unknown_words: float = Field(0.0, ge=0.0, le=1.0)
    frequent: list[tuple[str, int]] = []
    sample: list[PhraseSample] = []
