"""Scoring what every variant's features are worth for dense prediction, and how well positions are predicted."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from fieldmark.base.errors import UserError
from fieldmark.engine.task import Judged, Task
from fieldmark.evaluation.bootstrap import Interval
from fieldmark.evaluation.segmentation import Overlaps, miou_interval
from fieldmark.figures.curves import labelled, read_curves
from fieldmark.methods.loca.evaluation.claims import make_claims
from fieldmark.methods.loca.evaluation.figures import draw_figures
from fieldmark.methods.loca.evaluation.positions import (
    PositionRuns,
    Positions,
    position_accuracy,
    predict_positions,
)
from fieldmark.methods.loca.evaluation.probes import Dense, DenseRuns, floor, judge, tuned
from fieldmark.methods.loca.model.collapse import diagnosis
from fieldmark.methods.loca.model.dense import DenseParams
from fieldmark.methods.loca.model.method import Loca
from fieldmark.methods.loca.model.params import LocaParams
from fieldmark.methods.loca.model.tuning import TuneParams
from fieldmark.protocols.pairs import Pairs
from fieldmark.protocols.seeds import first_of, resampling, seed_count
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import Evaluation, VariantResult

NO_MASKS = "There are no pictures with masks for training and test: dense prediction was not scored."
Measures = dict[str, Interval]


def evaluate(
    models: Mapping[str, Sequence[Loca]], params: LocaParams, task: Task, figures: FigureFolder
) -> Evaluation:
    """Probe and fine-tune the variants, and what is judged beside them; predict positions, and draw the figures.

    Raises UserError when there is nothing to score: neither masks nor a variant that predicts positions.
    """
    judged = task.judged or Judged(task, {})
    beside = {name: [Loca.given(name, params, folder)] for name, folder in judged.backbones.items()}
    models = {**models, **beside}
    train, test = Pairs.of(judged.task, "train"), Pairs.of(judged.task, "test")
    dense = judge(models, params.dense, train, test) if len(train) and len(test) else {}
    positions = predict_positions(models, task)
    if not (dense or positions):
        raise UserError(
            "loca: no pictures with masks, and no variant of loca.variants that predicts positions"
        )
    measures = {name: measured(dense.get(name, ()), positions.get(name, ())) for name in models}
    shown, first, first_positions = first_of(models), first_of(dense), first_of(positions)
    drawn = measures if seed_count(models) == 1 else _of_first(models, dense, positions)
    draw_figures(shown, first, first_positions, drawn, task, test, figures)
    headline = _headline(measures)
    return Evaluation(
        title=Loca.title,
        variants=(
            *_floor(train, test, headline),
            *(_result(shown[name], values) for name, values in measures.items() if values),
        ),
        headline=headline,
        metrics=headline,
        claims=tuple(make_claims(shown, dense, positions)),
        counts=_counts(train, test, positions, task),
        parameters={"encoder": {name: _weights(model) for name, model in shown.items()}},
        details={"class_iou": {name: _by_class(scored, test) for name, scored in dense.items()}},
        notes=(*_notes(params, first, seed_count(models)), *_elsewhere(task, beside), *_collapses(task)),
    )


def _of_first(names: Iterable[str], dense: DenseRuns, positions: PositionRuns) -> dict[str, Measures]:
    """Return the measures of the first seed, which the figures show."""
    return {name: measured(dense.get(name, ())[:1], positions.get(name, ())[:1]) for name in names}


def _floor(train: Pairs, test: Pairs, headline: Iterable[str]) -> Iterator[VariantResult]:
    """Yield what a row of the headline is to be compared with: a single label everywhere."""
    names = [name for name in headline if name.startswith("miou")]
    if names:
        measure = miou_interval([floor(train, test)])
        title = "no network: the most frequent label everywhere"
        yield VariantResult(name="floor", title=title, measures=dict.fromkeys(names, measure))


def _result(model: Loca, measures: Measures) -> VariantResult:
    return VariantResult(name=model.variant.name, title=model.variant.title, measures=measures)


def measured(dense: Sequence[Dense], positions: Sequence[Positions]) -> Measures:
    """Return a variant's measures by name, over its seeds; the probe on all labels and fine-tuning first."""
    measures: Measures = {}
    if dense:
        for fraction in sorted(dense[0].probes, reverse=True):
            measures[measure_name("miou_probe", fraction)] = miou_interval(
                [one.probes[fraction] for one in dense]
            )
        for fraction in sorted(dense[0].tunings, reverse=True):
            name = measure_name("miou_finetune", fraction)
            measures[name] = miou_interval([one.tunings[fraction] for one in dense])
    if positions:
        measures["position_accuracy"] = position_accuracy(positions)
    return measures


def measure_name(start: str, fraction: float) -> str:
    """Name the mIoU of what was trained on a fraction of the labels."""
    return start if fraction == 1 else f"{start}@{100 * fraction:.3g}%"


