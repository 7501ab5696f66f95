"""All that is trained, by name: "irt/R" for a variant of a method, "backbones/vit" for an item of another section."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldmark.engine.task import Task
from fieldmark.engine.wiring import read_wiring
from support.others import clip_training, distillation, fine_tuning, other_names, pretraining
from support.trainings import Changes, Training, all_variants, method_training
from support.wired import CONFIGURATION, METHODS, merged, wired_task

FINE_TUNING = "dense/finetune"  # it is scored and not saved
OTHERS = {
    "backbones": pretraining,
    "clip_models": clip_training,
    "distill": distillation,
    "dense": fine_tuning,
}
NAMES = [*(f"{method}/{variant.name}" for method, variant in all_variants()), *other_names()]
TRAINED = [
    *(f"{method}/{variant.name}" for method, variant in all_variants() if variant.trained),
    *other_names(),
]

IN_VIEWS = "+views"  # after a name: trained with `views`
VIEWS = 2


def block_of(name: str) -> Mapping[str, Any]:
    """Return the block or item of params.yaml that a training follows, as it is written."""
    section, _, item = name.partition("/")
    if section in METHODS:
        return dict(CONFIGURATION.content[section])
    if name == FINE_TUNING:
        return dict(CONFIGURATION.content["loca"]["dense"])
    return dict(CONFIGURATION.raw_item(section, "pma" if section == "distill" else item))


# What takes `views` trains in views as well: what leaves the backbone frozen then reads features.
VIEWED = [f"{name}{IN_VIEWS}" for name in TRAINED if block_of(name).get("views", 0) is None]


class Everything:
    """Makes trainings by name; the variants of a method share one task, which lies in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tasks: dict[str, Task] = {}

    def make(self, name: str, changes: Changes | None = None) -> Training:
        """Return a training with changes in its block; a name that ends with `IN_VIEWS` has `views`, too."""
        section, _, item = name.removesuffix(IN_VIEWS).partition("/")
        changes = merged({"views": VIEWS} if name.endswith(IN_VIEWS) else {}, changes or {})
        if section in METHODS:
            return method_training(section, item, self._task(section), changes)
        return OTHERS[section](item, self.folder / name, changes)

    def _task(self, method: str) -> Task:
        if method not in self._tasks:
            self._tasks[method] = wired_task(self.folder / method, read_wiring(CONFIGURATION, method))
        return self._tasks[method]
