"""The figures of PMA's section of the report."""

from collections.abc import Mapping

from fieldmark.engine.task import Task
from fieldmark.figures.charts import loss_curves, measure_bars
from fieldmark.figures.classification import accuracy_over, reliability_panels
from fieldmark.figures.curves import curves_by_loss, read_curves
from fieldmark.figures.sheets import picture_sheet
from fieldmark.methods.pma.evaluation.claims import FULL, teacher_of
from fieldmark.methods.pma.evaluation.parts import mended, mended_rows, stage_rows
from fieldmark.methods.pma.evaluation.predictions import Predicted, Runs
from fieldmark.methods.pma.model.method import Pma
from fieldmark.methods.pma.model.variants import Parts
from fieldmark.protocols.classification import Classified, by_part, evenly_by_probability
from fieldmark.protocols.seeds import first_of
from fieldmark.results.figures import FigureFolder

MAX_GROUPS = 20
COMPARED = ("twin", "vision", FULL, "student")  # in the charts of groups and calibration
LEVELS = ("plain", "vision", "text")  # drawn beside the stages


def draw_figures(runs: Runs, models: Mapping[str, Pma], task: Task, figures: FigureFolder) -> None:
    """Draw every figure from the first seed of `runs`, whose models are `models`."""
    predicted = first_of(runs)
    _accuracy(predicted, figures)
    _stages(predicted, figures)
    _texts(predicted, figures)
    _parts(predicted, models, task, figures)
    if teacher := teacher_of(runs):
        _mended(predicted, models, teacher, task, figures)
    compared = {name: predicted[name].with_own_text for name in COMPARED if name in predicted}
    compared = compared or {name: prediction.with_own_text for name, prediction in predicted.items()}
    _calibration(compared, figures)
    _groups(compared, figures)
    if curves := read_curves(task.history):
        path = figures.new("loss.svg", "Training", "Each loss as it enters the sum, mean of ten steps.")
        loss_curves(path, curves_by_loss(curves), order=list(predicted))


def _accuracy(predicted: Mapping[str, Predicted], figures: FigureFolder) -> None:
    path = figures.new("accuracy.svg", "Accuracy", "With 95 % intervals over classes.", wide=True)
    bars = {
        name: {"top-1": prediction.with_own_text.accuracy(), "top-5": prediction.with_own_text.accuracy(5)}
        for name, prediction in predicted.items()
    }
    measure_bars(path, bars, ["top-1", "top-5"])


def _stages(predicted: Mapping[str, Predicted], figures: FigureFolder) -> None:
    """Top-1 accuracy over the number of stages of the bi-modal variants, where there are several."""
    bimodal = {
        prediction.variant.parts.stages: prediction.with_own_text.accuracy()
        for prediction in predicted.values()
        if _is_whole(prediction.variant.parts)
    }
    if len(bimodal) > 1:
        path = figures.new(
            "stages.svg",
            "Stages",
            "Top-1 accuracy of the bi-modal model over its number of stages, and of the models it is built from.",
        )
        levels = {
            name: predicted[name].with_own_text.accuracy().value for name in LEVELS if name in predicted
        }
        accuracy_over(path, bimodal, levels, "stages")


def _is_whole(parts: Parts) -> bool:
    return bool(parts.stages) and parts.language and parts.without is None


def _texts(predicted: Mapping[str, Predicted], figures: FigureFolder) -> None:
    """Top-1 accuracy of each model that reads, with each text."""
    reading = {
        name: prediction.by_text for name, prediction in predicted.items() if len(prediction.by_text) > 1
    }
    if reading:
        path = figures.new(
            "texts.svg",
            "When the text is not the picture's",
            "Top-1 accuracy with a picture's own phrases, none, a random half, and those of another class.",
        )
        bars = {
            name: {text: classified.accuracy() for text, classified in by_text.items()}
            for name, by_text in reading.items()
        }
        measure_bars(path, bars, list(next(iter(reading.values()))))


def _parts(
    predicted: Mapping[str, Predicted], models: Mapping[str, Pma], task: Task, figures: FigureFolder
) -> None:
    """What each stage of the main variant looks at and reads."""
    name = next((name for name in (FULL, "vision") if name in predicted), None)
    if name is None:
        return
    path = figures.new(
        "parts.svg",
        f"What each stage looks at and reads, {name}",
        "The located block, and the phrases it called up with their weights; crossed ones were masked and leave. "
        "Pictures chosen by rule from the least to the greatest probability of their class.",
        wide=True,
    )
    chosen = evenly_by_probability(predicted[name].with_own_text)
    picture_sheet(path, stage_rows(models[name], predicted[name], task, chosen))


def _mended(
    predicted: Mapping[str, Predicted],
    models: Mapping[str, Pma],
    name: str,
    task: Task,
    figures: FigureFolder,
) -> None:
    """What the teacher `name` read where the student is wrong, if the teacher reads and has stages."""
    if not (models[name].attention and models[name].encoder):
        return
    path = figures.new(
        "mended.svg",
        "The student's errors that text would have mended",
        "Pictures that the teacher gets right and the student wrong, with the phrases its first stage called up; "
        "first those where the two differ most.",
        wide=True,
    )
    student, teacher = predicted["student"], predicted[name]
    chosen = mended(student.with_own_text, teacher.with_own_text)
    picture_sheet(path, mended_rows(student, teacher, models[name], task, chosen))


def _calibration(compared: Mapping[str, Classified], figures: FigureFolder) -> None:
    path = figures.new(
        "calibration.svg",
        "Calibration",
        "Accuracy over confidence; on the diagonal a model is as often right as it says. Darker: more pictures.",
        wide=True,
    )
    reliability_panels(path, {name: classified.reliability for name, classified in compared.items()})


def _groups(compared: Mapping[str, Classified], figures: FigureFolder) -> None:
    """Top-1 accuracy per group, where classes form few groups."""
    first = next(iter(compared.values()))
    if not first.has_groups or len(set(first.groups)) > MAX_GROUPS:
        return
    caption = "With 95 % intervals over the group's classes."
    path = figures.new("groups.svg", "Top-1 accuracy per group", caption, wide=True)
    bars = {
        name: {part.name: part.accuracy for part in by_part([classified], classified.picture_groups)}
        for name, classified in compared.items()
    }
    measure_bars(path, bars, sorted({str(name) for name in first.picture_groups}))
