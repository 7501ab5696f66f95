"""How prompts are refined during training: Figure 2b of the paper, measured at steps that were fixed beforehand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import normalize

from fieldmark.contract.variants import load_model
from fieldmark.engine.task import Task
from fieldmark.evaluation.arrays import Array
from fieldmark.evaluation.bootstrap import Interval
from fieldmark.figures.charts import interval_curves
from fieldmark.figures.sheets import Cell, picture_sheet, tinted
from fieldmark.methods.cprfl.evaluation.charts import prompt_course
from fieldmark.methods.cprfl.evaluation.looking import attention_of
from fieldmark.methods.cprfl.model.head import PromptHead
from fieldmark.methods.cprfl.model.method import Cprfl
from fieldmark.methods.cprfl.model.names import MAIN
from fieldmark.protocols.multilabel import Scored, score
from fieldmark.protocols.multilabel_figures import BY_RULE
from fieldmark.protocols.seen import seen_picture
from fieldmark.protocols.shared import SharedFeatures
from fieldmark.results.figures import FigureFolder

AS_THEY_ARE = (
    "Weights are as they were at their step; behind the last one is their moving average, where there is one."
)


@dataclass(frozen=True)
class Course:
    """The models of one training by the steps that were done, and what they say of the test pictures."""

    steps: list[int]
    models: list[Cprfl]
    scored: list[Scored]


def read_course(model: Cprfl, scored: Scored, task: Task) -> Course:
    """Read the copies that training kept of `model`, whose own scores are `scored`, and score them."""
    features, course = SharedFeatures(task), Course([], [], [])
    for folder in model.earlier:
        earlier = load_model(folder)
        if isinstance(earlier, Cprfl):
            name = f"{model.variant.name} {folder.name}"
            logits = features.run(
                earlier, earlier.batch_logits, scored.truth.subset, model.params.images, name
            )
            course.steps.append(int(folder.name))
            course.models.append(earlier)
            course.scored.append(score(name, logits, earlier.thresholds, scored.truth))
    return Course(
        [*course.steps, model.params.train.steps], [*course.models, model], [*course.scored, scored]
    )


def without_average(course: Course) -> list[str]:
    """Say how good the weights of the last step are, in a list of one note; of none where they are the model's own."""
    steps, scored = course.steps[-2:], course.scored[-2:]
    if len(steps) < 2 or steps[0] != steps[1]:
        return []
    plain, averaged = (100 * one.means["map"].value for one in scored)
    return [
        f"The weights of {MAIN} after its last step, without their moving average, have a map of {plain:.1f} % in "
        f"place of {averaged:.1f} % (first seed)."
    ]


def draw_course(course: Course, chosen: Sequence[int], task: Task, figures: FigureFolder) -> None:
    """Draw precision, the prompts and where they look, over the steps."""
    steps = [float(step) for step in course.steps]
    caption = f"On the test pictures, at steps fixed beforehand; no step was chosen by it. {AS_THEY_ARE}"
    path = figures.new("steps.svg", "Mean average precision over steps", caption)
    interval_curves(path, {name: (steps, values) for name, values in _means(course).items()}, "steps", "mAP")
    path = figures.new("refinement.svg", "Prompts over steps", AS_THEY_ARE)
    prompt_course(path, steps, refined(course))
    caption = f"Red: attention of the prompt of a picture's rarest category; below, its score. {BY_RULE}"
    path = figures.new("refined_attention.svg", "Where prompts look, over steps", caption, wide=True)
    picture_sheet(path, [_row(course, index, task) for index in chosen], lead=True)


def refined(course: Course) -> dict[str, dict[str, list[float]]]:
    """Return what becomes of the prompts, as panel -> name -> a cosine for each step.

    The first panel has the cosine of a prompt and what it is at the end, mean over the categories of a group; the
    second that of the prompts of two categories, mean over all pairs, which is 1 where nothing tells them apart.
    """
    tables = [_prompts(model) for model in course.models]
    groups: Mapping[str, Array] = course.scored[-1].truth.groups
    alike = np.stack([(table * tables[-1]).sum(1) for table in tables])
    to_the_end = {name: alike[:, mask].mean(1).tolist() for name, mask in groups.items() if mask.any()}
    count = len(tables[0])
    pairs = [(np.square(table.sum(0)).sum() - count) / max(1, count * (count - 1)) for table in tables]
    return {
        "A prompt and what it becomes": to_the_end,
        "Prompts of two categories": {"all": [float(value) for value in pairs]},
    }


def _prompts(model: Cprfl) -> Array:
    """Return the prompts of the categories (C, dim), of unit length."""
    if not isinstance(model.head, PromptHead):
        raise RuntimeError("a linear classifier has no prompts")
    with torch.no_grad():
        rows: Array = normalize(model.head.prompts().double().cpu(), dim=1).numpy()
    return rows


def _means(course: Course) -> dict[str, list[Interval]]:
    """Return the mean average precisions at each step, by name."""
    names = course.scored[-1].means
    return {name: [scored.means[name] for scored in course.scored] for name in names}


def _row(course: Course, index: int, task: Task) -> list[Cell]:
    """Return a test picture and, at each step, where the prompt of its rarest category looks."""
    truth, model = course.scored[-1].truth, course.models[-1]
    picture = seen_picture(task, model.params.images, int(truth.subset.rows[index]))
    [rarest, *_] = [category for category in truth.by_frequency[::-1] if truth.targets[index, category]]
    cells = [Cell(picture, truth.names[rarest])]
    for step, earlier, scored in zip(course.steps, course.models, course.scored, strict=True):
        looks = attention_of(earlier, picture)[rarest]
        told = f"{step}, averaged" if earlier is model and model.params.train.ema else f"{step} steps"
        cells.append(Cell(tinted(picture, looks), told, f"{scored.scores[index, rarest]:.2f}"))
    return cells
