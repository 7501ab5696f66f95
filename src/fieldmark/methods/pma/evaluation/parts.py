"""What the stages look at and read, and what text would have told the student."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.datasets.data.batches.transforms import evaluation_transform, to_tensor
from fieldmark.engine.task import Task
from fieldmark.figures.sheets import Cell, Tone
from fieldmark.methods.pma.evaluation.predictions import Predicted
from fieldmark.methods.pma.model.method import Pma
from fieldmark.methods.pma.model.stack import Stage

SHOWN_PHRASES = 5
Line = tuple[str, Tone]


def even_pictures(found: Predicted, count: int = 6) -> list[int]:
    """Choose test pictures evenly from the least to the greatest probability of their class.

    A fixed rule, so that nobody picks what looks good: the middle of each of `count` equal parts.
    """
    own = found.probabilities[np.arange(len(found.test)), found.test.labels]
    order = np.argsort(own, kind="stable")
    count = min(count, len(order))
    return [int(order[int((part + 0.5) * len(order) / count)]) for part in range(count)]


def mended(student: Predicted, teacher: Predicted, count: int = 6) -> list[int]:
    """Choose pictures that the student gets wrong and the teacher right, of different classes where there are.

    First those for whose class the teacher's probability exceeds the student's most.
    """
    labels = teacher.test.labels
    rows = np.arange(len(labels))
    gain = teacher.probabilities[rows, labels] - student.probabilities[rows, labels]
    able = np.flatnonzero(~student.right() & teacher.right())
    order = able[np.argsort(-gain[able], kind="stable")]
    _, first = np.unique(labels[order], return_index=True)
    return [int(order[place]) for place in sorted(first)][:count]


def stage_rows(model: Pma, found: Predicted, task: Task, chosen: Sequence[int]) -> list[list[Cell]]:
    """Return a row for each chosen picture: itself, then each stage's part and the phrases it called up."""
    rows = []
    for index in chosen:
        picture, stages, grid = _attend(model, found, task, index)
        name, guess = _names(found, index)
        tone: Tone = "good" if name == guess else "bad"
        row = [Cell(picture, name, lines=((f"taken for {guess}", tone),))]
        for number, stage in enumerate(stages, 1):
            box = block_box(int(stage.part[0]), grid, picture.shape[0])
            row.append(Cell(picture, f"stage {number}", box=box, lines=_phrase_lines(stage, found, index)))
        rows.append(row)
    return rows


def mended_rows(
    student: Predicted, teacher: Predicted, model: Pma, task: Task, chosen: Sequence[int]
) -> list[list[Cell]]:
    """Return cells, three a row: the picture, what the student took it for, and what the teacher read."""
    cells = []
    for index in chosen:
        picture, stages, _ = _attend(model, teacher, task, index)
        name, guess = _names(student, index)
        wrong: Line = f"student: {guess}", "bad"
        cells.append(Cell(picture, name, lines=(wrong, *_phrase_lines(stages[0], teacher, index))))
    return [cells[start : start + 3] for start in range(0, len(cells), 3)]


def block_box(part: int, grid: tuple[int, int], side: int) -> tuple[float, float, float, float]:
    """Return (x, y, width, height) in pixels of block number `part` of a grid (rows, columns) of blocks."""
    rows, columns = grid
    row, column = divmod(part, columns)
    return column * side / columns, row * side / rows, side / columns, side / rows


def _phrase_lines(stage: Stage, found: Predicted, index: int) -> tuple[Line, ...]:
    """The phrases a stage called up with their weights: red and crossed those that it masked, grey the others."""
    if stage.related is None or stage.dropped is None or found.phrases is None:
        return ()
    texts = found.phrases.texts[index]
    weights, dropped = stage.related[0].tolist(), stage.dropped[0].tolist()
    order = sorted(range(len(texts)), key=lambda place: -weights[place])[:SHOWN_PHRASES]
    return tuple(
        (
            f"{'✕' if dropped[place] else '·'} {weights[place]:.0%} {texts[place]}",
            "bad" if dropped[place] else "faint",
        )
        for place in order
        if weights[place] > 0
    )


def _attend(
    model: Pma, found: Predicted, task: Task, index: int
) -> tuple[NDArray[np.uint8], tuple[Stage, ...], tuple[int, int]]:
    """Return a test picture as the network sees it, its stages on the CPU's side, and the grid of blocks."""
    image = evaluation_transform(model.params.images)(to_tensor(task.store[int(found.test.rows[index])]))
    device = next(model.parameters()).device
    tokens = None if found.phrases is None else found.phrases.tokens[index : index + 1].to(device)
    with torch.inference_mode():
        maps = model.eval().maps(image[None].to(device))
        assert maps is not None
        _, stages = model.attend_map(maps, tokens)
    grid = maps.shape[2] // 2, maps.shape[3] // 2
    return image.permute(1, 2, 0).numpy(), stages, grid


def _names(found: Predicted, index: int) -> tuple[str, str]:
    """The class of a picture and what it was taken for."""
    return str(found.class_names[index]), found.all_class_names[int(found.guesses[index])]
