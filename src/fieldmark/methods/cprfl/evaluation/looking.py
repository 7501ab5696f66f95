"""What the prompts become, and where they look."""

import torch
from torch.nn.functional import normalize

from fieldmark.engine.task import Task
from fieldmark.evaluation.arrays import Array
from fieldmark.figures.sheets import Cell, tinted
from fieldmark.methods.cprfl.model.head import PromptHead
from fieldmark.methods.cprfl.model.method import Cprfl
from fieldmark.protocols.multilabel import Scored
from fieldmark.protocols.seen import seen_picture

OF_EACH = 3  # categories shown for a picture


def similarities(head: PromptHead, order: Array) -> dict[str, Array]:
    """Return cosine similarities (C, C) of the category vectors and of the trained prompts, both in this `order`."""
    with torch.no_grad():
        tables = {"category vectors": head.vectors, "trained prompts": head.prompts()}
    unit = {name: normalize(table.float().cpu(), dim=1)[order.tolist()] for name, table in tables.items()}
    return {name: (rows @ rows.T).numpy() for name, rows in unit.items()}


def attention_row(task: Task, scored: Scored, model: Cprfl, index: int) -> list[Cell]:
    """Return a test picture and, tinted, where the prompts of its rarest categories look."""
    truth = scored.truth
    picture = seen_picture(task, model.params.images, int(truth.subset.rows[index]))
    attention = attention_of(model, picture)
    rarest = [category for category in truth.by_frequency[::-1] if truth.targets[index, category]][:OF_EACH]
    cells = [Cell(picture, f"{len(rarest)} rarest of {int(truth.targets[index].sum())}")]
    for category in rarest:
        probability, threshold = float(scored.scores[index, category]), float(model.thresholds[category])
        shown, detail = tinted(picture, attention[category]), f"{probability:.2f} from {threshold:.2f}"
        cells.append(Cell(shown, truth.names[category], detail, probability >= threshold))
    return cells


def attention_of(model: Cprfl, picture: Array) -> Array:
    """Return where the prompts of the categories look in a picture (H, W, 3), (C, h, w)."""
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].to(model.backbone.mean.device)
    with torch.inference_mode():
        looks: Array = model.eval().attention(image)[0].float().cpu().numpy()
    return looks
