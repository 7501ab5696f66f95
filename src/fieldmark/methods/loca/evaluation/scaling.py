"""How LOCA's features grow with pictures and with the network: the paper's Figure 6, on what was trained here."""

from collections.abc import Iterator, Mapping

from fieldmark.engine.task import Task
from fieldmark.evaluation.bootstrap import Interval
from fieldmark.evaluation.segmentation import miou_difference
from fieldmark.figures.trends import Point, trend_panels
from fieldmark.methods.loca.evaluation.probes import DenseRuns, tuned
from fieldmark.methods.loca.model.method import Loca
from fieldmark.methods.loca.model.modes import MODES
from fieldmark.results.claims import claim_difference
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import Claim

ZOO = (
    "ADE20k, fine-tuned, official README: ViT-S 44.8 and ViT-B 48.0 mIoU from ImageNet-1k; "
    "ViT-B 48.5, ViT-L 52.3 and ViT-H 54.3 from ImageNet-21k"
)
MEASURES = {"mIoU of the probe": "miou_probe", "mIoU after fine-tuning": "miou_finetune"}
Measures = Mapping[str, Mapping[str, Interval]]
Panels = dict[str, dict[str, list[Point]]]


def scaling_figures(
    models: Mapping[str, Loca], measures: Measures, task: Task, figures: FigureFolder
) -> None:
    """Draw mIoU over training pictures, a line per network, and over weights, a line per part of the pictures."""
    pictures = len(task.subset("train"))
    caption = "A line per network; all of them make the same number of steps. With 95 % intervals."
    _figure(
        "pictures", "More pictures", caption, "training pictures", _by(models, measures, pictures), figures
    )
    caption = "A line per part of the training pictures. With 95 % intervals."
    _figure(
        "networks", "Larger networks", caption, "weights of the encoder", _by(models, measures, None), figures
    )


def scaling_claims(models: Mapping[str, Loca], dense: DenseRuns) -> Iterator[Claim]:
    """Yield whether the largest network, and all pictures, beat the smallest: where both are alike but for that."""
    ours = {name: models[name] for name in _compared(models) if name in dense}
    for small in ours:
        one = ours[small].variant.parts
        for large in ours:
            other = ours[large].variant.parts
            if one.network == other.network and one.fraction < other.fraction == 1.0:
                yield _claim("LOCA gains from more pictures", large, small, dense)
            if one.fraction == other.fraction == 1.0 and _weights(ours[small]) < _weights(ours[large]):
                yield _claim("LOCA gains from a larger network", large, small, dense)


def _claim(statement: str, better: str, than: str, dense: DenseRuns) -> Claim:
    """Decide by the fine-tuned models, where both are, or else by the probes."""
    sides = [dense[better], dense[than]]
    fine = [tuned(side) for side in sides]
    way, (first, second) = (
        ("fine-tuning", fine) if all(fine) else ("probe", [[one.probe for one in side] for side in sides])
    )
    return claim_difference(
        f"{statement}: {better} beats {than}",
        f"Figure 6 (numbers not at hand); {ZOO}",
        f"mIoU of {better} minus {than}, {way} on the same labels",
        miou_difference(first, second),
    )


def _compared(models: Mapping[str, Loca]) -> list[str]:
    """Return the names of the models with LOCA's losses and one eta, that of LOCA itself or of the first of them."""
    parts = {name: model.variant.parts for name, model in models.items()}
    ours = [name for name, one in parts.items() if one.mode == MODES["LOCA"]]
    eta = models[ours[0]].params.eta if ours else None
    return [name for name in ours if parts[name].eta == eta]


def _by(models: Mapping[str, Loca], measures: Measures, pictures: int | None) -> Panels:
    """Return panel -> line -> points over pictures (of so many in all) or, without a number, over weights."""
    panels: Panels = {}
    for name in _compared(models):
        model, parts = models[name], models[name].variant.parts
        line = f"{_weights(model) / 1e6:.3g} M weights" if pictures else _share(parts.fraction)
        at = float(round(parts.fraction * pictures) if pictures else _weights(model))
        for title, key in MEASURES.items():
            if key in measures.get(name, {}):
                panels.setdefault(title, {}).setdefault(line, []).append((at, measures[name][key]))
    for lines in panels.values():
        for points in lines.values():
            points.sort(key=lambda point: point[0])
    return panels


def _figure(name: str, title: str, caption: str, setting: str, panels: Panels, figures: FigureFolder) -> None:
    if any(len({at for at, _ in points}) > 1 for lines in panels.values() for points in lines.values()):
        trend_panels(figures.new(f"{name}.svg", title, caption, wide=True), panels, setting, logarithmic=True)


def _weights(model: Loca) -> int:
    return sum(parameter.numel() for parameter in model.backbone.parameters())


def _share(fraction: float) -> str:
    return "all pictures" if fraction == 1.0 else f"{100 * fraction:.3g} % of the pictures"
