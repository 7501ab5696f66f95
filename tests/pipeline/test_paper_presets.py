"""Each preset of a paper, with tiny pictures, tiny networks and three steps: from the download to the report.

A local server has the archives of the sources in their official layout. Those that a user has at hand are at hand here,
and so are VOC and COCO with lists of their own: the downloads of theirs are tested beside the sources.
"""

import functools
import hashlib
import http.server
import json
import runpy
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from safetensors.torch import save_file
from support import twins
from support.multilabel import write_coco, write_lists, write_voc
from support.pictures import write_cub
from support.pipeline import ROOT
from support.tiny import RESNET, VIT
from support.wired import SMALL, merged

from fieldmark.base.blocks import read_yaml
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.acquire import captions, download
from fieldmark.datasets.sources import aircraft, cub200, flowers102, sop
from fieldmark.preflight.presets import with_presets
from fieldmark.reporting.published import read_published
from fieldmark.vision.backbones import NetworkParams, contiguous, create_backbone

TRAIN = {"steps": 3, "batch_size": 4, "lr": 1e-3}
SIDES = {"pma": 64}  # a map of 4 x 4 cells: blocks for three stages
KEPT = ("variants", "shots")  # of the preset, whatever is small elsewhere
PRESETS = (
    *("irt-cub200", "irt-sop", "irt-inshop", "frpt-cub200", "frpt-cars196", "frpt-aircraft"),
    *("cprfl-voc-lt", "cprfl-coco-lt"),
    *("pma-cub200", "pma-cub200-vgg16", "pma-flowers102", "pma-cars196", "pma-aircraft"),
)


def packed(archive: Path, folder: Path, inner: str) -> None:
    """Pack a folder as `inner` of an archive."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for path in sorted(folder.rglob("*.*")):
                zipped.write(path, f"{inner}/{path.relative_to(folder)}")
        return
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, inner)


def sum_of(path: Path, kind: str) -> str:
    return hashlib.new(kind, path.read_bytes()).hexdigest()


def serve_cub(made: Path, site: Path, url: str, patch: pytest.MonkeyPatch) -> None:
    write_cub(made / "cub", classes=4, per_class=12, captions=made / "text")
    packed(site / "cub.tgz", made / "cub", "CUB_200_2011")
    packed(site / "cub_captions.tar.gz", made / "text", "cub_icml")
    patch.setattr(cub200, "URL", f"{url}/cub.tgz")
    patch.setattr(cub200, "SIZE", (site / "cub.tgz").stat().st_size)
    patch.setattr(cub200, "SHA256", sum_of(site / "cub.tgz", "sha256"))
    patch.setitem(captions.ARCHIVES, "cvpr2016_cub.tar.gz", f"{url}/cub_captions.tar.gz")


def serve_sop(made: Path, site: Path, url: str, patch: pytest.MonkeyPatch) -> None:
    twins.sop(made / "sop")
    packed(site / "sop.zip", made / "sop", "Stanford_Online_Products")
    patch.setattr(sop, "URL", f"{url}/sop.zip")
    patch.setattr(sop, "SIZE", (site / "sop.zip").stat().st_size)
    patch.setattr(sop, "SHA256", sum_of(site / "sop.zip", "sha256"))


def serve_aircraft(made: Path, site: Path, url: str, patch: pytest.MonkeyPatch) -> None:
    twins.aircraft(made / "aircraft")
    packed(site / "aircraft.tar.gz", made / "aircraft", "fgvc-aircraft-2013b/data")
    patch.setattr(aircraft, "URL", f"{url}/aircraft.tar.gz")
    patch.setattr(aircraft, "MD5", sum_of(site / "aircraft.tar.gz", "md5"))


def serve_flowers(made: Path, site: Path, url: str, patch: pytest.MonkeyPatch) -> None:
    twins.flowers102(made / "flowers")
    packed(site / "102flowers.tgz", made / "flowers/jpg", "jpg")
    for name in ("imagelabels.mat", "setid.mat"):
        shutil.copy(made / "flowers" / name, site / name)
    for number in range(1, 5):
        text = made / f"text/text_c10/class_{2 - number % 2:05d}/image_{number:05d}.txt"
        twins.lines(text, *(f"this flower has {number} red petals" for _ in range(10)))
    packed(site / "flower_captions.tar.gz", made / "text", "flowers_icml")
    patch.setattr(flowers102, "URL", f"{url}/")
    patch.setattr(flowers102, "MD5", {name: sum_of(site / name, "md5") for name in flowers102.MD5})
    patch.setitem(captions.ARCHIVES, "cvpr2016_flowers.tar.gz", f"{url}/flower_captions.tar.gz")


SERVED: dict[str, Callable[[Path, Path, str, pytest.MonkeyPatch], None]] = {
    "cub200": serve_cub,
    "sop": serve_sop,
    "aircraft": serve_aircraft,
    "flowers102": serve_flowers,
}


def voc(made: Path) -> dict[str, Any]:
    write_voc(made / "VOCdevkit")
    place = "VOCdevkit/{}/JPEGImages/{}_{}.jpg {}\n".format
    train = [
        place("VOC2012", "2012_trainval", n, labels) for n, labels in enumerate(("14 1", "14", "11", "16 14"))
    ]
    test = [place("VOC2007", "2007_test", n, labels) for n, labels in enumerate(("14", "14 11", "18"))]
    return {"path": str(made), "lists": write_lists(made / "lists", "voc", "".join(train), "".join(test))}


def coco(made: Path) -> dict[str, Any]:
    write_coco(made)
    train = [f"train2017/{n:012d}.jpg {labels}\n" for n, labels in enumerate(("0 2", "2", "0 3"))]
    test = [f"val2017/{n:012d}.jpg {labels}\n" for n, labels in enumerate(("0", "1", "2 3"))]
    return {"path": str(made), "lists": write_lists(made / "lists", "coco", "".join(train), "".join(test))}


AT_HAND = {"cars196": twins.cars196, "inshop": twins.inshop, "voc": voc, "coco": coco}


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder that a local server serves, and its address."""
    site = tmp_path / "site"
    site.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.001)
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield site, f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def shrunken(name: str, folder: Path) -> dict[str, Any]:
    """Return the parameters of a preset with networks of a few thousand weights, small pictures and three steps.

    Weights of the networks are written to `folder`.
    """
    text = with_presets((ROOT / "params.yaml").read_text(), [name], ROOT / "presets")
    params: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    method = name.partition("-")[0]
    side = SIDES.get(method, 32)
    for item in params["backbones"].values():
        arch, options = _tiny(item["arch"])
        weights = folder / f"{arch}.safetensors"
        network = create_backbone(NetworkParams(arch=arch, options=options), side).trunk.network
        save_file(contiguous(network.state_dict()), weights)
        item |= {"arch": arch, "options": options, "weights": str(weights), "images": {"side": side}}
    for item in params["clip_models"].values():
        small = read_yaml(ROOT / "params.yaml")["clip_models"]["small"]
        item |= {"arch": None, **{key: small[key] for key in ("config", "pretrained", "images")}}
    for item in params["phrases"].values():
        item["tagger"] = "builtin"
    block = merged(params[method], {key: SMALL[method][key] for key in SMALL[method] if key not in KEPT})
    for recipe in (block, *params["distill"].values()):
        recipe |= {"images": {"side": side}, "train": TRAIN}
    if method == "frpt":
        block |= {"source": None, "snapshots": 1, "steps_per_shot": 0.4}
    if method == "pma":
        block["captions"] = "all"
    params[method] = block
    params["runtime"] = {"device": "cpu", "workers": 0}
    return params


