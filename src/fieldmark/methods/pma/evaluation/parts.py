"""What the stages look at and read, and what text would have told the student."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.engine.task import Task
from fieldmark.figures.sheets import Cell, Tone
from fieldmark.methods.pma.evaluation.predictions import Predicted
from fieldmark.methods.pma.model.method import Pma
from fieldmark.methods.pma.model.stack import Stage
from fieldmark.protocols.classification import Classified
from fieldmark.protocols.seen import seen_picture

SHOWN_PHRASES = 5
CELLS_PER_ROW = 3
Line = tuple[str, Tone]


def mended(student: Classified, teacher: Classified, count: int = 6) -> list[int]:
    """Choose pictures that the student gets wrong and the teacher right, of different classes as far as there are.

    First those for whose class the teacher's probability exceeds the student's most.
    """
    gain = teacher.true_probabilities - student.true_probabilities
    able = np.flatnonzero(~student.right() & teacher.right())
    order = able[np.argsort(-gain[able], kind="stable")]
    _, first = np.unique(teacher.test.labels[order], return_index=True)
    return [int(order[index]) for index in sorted(first)][:count]


def stage_rows(model: Pma, predicted: Predicted, task: Task, chosen: Sequence[int]) -> list[list[Cell]]:
    """Return a row for each chosen picture: itself, then each stage's part and the phrases it called up."""
    rows = []
    for index in chosen:
        picture, stages, grid = _attend(model, predicted, task, index)
        name, guess = _names(predicted.with_own_text, index)
        tone: Tone = "good" if name == guess else "bad"
        row = [Cell(picture, name, lines=((f"taken for {guess}", tone),))]
        for number, stage in enumerate(stages, 1):
            box = block_box(int(stage.part[0]), grid, picture.shape[0])
            lines = _phrase_lines(stage, predicted, index)
            row.append(Cell(picture, f"stage {number}", box=box, lines=lines))
        rows.append(row)
    return rows


def mended_rows(
    student: Predicted, teacher: Predicted, model: Pma, task: Task, chosen: Sequence[int]
) -> list[list[Cell]]:
    """Return cells, three per row: the picture, what the student took it for, and what the teacher read."""
    cells = []
    for index in chosen:
        picture, stages, _ = _attend(model, teacher, task, index)
        name, guess = _names(student.with_own_text, index)
        wrong: Line = f"student: {guess}", "bad"
        cells.append(Cell(picture, name, lines=(wrong, *_phrase_lines(stages[0], teacher, index))))
    return [cells[start : start + CELLS_PER_ROW] for start in range(0, len(cells), CELLS_PER_ROW)]


def block_box(part: int, grid: tuple[int, int], side: int) -> tuple[float, float, float, float]:
    """Return (x, y, width, height) in pixels of block number `part` of a grid (rows, columns) of blocks."""
    rows, columns = grid
    row, column = divmod(part, columns)
    return column * side / columns, row * side / rows, side / columns, side / rows


def _phrase_lines(stage: Stage, predicted: Predicted, index: int) -> tuple[Line, ...]:
    """The phrases a stage called up with their weights: those that it masked red and crossed, the others grey."""
    if stage.related is None or stage.dropped is None or predicted.phrases is None:
        return ()
    texts = predicted.phrases.texts[index]
    weights, dropped = stage.related[0].tolist(), stage.dropped[0].tolist()
    order = sorted(range(len(texts)), key=lambda phrase: -weights[phrase])[:SHOWN_PHRASES]
    return tuple(
        (
            f"{'✕' if dropped[phrase] else '·'} {weights[phrase]:.0%} {texts[phrase]}",
            "bad" if dropped[phrase] else "faint",
        )
        for phrase in order
        if weights[phrase] > 0
    )


def _attend(
    model: Pma, predicted: Predicted, task: Task, index: int
) -> tuple[NDArray[np.uint8], tuple[Stage, ...], tuple[int, int]]:
    """Return a test picture as the network sees it, its stages, and the grid (rows, columns) of blocks."""
    picture = seen_picture(task, model.params.images, int(predicted.with_own_text.test.rows[index]))
    device = next(model.parameters()).device
    image = torch.from_numpy(picture).permute(2, 0, 1)
    tokens = None if predicted.phrases is None else predicted.phrases.tokens[index : index + 1].to(device)
    with torch.inference_mode():
        feature_map = model.eval().feature_map(image[None].to(device))
        assert feature_map is not None
        _, stages = model.attend_feature_map(feature_map, tokens)
    return picture, stages, (feature_map.shape[2] // 2, feature_map.shape[3] // 2)


def _names(classified: Classified, index: int) -> tuple[str, str]:
    """The class of a picture and what it was taken for."""
    return str(classified.picture_classes[index]), classified.names[int(classified.guesses[index])]
