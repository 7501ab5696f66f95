"""Score every trained variant and student of a method on its test pictures; write metrics and figures."""

from pathlib import Path
from typing import Any

from _stage import run
from _task import open_method

from fieldmark.base.files import atomic_folder, write_json
from fieldmark.contract.distillation import load_students
from fieldmark.contract.variants import load_evaluation, load_variants


def main(name: str, params: dict[str, Any]) -> None:
    own, task, _ = open_method(name, params)
    models = dict(load_variants(name, own, Path("models") / name / "variants"))
    if name in (params.get("distill") or {}):
        models |= load_students(Path("models") / name / "students")
    with atomic_folder(Path("reports/figures") / name) as figures:
        metrics = load_evaluation(name)(models, own, task, figures)
    wiring = params["methods"][name]
    write_json(Path(f"reports/metrics/{name}.json"), {"method": name, **wiring, **metrics})


if __name__ == "__main__":
    run(main, __doc__ or "", "a method of params.yaml, such as irt")
