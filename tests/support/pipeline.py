"""The stages of dvc.yaml as DVC resolves them, without running any."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.repo import Repo

ROOT = Path(__file__).resolve().parents[2]
# A world of six species, and every kind of block.
TINY_PARAMS = """\
runtime: {device: cpu, workers: 0}
datasets:
  birds:
    source: world
    world: {part: species, classes: 6, genera: 2, photographs: 6, side: 32, captions: 1, seed: 0}
    encoding: raw
splits:
  retrieval: {dataset: birds, kind: retrieval, ks: [1, 2]}
  others: {dataset: birds, kind: retrieval, train_classes: 0.34, ks: [1, 2]}
  classes: {dataset: birds, kind: classification, test_fraction: 0.3}
backbones:
  vit:
    dataset: birds
    split: classes
    arch: vit_tiny_patch16_224
    options: {img_size: 32, patch_size: 8, embed_dim: 16, depth: 1, num_heads: 2}
    images: {side: 32}
    pooling: cls
    train: {steps: 3, batch_size: 8, lr: 1e-3}
phrases:
  birds: {dataset: birds, split: classes, clip: none}
clip_models:
  tiny:
    dataset: birds
    split: classes
    config:
      embed_dim: 8
      vision_cfg: {layers: 1, width: 16, head_width: 8, patch_size: 16}
      text_cfg: {context_length: 16, width: 16, heads: 2, layers: 1}
    images: {side: 32}
    train: {steps: 3, batch_size: 8, lr: 1e-3}
prompts:
  birds: {dataset: birds, clip: tiny, zero_shot: true}
methods:
  irt: {dataset: birds, split: retrieval, backbone: backbones/vit, text: none}
  pma: {dataset: birds, split: classes, backbone: backbones/vit, text: phrases/birds}
arms:
  average:
    method: irt
    variant: L
    dataset: birds
    split: retrieval
    backbone: backbones/vit
    text: none
    change: {pooling: average, margin: 0.3}
distill:
  pma:
    dataset: birds
    split: classes
    backbone: backbones/vit
    text: phrases/birds
    temperature: 1.0
    images: {side: 32}
    train: {steps: 3, batch_size: 8, lr: 1e-3}
transfer:
  others: {method: irt, dataset: birds, split: others}
pma:
  variants: [vision, PMA]
  stages: 2
  word_dim: 4
  phrase_dim: 8
  stage_dim: 8
  images: {side: 32}
  train: {steps: 3, batch_size: 8, lr: 1e-3}
judge: {}
irt:
  variants: [O, L, R]
  lambda: 0.7
  images: {side: 32}
  train: {steps: 3, batch_size: 8, images_per_class: 4, lr: 1e-3}
"""


@dataclass(frozen=True)
class ResolvedStage:
    """One stage: its name such as `train@irt`, and what it declares, as paths from the root."""

    name: str
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: tuple[str, ...]

    @property
    def kind(self) -> str:
        return self.name.partition("@")[0]

    @property
    def item(self) -> str:
        return self.name.partition("@")[2]


def resolve(folder: Path, params: Path = ROOT / "params.yaml") -> dict[str, ResolvedStage]:
    """Resolve dvc.yaml with `params` in an empty folder; DVC raises for an interpolation that leads nowhere."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "dvc.yaml", folder / "dvc.yaml")
    if params != folder / "params.yaml":
        shutil.copy(params, folder / "params.yaml")
    Repo.init(str(folder), no_scm=True).close()
    with Repo(str(folder)) as repo:
        repo.index.check_graph()  # no cycle, no output made twice
        return {stage.name: _resolved(stage, folder) for stage in repo.index.stages}


def at(params: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path. Raises KeyError when it is absent."""
    value: Any = params
    for name in path.split("."):
        value = value[name]
    return value


def _resolved(stage: Any, folder: Path) -> ResolvedStage:
    named = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    files = [dep for dep in stage.deps if not isinstance(dep, ParamsDependency)]
    return ResolvedStage(
        name=stage.name,
        command=stage.cmd,
        deps=tuple(Path(dep.fs_path).relative_to(folder).as_posix() for dep in files),
        outs=tuple(Path(out.fs_path).relative_to(folder).as_posix() for out in stage.outs),
        params=tuple(name for dep in named for name in dep.params),
    )
