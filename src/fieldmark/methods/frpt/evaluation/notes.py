"""What a reader of FRPT's numbers must know, and differences about which the paper claims nothing."""

from collections.abc import Mapping, Sequence

from fieldmark.methods.frpt.evaluation.claims import ONE_MODEL
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.protocols.retrieval import Scored, difference
from fieldmark.protocols.seeds import resampling, seed_count

CONTROLS = {
    "plain": "the backbone as it comes, untrained",
    "sampled": "sampling the same finer pictures evenly, untrained",
}


def make_notes(
    models: Mapping[str, Frpt], scored: Mapping[str, Sequence[Scored]], params: FrptParams
) -> list[str]:
    """Return the notes of the section, in the order in which they are shown."""
    return [
        resampling("classes", seed_count(scored)),
        *_setting(models, params),
        *_crops(models),
        *_by_map(scored),
        *_against_controls(scored),
    ]


def _setting(models: Mapping[str, Frpt], params: FrptParams) -> list[str]:
    notes = [
        "Trained weights are those kept for retrieval: the classifier is not counted, nor does the paper count "
        "it. Its 2.62 M of the head do not follow from its equation 8, which has 1.05 M (2 x 2048 x 256).",
        f"The distance kernel, of which the paper gives no width, spans {params.fwhm:g} of {params.grid} cells "
        f"(full width at half maximum), padding {params.padding}: the released code's by default.",
    ]
    if params.pooling == "average" and {"FRPT", "attention"} <= set(models):
        notes.append(ONE_MODEL)
    width = max(model.feature_map_width for model in models.values())
    if 2 * params.kernel_size < width:
        notes.append(
            f"kernel_size {params.kernel_size} is less than half of the map's {width} places; "
            "the paper's rule asks for half or more."
        )
    return notes


def _crops(models: Mapping[str, Frpt]) -> list[str]:
    """Say what is cut where a fixed prompt stands in place of the learned one."""
    notes = []
    if "activation" in models:
        notes.append(
            "activation: the box lies around the largest connected region in which the summed channels of the frozen "
            "backbone's last map exceed their mean (arXiv 1604.04994). The paper takes a class activation map, which "
            "needs a classifier of the backbone's."
        )
    if "box" in models:
        notes.append(
            "box: pictures are cut before they are resized, so that they show finer detail than a warp of small ones; "
            "a saved model of it takes pictures that are cut already."
        )
    if notes:
        notes.append("What is cut out is a square, a tenth larger than the longer side of the box.")
    return notes


def _by_map(scored: Mapping[str, Sequence[Scored]]) -> list[str]:
    """Say what FRPT gains by map@r: the paper's claims are about recall."""
    if not {"FRPT", "frozen"} <= set(scored):
        return []
    gain = _points(scored, "FRPT", "frozen", "map@r")
    return [f"By map@r, which looks at every neighbour up to R, FRPT minus frozen is {gain}."]


def _against_controls(scored: Mapping[str, Sequence[Scored]]) -> list[str]:
    """Say what is gained over what the paper does not compare with."""
    recall = next(iter(scored.values()))[0].recalls[0]
    notes = []
    for control, what in CONTROLS.items():
        gains = [
            f"{name} {_points(scored, name, control, recall)}, by map@r {_points(scored, name, control, 'map@r')}"
            for name in ("sampled", "DPP", "FRPT")
            if {name, control} <= set(scored) and name != control
        ]
        if gains:
            notes.append(f"Against {what}, by {recall}: {'; '.join(gains)}.")
    return notes


def _points(scored: Mapping[str, Sequence[Scored]], first: str, second: str, measure: str) -> str:
    gain = difference(scored, first, second, measure)
    return f"{100 * gain.value:+.1f} points ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
