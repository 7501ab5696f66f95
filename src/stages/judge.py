"""Take what the features of a method are judged on and beside, where these are not its own pictures and variants."""

import shutil
from pathlib import Path

from _stage import run

from fieldmark.base.files import atomic_folder, sha256_file, write_json
from fieldmark.configuration.configuration import Configuration
from fieldmark.engine.wiring import JUDGED, JudgeWiring, read_judge

MODELS, PREPARED, SPLITS = Path("models"), Path("data/prepared"), Path("data/splits")


def main(name: str, configuration: Configuration) -> None:
    judge = read_judge(configuration, name)
    with atomic_folder(MODELS / name / JUDGED) as folder:
        for backbone in judge.backbones:
            shutil.copytree(MODELS / "backbones" / backbone, folder / backbone)
        # `evaluate` depends on models/METHOD: by these digests it sees other pictures, other masks and another split.
        content = {**judge.model_dump(mode="json"), "sha256": digests(judge)}
        write_json(folder / f"{JUDGED}.json", content)


def digests(judge: JudgeWiring) -> dict[str, str]:
    """Return the SHA-256 of the split and of every file of the prepared data set, by name."""
    files = [SPLITS / f"{judge.split}.parquet", *sorted((PREPARED / judge.dataset).rglob("*.*"))]
    return {path.as_posix(): sha256_file(path) for path in files if path.is_file()}


if __name__ == "__main__":
    run(main, __doc__ or "", "an item of `judge` in params.yaml, such as loca")