def _tiny(arch: str) -> tuple[str, dict[str, Any]]:
    if arch.startswith("vgg"):
        return "vgg11", {}
    return ("vit_tiny_patch16_224", VIT) if arch.startswith("deit") else ("resnet10t", RESNET)


def stages_of(params: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (script, item) of every stage that leads to the report, in an order in which they can run."""
    kinds = [
        *(("download", "datasets"), ("prepare", "datasets"), ("split", "splits"), ("validate", "datasets")),
        *(("pretrain", "backbones"), ("clip", "clip_models"), ("prompts", "prompts"), ("phrases", "phrases")),
        *(("train", "methods"), ("arm", "arms"), ("distill", "distill"), ("evaluate", "methods")),
    ]
    items = [(kind, item) for kind, section in kinds for item in params[section]]
    return [("check", ""), *items, ("report", "")]


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_of_a_paper_runs_from_the_download_to_the_report(
    tmp_path: Path, name: str, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    params = shrunken(name, tmp_path)
    [(data, item)] = params["datasets"].items()
    if item["source"] in SERVED:
        assert item[item["source"]].get("path") is None
        SERVED[item["source"]](tmp_path / "made", *served, monkeypatch)
    else:
        item[item["source"]] = {**item[item["source"]], **AT_HAND[item["source"]](tmp_path / "made")}
    folder = tmp_path / "project"
    (folder / "data/text").mkdir(parents=True)
    (folder / "data/text/none").touch()
    (folder / "data/pretrained").symlink_to(ROOT / "data/pretrained")
    (folder / "src").symlink_to(ROOT / "src")
    shutil.copy(ROOT / "dvc.yaml", folder / "dvc.yaml")
    (folder / "params.yaml").write_text(json.dumps(params))
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(ROOT / "src/stages"))
    for kind, one in stages_of(params):
        script = runpy.run_path(str(ROOT / f"src/stages/{kind}.py"))
        configuration = Configuration.read(folder / "params.yaml")
        script["main"](one, configuration) if one else script["report" if kind == "report" else "main"]()
    method = name.partition("-")[0]
    found = json.loads((folder / f"reports/results/{method}.json").read_text())
    names = {variant["name"] for variant in found["variants"]}
    few = {
        f"{variant}-{shots}" for variant in ("finetune", "FRPT") for shots in params[method].get("shots", [])
    }
    assert {*params[method]["variants"], *few, *params["arms"]} <= names
    assert found["dataset"] == data
    page, summary = ((folder / f"reports/{file}").read_text() for file in ("index.html", "summary.md"))
    published = read_published(params).get(method, ())
    assert ("beside the paper" in page) == bool(published)
    for row in published:
        assert f"| {row.variant} | {row.measure} | {row.value:.1f} (" in summary
    print(summary)
