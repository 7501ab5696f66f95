"""The figures of CPRFL's section of the report."""

from collections.abc import Mapping

from fieldmark.engine.task import Task
from fieldmark.figures.charts import loss_curves
from fieldmark.figures.curves import curves_by_loss, read_curves
from fieldmark.figures.sheets import picture_sheet
from fieldmark.methods.cprfl.evaluation.charts import similarity_matrices
from fieldmark.methods.cprfl.evaluation.looking import attention_row, similarities
from fieldmark.methods.cprfl.model.head import PromptHead
from fieldmark.methods.cprfl.model.method import Cprfl
from fieldmark.protocols.multilabel import ZERO_SHOT, Scored, pictures_by_rule
from fieldmark.protocols.multilabel_figures import BY_RULE, category_figure, means_figure, scores_figure
from fieldmark.results.figures import FigureFolder

BASELINES = (ZERO_SHOT, "BCE", "focal", "DB", "ASL", "CPRFL")
PARTS = ("random", "one-hot", "linear-PI", "VSI-path", "direct-path", "CPRFL")
BESIDE = ("ASL", "CPRFL")  # compared picture by picture
PICTURES = 6


def draw_figures(
    scored: Mapping[str, Scored], models: Mapping[str, Cprfl], task: Task, figures: FigureFolder
) -> None:
    """Draw every figure."""
    compared = {name: scored[name] for name in BASELINES if name in scored}
    parts = {name: scored[name] for name in PARTS if name in scored}
    if len(compared) > 1:
        means_figure(compared, "means.svg", "Mean average precision", figures)
    if len(parts) > 1:
        means_figure(parts, "parts.svg", "CPRFL without its parts", figures)
    category_figure(compared or scored, figures)
    _pictures(scored, models, task, figures)
    curves = {
        name: curve
        for name, curve in read_curves(task.history).items()
        if models[name].variant.parts.loss == "ASL"
    }
    if curves:
        losses = {name: lines for name, lines in curves_by_loss(curves).items() if name != "loss"}
        path = figures.new("loss.svg", "Training", "Asymmetric loss, mean of ten steps.")
        loss_curves(path, losses, order=["ASL", *PARTS])


def _pictures(
    scored: Mapping[str, Scored], models: Mapping[str, Cprfl], task: Task, figures: FigureFolder
) -> None:
    """Draw the scores of chosen pictures and, of the last variant, what its prompts are and where they look."""
    main, model = list(models.items())[-1]
    chosen = pictures_by_rule(scored[main], PICTURES)
    beside = [name for name in BESIDE if name in models] or [main]
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


def _prompts(scored: Scored, head: PromptHead, main: str, figures: FigureFolder) -> None:
    order = scored.truth.by_frequency
    title = f"Similarity of prompts before and after training, {main}"
    path = figures.new("prompts.svg", title, "Categories from the most frequent to the rarest.", wide=True)
    similarity_matrices(path, similarities(head, order), [scored.truth.names[index] for index in order])
