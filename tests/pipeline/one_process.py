"""Runs stages in one process: `one_process.py STAGE...`, in a folder with `src`, dvc.yaml and params.yaml.

A stage is called as by DVC, such as `train@irt`. DVC itself starts a process for each, which takes seconds.
"""

import importlib
import sys
from pathlib import Path
from typing import Any


def main(stages: list[str]) -> None:
    sys.path.insert(0, "src/stages")
    configuration: Any = importlib.import_module("_stage").Configuration.read(Path("params.yaml"))
    for stage in stages:
        kind, _, item = stage.partition("@")
        script = importlib.import_module(kind)
        if item:
            script.main(item, configuration)
        else:
            (script.report if kind == "report" else script.main)()


if __name__ == "__main__":
    main(sys.argv[1:])
