"""Pictures of four colours with captions that say the colour, and the smallest recipe of a CLIP for them."""

import dataclasses
import json
from pathlib import Path

from fieldmark.base.blocks import parse
from fieldmark.clip.schema import ClipParams
from fieldmark.engine.task import Task
from support.clips import CONFIG, SIDE
from support.tiny import make_task

COLOURS = ["red", "green", "blue", "yellow"]


def colour_task(folder: Path) -> Task:
    """Twelve pictures of each colour, a class in both roles."""
    made = make_task(folder, classes=4, images=12)
    names = [COLOURS[int(name.split()[1])] for name in made.split["class_name"]]
    frame = made.split.assign(class_name=names, label=[sorted(COLOURS).index(name) for name in names])
    frame["role"] = ["test" if n % 3 == 0 else "train" for n in range(len(frame))]
    manifest = frame.assign(
        captions=[[f"a {name} picture", f"it is {name}"] for name in names],
        attributes=[json.dumps({"colour": name, "back_colour": "dark_" + name}) for name in names],
        group="g",
        labels=[[] for _ in names],
    )
    return dataclasses.replace(made, split=frame, manifest=manifest)


def silent(task: Task) -> Task:
    """Return the task without captions."""
    return dataclasses.replace(task, manifest=task.manifest.assign(captions=[[] for _ in task.manifest.id]))


def clip_params(**changes: object) -> ClipParams:
    """Return the recipe with changes; None takes a parameter out."""
    fields = {
        "dataset": "d",
        "split": "s",
        "config": CONFIG,
        "images": {"side": SIDE, "crop": "centre", "flip": False},
        "train": {"steps": 60, "batch_size": 16, "lr": 1e-2},
        **changes,
    }
    return parse(ClipParams, {k: v for k, v in fields.items() if v is not None}, "clip_models.small")
