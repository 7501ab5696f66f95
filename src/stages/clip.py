"""Make the CLIP that params.yaml names: train it, or take it with its weights, and score it."""

from pathlib import Path
from typing import Any

from _stage import run
from _task import open_task, resume_key

from fieldmark.base.files import atomic_folder, write_json
from fieldmark.clip.training import describe_clip, make_clip
from fieldmark.engine.checkpoint import RESUME, CheckpointFolder
from fieldmark.engine.watch import write_curves
from fieldmark.evaluation.crossmodal import cosines
from fieldmark.figures.similarity import write_similarity
from fieldmark.preflight.check import read_clip
from fieldmark.runtime.processes import first_process
from fieldmark.towers.clip import save_clip


def main(name: str, params: dict[str, Any]) -> None:
    own = read_clip(params, name)
    task, inputs = open_task(params, own.split, f"clip-{name}")
    checkpoints = CheckpointFolder(RESUME, f"clip-{name}", resume_key(own, params, own.split, inputs))
    clip, scores, curve = make_clip(own, task, checkpoints, f"clip-{name}")
    if not first_process():
        return
    save_clip(clip, Path("models/clips") / name)
    write_curves(task.history, {"loss": curve} if curve else {})
    with atomic_folder(Path("reports/figures/clips") / name) as folder:
        write_similarity(cosines(scores.embeddings, scores.embeddings), scores.names, folder)
    write_json(Path(f"reports/clips/{name}.json"), {"name": name, **describe_clip(clip, own, scores)})
    checkpoints.clear()


if __name__ == "__main__":
    run(main, __doc__ or "", "a CLIP of params.yaml, such as small")
