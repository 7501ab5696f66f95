"""The figures of PMA's section of the report."""

from collections.abc import Mapping
from pathlib import Path

from fieldmark.engine.task import Task
from fieldmark.evaluation.bootstrap import Interval, interval
from fieldmark.evaluation.classification import group_accuracies, reliability
from fieldmark.figures.charts import loss_curves, measure_bars
from fieldmark.figures.classification import accuracy_over, reliability_panels
from fieldmark.figures.curves import curves_by_loss, read_curves
from fieldmark.figures.sheets import picture_sheet
from fieldmark.methods.pma.evaluation.claims import FULL, teacher_of
from fieldmark.methods.pma.evaluation.parts import even_pictures, mended, mended_rows, stage_rows
from fieldmark.methods.pma.evaluation.predictions import Predicted
from fieldmark.methods.pma.model.method import Pma
from fieldmark.results.figures import FigureEntry, write_figures_index

MOST_GROUPS = 20
COMPARED = ("twin", "vision", FULL, "student")  # in the charts of groups and calibration
LEVELS = ("plain", "vision", "text")  # drawn beside the stages


def write_figures(
    found: Mapping[str, Predicted], models: Mapping[str, Pma], task: Task, folder: Path
) -> None:
    """Write every figure and their index into `folder`."""
    compared = {name: found[name] for name in COMPARED if name in found} or dict(found)
    bars = {name: {"top-1": _top(one), "top-5": _top(one, 5)} for name, one in found.items()}
    measure_bars(folder / "accuracy.svg", bars, ["top-1", "top-5"])
    _stages(found, models, folder)
    _texts(found, folder)
    _groups(compared, folder)
    calibration = {name: reliability(one.probabilities, one.test.labels) for name, one in compared.items()}
    reliability_panels(folder / "calibration.svg", calibration)
    main = next((name for name in (FULL, "vision") if name in found), None)
    if main:
        rows = stage_rows(models[main], found[main], task, even_pictures(found[main]))
        picture_sheet(folder / "parts.svg", rows)
    name = teacher_of(found)
    if name and models[name].attention and models[name].encoder:
        student, teacher = found["student"], found[name]
        chosen = mended(student, teacher)
        picture_sheet(folder / "mended.svg", mended_rows(student, teacher, models[name], task, chosen))
    curves = read_curves(task.history)
    if curves:
        loss_curves(folder / "loss.svg", curves_by_loss(curves), order=list(found))
    write_figures_index(folder, [entry for entry in _entries(main) if (folder / entry.file).exists()])


def _top(one: Predicted, k: int = 1, text: str = "own") -> Interval:
    return interval(one.right(k, text), one.test.labels)


def _stages(found: Mapping[str, Predicted], models: Mapping[str, Pma], folder: Path) -> None:
    """Top-1 accuracy over the number of stages of the bi-modal variants, where there are several."""
    bimodal = {
        model.attention.options.stages: _top(found[name])
        for name, model in models.items()
        if model.attention and model.encoder
    }
    if len(bimodal) > 1:
        levels = {name: _top(found[name]).value for name in LEVELS if name in found}
        accuracy_over(folder / "stages.svg", bimodal, levels, "stages")


def _texts(found: Mapping[str, Predicted], folder: Path) -> None:
    """Top-1 accuracy of each model that reads, with each text."""
    reading = {name: one for name, one in found.items() if len(one.logits) > 1}
    if reading:
        texts = list(next(iter(reading.values())).logits)
        bars = {name: {text: _top(one, 1, text) for text in texts} for name, one in reading.items()}
        measure_bars(folder / "texts.svg", bars, texts)


def _groups(compared: Mapping[str, Predicted], folder: Path) -> None:
    first = next(iter(compared.values()))
    if not first.has_groups or len(set(first.groups)) > MOST_GROUPS:
        return
    bars = {
        name: {
            part.name: part.accuracy
            for part in group_accuracies(one.right(), one.group_names, one.test.labels)
        }
        for name, one in compared.items()
    }
    measure_bars(folder / "groups.svg", bars, sorted({str(name) for name in first.group_names}))


def _entries(main: str | None) -> list[FigureEntry]:
    texts = [
        ("accuracy.svg", "Accuracy", "With 95 % intervals over classes.", True),
        (
            "stages.svg",
            "Stages",
            "Top-1 accuracy of the bi-modal model over its number of stages, and of the models it is built from.",
            False,
        ),
        (
            "texts.svg",
            "When the text is not the picture's",
            "Top-1 accuracy with a picture's own phrases, none, a random half, and those of another class.",
            False,
        ),
        (
            "parts.svg",
            f"What each stage looks at and reads, {main}",
            "The located block, and the phrases it called up with their weights; crossed ones were masked and leave. "
            "Pictures chosen by rule from the least to the greatest probability of their class.",
            True,
        ),
        (
            "mended.svg",
            "The student's errors that text would have mended",
            "Pictures that the teacher gets right and the student wrong, with the phrases its first stage called up; "
            "first those where the two differ most.",
            True,
        ),
        (
            "calibration.svg",
            "Calibration",
            "Accuracy over confidence; on the diagonal a model is as often right as it says. Darker: more pictures.",
            True,
        ),
        ("groups.svg", "Top-1 accuracy per group", "With 95 % intervals over the group's classes.", True),
        ("loss.svg", "Training", "Each loss as it enters the sum, mean of ten steps.", False),
    ]
    return [FigureEntry(file=f, title=t, caption=c, wide=w) for f, t, c, w in texts]
