"""The figures of CPRFL's section of the report."""

from collections.abc import Mapping, Sequence

from fieldmark.engine.task import Task
from fieldmark.figures.charts import loss_curves
from fieldmark.figures.curves import curves_by_loss, read_curves
from fieldmark.figures.sheets import picture_sheet
from fieldmark.methods.cprfl.evaluation.charts import similarity_matrices
from fieldmark.methods.cprfl.evaluation.looking import attention_row, similarities
from fieldmark.methods.cprfl.evaluation.refinement import Course, draw_course
from fieldmark.methods.cprfl.model.head import PromptHead
from fieldmark.methods.cprfl.model.method import Cprfl
from fieldmark.methods.cprfl.model.names import LINEAR, MAIN, PROMPTED, with_prompts
from fieldmark.protocols.multilabel import ZERO_SHOT, Scored, pictures_by_rule
from fieldmark.protocols.multilabel_figures import BY_RULE, category_figure, means_figure, scores_figure
from fieldmark.results.figures import FigureFolder

BASELINES = (ZERO_SHOT, *LINEAR, MAIN)
PARTS = (*PROMPTED,)
COMPONENTS = ("focal", "linear-PI-focal", "CPRFL-focal", MAIN)  # Table 3: each has one part more
BESIDE = (ZERO_SHOT, "ASL", MAIN)  # compared picture by picture
PICTURES = 6


def draw_figures(
    scored: Mapping[str, Scored],
    models: Mapping[str, Cprfl],
    task: Task,
    figures: FigureFolder,
    course: Course | None = None,
) -> None:
    """Draw every figure; those of a `course` where copies were kept during training."""
    params = next(iter(models.values())).params
    compared = {name: scored[name] for name in BASELINES if name in scored}
    _means(scored, BASELINES, "means.svg", "Mean average precision", figures)
    _means(scored, PARTS, "parts.svg", "CPRFL without its parts", figures)
    with_losses = [name for name in scored if name.startswith(f"{MAIN}-")]
    _means(scored, [*with_losses, MAIN], "losses.svg", "CPRFL with other losses", figures)
    if {"linear-PI-focal", "CPRFL-focal"} & set(scored):
        _means(scored, COMPONENTS, "components.svg", "From the focal loss to CPRFL, part by part", figures)
    others = [with_prompts(item) for item in params.prompts[1:]]
    if others:
        names = ("random", "one-hot", *others, MAIN)
        _means(scored, names, "origins.svg", "CPRFL with vectors of other origins as prompts", figures)
    category_figure(compared or scored, figures)
    _pictures(scored, models, task, figures, course)
    curves = {
        name: curve
        for name, curve in read_curves(task.history).items()
        if models[name].variant.parts.loss == "ASL"
    }
    if curves:
        losses = {name: lines for name, lines in curves_by_loss(curves).items() if name != "loss"}
        path = figures.new("loss.svg", "Training", "Asymmetric loss, mean of ten steps.")
        loss_curves(path, losses, order=["ASL", *PARTS, *others])


def _means(
    scored: Mapping[str, Scored], names: Sequence[str], file: str, title: str, figures: FigureFolder
) -> None:
    """Draw the means of those variants `names` that there are, where they are more than one."""
    shown = {name: scored[name] for name in names if name in scored}
    if len(shown) > 1:
        means_figure(shown, file, title, figures)


def _pictures(
    scored: Mapping[str, Scored],
    models: Mapping[str, Cprfl],
    task: Task,
    figures: FigureFolder,
    course: Course | None,
) -> None:
    """Draw the scores of chosen pictures and, of CPRFL or the last variant, its prompts and where they look."""
    main = MAIN if MAIN in models else list(models)[-1]
    model = models[main]
    chosen = pictures_by_rule(scored[main], PICTURES)
    beside = dict.fromkeys([*(name for name in BESIDE if name in scored), main])
    scores_figure({name: scored[name] for name in beside}, chosen, model.params.images, task, figures)
    if isinstance(model.head, PromptHead):
        rows = [attention_row(task, scored[main], model, index) for index in chosen]
        caption = (
            "Red: attention of a category's prompt over the picture, mean over the heads; below, its score and "
            f"threshold. {BY_RULE}"
        )
        path = figures.new("attention.svg", f"Where prompts look, {main}", caption, wide=True)
        picture_sheet(path, rows, lead=True)
        _prompts(scored[main], model.head, main, figures)
    if course:
        draw_course(course, chosen, task, figures)


def _prompts(scored: Scored, head: PromptHead, main: str, figures: FigureFolder) -> None:
    order = scored.truth.by_frequency
    title = f"Similarity of prompts before and after training, {main}"
    path = figures.new("prompts.svg", title, "Categories from the most frequent to the rarest.", wide=True)
    similarity_matrices(path, similarities(head, order), [scored.truth.names[index] for index in order])