def _headline(measures: Mapping[str, Measures]) -> tuple[str, ...]:
    """Probe and fine-tuning on the largest fraction of the labels, and pretext accuracy, whichever were measured."""
    known = list(dict.fromkeys(name for values in measures.values() for name in values))
    firsts = [
        [name for name in known if name.startswith(start)][:1]
        for start in ("miou_probe", "miou_finetune", "position_accuracy")
    ]
    return tuple(name for first in firsts for name in first)


def _counts(train: Pairs, test: Pairs, positions: PositionRuns, task: Task) -> dict[str, int | float | str]:
    where = {"features judged on": task.judged.task.split_params.dataset} if task.judged else {}
    counts: dict[str, int | float | str] = {
        **where,
        "training pictures with a mask": len(train),
        "test pictures with a mask": len(test),
        "labels": test.classes,
    }
    for scored in positions.values():
        counts["position chance"] = f"1 in {scored[0].patches}"
    return counts


def _weights(model: Loca) -> int:
    return sum(parameter.numel() for parameter in model.backbone.parameters())


def _by_class(dense: Sequence[Dense], test: Pairs) -> dict[str, dict[str, float | None]]:
    """Return the IoU of each label by name (mean over seeds); None for a label that is nowhere."""
    names = test.task.store.mask_names

    def rows(by_seed: Sequence[Overlaps]) -> dict[str, float | None]:
        values = np.mean([overlaps.iou for overlaps in by_seed], axis=0).tolist()
        return {name: None if math.isnan(value) else value for name, value in zip(names, values, strict=True)}

    probed = {"probe": rows([one.probe for one in dense])}
    return probed | ({"finetune": rows(tuned(dense))} if tuned(dense) else {})


def _notes(params: LocaParams, dense: Mapping[str, Dense], seeds: int) -> list[str]:
    intervals = resampling("test pictures", seeds)
    if not dense:
        return [NO_MASKS, intervals]
    notes = [
        intervals,
        "mIoU is the mean over labels that occur, from the pixels of all test pictures together, at the stored "
        f"size. {_seen(params.dense)}",
        "Probes are linear on frozen features, standardised by channel; every variant has the same recipe and "
        "the same labelled pictures. The official release has no code for this: the decoder is Segmenter's.",
        f"A probe makes {params.dense.probe.passes:g} passes over its labelled pictures, however many they are.",
    ]
    if "supervised" in params.variants:
        notes.append(
            "`supervised` learns the classes of the pictures that LOCA learns from without them, in as many steps of "
            "as many pictures, from the two large views of each."
        )
    if {"position", "LOCA"} <= set(dense):
        notes.append(
            "As in the released code, the position loss alone also goes without position table in the queries, "
            "averaged teacher and hidden reference patches in the encoder: from LOCA it differs by more than a loss."
        )
    if params.dense.finetune:
        notes.append(_tuning(params.dense, params.dense.finetune))
    absent = sorted({label for scored in dense.values() for label in scored.probe.absent})
    if absent:
        notes.append(f"{len(absent)} labels are in no test picture and in no prediction; they do not count.")
    return notes


def _elsewhere(task: Task, beside: Iterable[str]) -> Iterator[str]:
    """Say what was judged on other pictures, and what was trained on others."""
    own, judged = task.split_params, task.judged
    if judged and judged.task.split_params != own:
        yield (
            f"Features are judged on `{judged.task.split_params.dataset}`; what is trained here learns from "
            f"`{own.dataset}`, where positions are scored."
        )
    if names := ", ".join(f"`{name}`" for name in beside):
        yield (
            f"Trained elsewhere: {names}. Their networks, pictures, labels and lengths of training are their own; only "
            "the judgement is the same for all."
        )


def _seen(params: DenseParams) -> str:
    """Say how pictures are brought before the network."""
    if params.windows is None:
        return "Pictures are seen whole, made square; the paper slides a window."
    return (
        f"Probes see pictures whole, made square. Fine-tuning sees crops of {params.windows.side} px of pictures that "
        f"keep their shape, and is tested with a sliding window (stride {params.windows.stride})."
    )


def _tuning(params: DenseParams, recipe: TuneParams) -> str:
    """Say how long fine-tuning is, on how many labels, and what it begins with."""
    length = f"{recipe.steps} steps" if recipe.passes is None else f"{recipe.passes:g} passes in steps"
    parts = params.tuned_fractions
    labels = "all" if parts == (1.0,) else " and ".join(f"{100 * part:.3g} %" for part in parts) + " of the"
    begins = "from the probe's decoder on" if params.decoder == "probe" else "with a new decoder"
    return f"Fine-tuning: {length} of {recipe.batch_size} pictures on {labels} labels {begins}, one recipe for all."


def _collapses(task: Task) -> list[str]:
    """Say of every trained variant whose curve shows it whether it has collapsed."""
    notes = []
    for name, columns in labelled(read_curves(task.history)).items():
        last = {column: values[-1] for column, values in columns.items() if values}
        if "prototypes" in last or "feature_std" in last:
            verdict = diagnosis({key: value for key, value in last.items() if not math.isnan(value)})
            notes.append(f"{name} has {verdict}." if verdict else f"{name} has not collapsed.")
    return notes
