"""Where in a picture a descriptor comes from, before and after the prompt and the head (Figure 4)."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn.functional import normalize

from fieldmark.engine.task import Task
from fieldmark.figures.sheets import Cell, picture_sheet, tinted
from fieldmark.methods.frpt.evaluation.warps import OF_EACH, chosen_queries, loaded_picture, to_pixels
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.protocols.retrieval import Scored
from fieldmark.results.figures import FigureFolder

SHOWN = ("frozen", "DPP", "FRPT")  # DPP is FRPT without its head


def contributions(feature_map: Tensor) -> Tensor:
    """Final maps (B, D, h, w) -> how much each place adds to the length of the averaged descriptor, (B, h, w).

    A class activation map (Zhou et al., arXiv 1512.04150) whose class is the picture itself, for classes in the test
    have no weights: the inner product of each place with the averaged descriptor, scaled to length 1. The mean over the
    places is the length of the averaged descriptor.
    """
    descriptor = normalize(feature_map.mean((2, 3)), dim=1)
    return torch.einsum("bdhw,bd->bhw", feature_map, descriptor)


def activation_figure(
    scored: Mapping[str, Scored], models: Mapping[str, Frpt], task: Task, figures: FigureFolder
) -> None:
    """Draw queries and, for each variant of Figure 4, what the backbone is shown and which places count."""
    names = [name for name in SHOWN if name in scored]
    if len(names) < 2:
        return
    path = figures.new(
        "activations.svg",
        "Where the descriptor comes from",
        "A query, then over what the backbone is shown of it, how much each place adds to the descriptor (none where "
        f"clear, most where red): {', '.join(names)}. Three queries whose nearest neighbour by {names[-1]} is right "
        "and three of which it is wrong, chosen by rule from low to high average precision.",
        wide=True,
    )
    result = scored[names[-1]]
    cells = [
        list(_cells({name: models[name] for name in names}, result, task, query))
        for query in chosen_queries(result.results)
    ]
    rows = [cells[row::OF_EACH] for row in range(min(OF_EACH, len(cells)))]
    picture_sheet(path, [[cell for query in row for cell in query] for row in rows])


def _cells(models: Mapping[str, Frpt], scored: Scored, task: Task, query: int) -> Iterator[Cell]:
    correct = bool(scored.results.correct[query, 0])
    name = str(scored.queries.frame["class_name"].iloc[query])
    for number, (variant, model) in enumerate(models.items()):
        pixels, images = loaded_picture(task, model, int(scored.queries.rows[query]))
        if number == 0:
            yield Cell(pixels, name, "query", correct)
        with torch.inference_mode():
            shown = model.eval().shown(images)
            values = contributions(model.final_map({"images": images}))[0].cpu().float().numpy()
        picture = to_pixels(shown) if model.variant.parts.looks else pixels
        yield Cell(tinted(picture, values), variant)
