"""The variants of PMA, and the students that a variant teaches: what each is, and what it is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Without = Literal["visual-mask", "text-mask", "local", "global", "QRM", "SAM"]
AblatedName = Literal[
    "vision-no-mask",
    "PMA-no-visual-mask",
    "PMA-no-text-mask",
    "PMA-no-local",
    "PMA-no-global",
    "PMA-SAM",
    "PMA-QRM",
]
FullName = Literal["plain", "vision", "text", "PMA-1", "PMA-2", "PMA-3", "PMA-4", "PMA-5", "PMA"]
TrainedName = Literal[FullName, AblatedName]
StudentName = Literal["student", "twin"]  # twin: the same network and budget, labels alone
VariantName = Literal[TrainedName, StudentName]

BOTH = "picture and phrases, {stages}"
# What each part that is left out changes in the options of the attention.
ABLATIONS: Mapping[Without, Mapping[str, Any]] = {
    "visual-mask": {"visual_mask": False},
    "text-mask": {"mask_max": 0},
    "local": {"streams": "global"},
    "global": {"streams": "local"},
    "QRM": {"scores": "SAM"},
    "SAM": {"scores": "QRM"},
}


@dataclass(frozen=True)
class Parts:
    """What a model is made of; without `stages` it has no attention."""

    image: bool
    language: bool
    stages: int
    without: Without | None = None  # the part of the attention that is left out


class Row(NamedTuple):
    """What the table says of a variant; `stages` None stands for as many as the block says.

    The title may name {stages} and the {teacher} of a student.
    """

    title: str
    image: bool = True
    language: bool = True
    stages: int | None = None
    without: Without | None = None


TABLE: dict[VariantName, Row] = {
    "plain": Row("backbone alone", language=False, stages=0),
    "vision": Row("attention on the picture alone, {stages}", language=False),
    "text": Row("phrases alone", image=False, stages=0),
    "PMA-1": Row(BOTH, stages=1),
    "PMA-2": Row(BOTH, stages=2),
    "PMA-3": Row(BOTH, stages=3),
    "PMA-4": Row(BOTH, stages=4),
    "PMA-5": Row(BOTH, stages=5),
    "PMA": Row(BOTH),
    "vision-no-mask": Row(
        "as vision, located parts stay in sight, {stages}", language=False, without="visual-mask"
    ),
    "PMA-no-visual-mask": Row("as PMA, located parts stay in sight, {stages}", without="visual-mask"),
    "PMA-no-text-mask": Row("as PMA, phrases that were called up stay, {stages}", without="text-mask"),
    "PMA-no-local": Row("as PMA, global streams alone, {stages}", without="local"),
    "PMA-no-global": Row("as PMA, local streams alone, {stages}", without="global"),
    "PMA-SAM": Row("as PMA, SAM in place of QRM, {stages}", without="QRM"),
    "PMA-QRM": Row("as PMA, QRM in place of SAM, {stages}", without="SAM"),
    "student": Row("picture alone, taught by {teacher}", language=False, stages=0),
    "twin": Row("the student's network and budget, labels alone", language=False, stages=0),
}


def title_of(name: VariantName, stages: int, teacher: TrainedName | None) -> str:
    """Say what a variant of a block with these `stages` and this `teacher` is."""
    count = parts_of(name, stages).stages
    spelt = f"{count} stage" if count == 1 else f"{count} stages"
    return TABLE[name].title.format(stages=spelt, teacher=teacher)


def parts_of(name: VariantName, stages: int) -> Parts:
    """Return what a variant of a block with these `stages` is made of."""
    row = TABLE[name]
    return Parts(row.image, row.language, stages if row.stages is None else row.stages, row.without)
