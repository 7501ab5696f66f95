"""Stands in for `python src/stages/<stage>.py`: writes outputs that follow from what the stage declares it reads.

Run with the folder of the project as the working directory and, beside it, `stages.json`: command -> what the stage
declares. DVC runs it as it would run the stage, in a hundredth of the time.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


def main(command: str) -> None:
    stages = json.loads(Path("../stages.json").read_text())
    stage, wanted = stages[command], {dep for other in stages.values() for dep in other["deps"]}
    params = YAML(typ="safe", pure=True).load(Path("params.yaml").read_text())
    known = [name for name in (*stage["params"], *stage["deps"]) if not passes(command, name)]
    read = {name: value_at(params, name) for name in known if name in stage["params"]}
    content = [json.dumps(read, sort_keys=True), *(digest(name) for name in known if name in stage["deps"])]
    text = hashlib.sha256("\n".join(content).encode()).hexdigest()
    for out in map(Path, stage["outs"]):
        write(out, text, [Path(dep) for dep in wanted if Path(dep).is_relative_to(out) and Path(dep) != out])


def passes(command: str, name: str) -> bool:
    """Say whether a check passes whatever is in `name`, and so writes the same."""
    return "check.py" in command or ("validate.py" in command and name in ("splits", "data/splits"))


def value_at(params: dict[str, Any], path: str) -> Any:
    value: Any = params
    for name in path.split("."):
        value = value[name]
    return value


def digest(dep: str) -> str:
    """Hash a file, or all files of a folder."""
    path = Path(dep)
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def write(out: Path, text: str, inside: list[Path]) -> None:
    """Write an output; a folder has the files that other stages want of it."""
    if out.suffix:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps({"value": int(text[:12], 16)}))
    else:
        out.mkdir(parents=True, exist_ok=True)
        for file in [out / "content.txt", *inside]:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


if __name__ == "__main__":
    main(" ".join(["python", *sys.argv[1:]]))
