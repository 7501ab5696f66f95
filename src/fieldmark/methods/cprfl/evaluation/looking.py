"""What the prompts become, and where they look."""

import numpy as np
import torch
from torch.nn.functional import normalize

from fieldmark.datasets.data.batches.transforms import evaluation_transform, to_tensor
from fieldmark.engine.task import Task
from fieldmark.evaluation.arrays import Array
from fieldmark.figures.sheets import Cell, tinted
from fieldmark.methods.cprfl.evaluation.scored import Scored, Truth
from fieldmark.methods.cprfl.model.head import PromptHead
from fieldmark.methods.cprfl.model.method import Cprfl

OF_EACH = 3  # categories shown for a picture


def similarities(head: PromptHead, order: Array) -> dict[str, Array]:
    """Return cosine similarities (C, C), in an order, of the category vectors and of the trained prompts."""
    with torch.no_grad():
        tables = {"CLIP's vectors": head.vectors, "trained prompts": head.prompts()}
    unit = {name: normalize(table.float().cpu(), dim=1)[order.tolist()] for name, table in tables.items()}
    return {name: (rows @ rows.T).numpy() for name, rows in unit.items()}


def pictures_by_rule(scored: Scored, count: int) -> list[int]:
    """Choose test pictures with a label evenly from the worst ranked to the best.

    A fixed rule, so that nobody picks what looks good: pictures with two labels or more (all that have any, when
    there are too few) by how early their categories come among all; the middle of each of `count` equal parts.
    """
    labels = scored.truth.targets.sum(axis=1)
    able = np.flatnonzero(labels >= 2) if (labels >= 2).sum() >= count else np.flatnonzero(labels)
    quality = ranking_quality(scored.scores[able], scored.truth.targets[able])
    order = able[np.argsort(quality, kind="stable")]
    parts = min(count, len(order))
    return [int(order[int((part + 0.5) * len(order) / parts)]) for part in range(parts)]


def ranking_quality(scores: Array, targets: Array) -> Array:
    """Return for each picture, (N,), the mean over its categories of the precision at their rank."""
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(targets > 0, order, axis=1)
    precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    quality: Array = (precision * hits).sum(axis=1) / np.maximum(hits.sum(axis=1), 1)
    return quality


def shown_picture(task: Task, truth: Truth, model: Cprfl, index: int) -> Array:
    """Return a test picture as the network sees it, (H, W, 3) uint8."""
    image = evaluation_transform(model.params.images)(to_tensor(task.store[int(truth.subset.rows[index])]))
    shown: Array = image.permute(1, 2, 0).numpy()
    return shown


def attention_row(task: Task, scored: Scored, model: Cprfl, index: int) -> list[Cell]:
    """Return a picture and, tinted, where the prompts of its rarest categories look."""
    truth, picture = scored.truth, shown_picture(task, scored.truth, model, index)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].to(model.backbone.mean.device)
    with torch.inference_mode():
        attention = model.eval().attention(image)[0].float().cpu().numpy()
    present = [one for one in truth.by_frequency[::-1] if truth.targets[index, one]][:OF_EACH]
    cells = [Cell(picture, f"{len(present)} rarest of {int(truth.targets[index].sum())}")]
    for one in present:
        probability, threshold = float(scored.scores[index, one]), float(model.thresholds[one])
        detail = f"{probability:.2f} from {threshold:.2f}"
        cells.append(
            Cell(tinted(picture, attention[one]), truth.names[one], detail, probability >= threshold)
        )
    return cells
