"""A twin of a few pictures for every source, in its official layout."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from support.landmarks import write_revisited, write_sfm
from support.multilabel import write_coco, write_lists, write_voc
from support.pictures import encoded, noise, write_cub, write_picture

Settings = dict[str, Any]
Builder = Callable[[Path], Settings]


def lines(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n")


def pair(picture: Path, mask: Path, number: int) -> None:
    """A picture of 48 x 40 and a mask of its upper and lower half."""
    write_picture(picture, number)
    mask.parent.mkdir(parents=True, exist_ok=True)
    mask.write_bytes(encoded(np.repeat(np.array([1, 2], np.uint8), 20)[:, None].repeat(48, 1)))


def folder(path: Path) -> Settings:
    for number, name in enumerate(("wren", "wren", "owl")):
        write_picture(path / name / f"{number}.jpg", number)
    return {"path": str(path)}


def csv(path: Path) -> Settings:
    settings = folder(path)
    lines(path / "labels.csv", "path,label,split", "wren/0.jpg,wren,train", "owl/2.jpg,owl,test")
    return {**settings, "csv": "labels.csv"}


def labels(path: Path) -> Settings:
    settings = folder(path)
    lines(path / "labels.csv", "path,labels,split", "wren/0.jpg,wren;reed,train", "owl/2.jpg,owl,test")
    return {**settings, "csv": "labels.csv"}


def masks(path: Path) -> Settings:
    for number in range(3):
        pair(path / f"images/{number}.jpg", path / f"masks/{number}.png", number)
    lines(path / "train.txt", "images/0.jpg masks/0.png")
    lines(path / "test.txt", "images/1.jpg\tmasks/1.png")
    lists = {"train": "train.txt", "test": "test.txt"}
    return {"path": str(path), "labels": ["sky", "road"], "ignore": [0], "lists": lists}


def masks_by_name(path: Path) -> Settings:
    return {**masks(path), "lists": {}}


def ade20k(path: Path) -> Settings:
    for number, name in enumerate(("training/ADE_train_1", "validation/ADE_val_1")):
        pair(path / f"images/{name}.jpg", path / f"annotations/{name}.png", number)
    lines(path / "objectInfo150.txt", "Idx\tRatio\tName", "1\t0.2\twall", "2\t0.1\tbed")
    lines(path / "sceneCategories.txt", "ADE_train_1 airport", "ADE_val_1 attic")
    return {"path": str(path)}


def aircraft(path: Path) -> Settings:
    lines(path / "variants.txt", "A380", "707-320")
    boxes = []
    (path / "images").mkdir(parents=True)
    for label, (part, numbers) in enumerate({"trainval": (1, 2), "test": (3, 4)}.items()):
        for number in numbers:
            (path / f"images/{number}.jpg").write_bytes(encoded(noise(number, height=60), "JPEG"))
            boxes.append(f"{number} 1 1 40 20")
        variants = dict(zip(numbers, ("A380", "707-320"), strict=True))
        lines(path / f"images_variant_{part}.txt", *(f"{n} {name}" for n, name in variants.items()))
        lines(path / f"images_manufacturer_{part}.txt", *(f"{n} Maker{label}" for n in numbers))
    lines(path / "images_box.txt", *boxes)
    return {"path": str(path)}


def cars196(path: Path) -> Settings:
    rows = []
    for number in range(4):
        rows.append((f"car_ims/{number}.jpg", 3, 2, 42, 31, 1 + number % 2, int(number > 1)))
        write_picture(path / rows[-1][0], number)
    fields = ["relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test"]
    struct = np.array([rows], dtype=[(name, object) for name in fields])
    names = np.array([["AM General Hummer", "smart fortwo"]], dtype=object)
    scipy.io.savemat(path / "cars_annos.mat", {"annotations": struct, "class_names": names})
    return {"path": str(path)}


def cars196_parts(path: Path) -> Settings:
    fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]
    names = np.array([["AM General Hummer", "smart fortwo"]], dtype=object)
    (path / "devkit").mkdir(parents=True)
    scipy.io.savemat(path / "devkit/cars_meta.mat", {"class_names": names})
    for part, file in {
        "train": "devkit/cars_train_annos.mat",
        "test": "cars_test_annos_withlabels.mat",
    }.items():
        rows = [(3, 2, 42, 31, 1 + number, f"{number:05d}.jpg") for number in range(2)]
        for number, row in enumerate(rows):
            write_picture(path / f"cars_{part}" / row[-1], number + 2 * (part == "test"))
        struct = np.array([rows], dtype=[(name, object) for name in fields])
        scipy.io.savemat(path / file, {"annotations": struct})
    return {"path": str(path)}


def cub200(path: Path) -> Settings:
    write_cub(path / "CUB_200_2011", classes=2, per_class=3, captions=path / "text")
    return {"path": str(path / "CUB_200_2011"), "captions": str(path / "text")}


def flowers102(path: Path) -> Settings:
    for number in range(1, 5):
        write_picture(path / f"jpg/image_{number:05d}.jpg", number)
    scipy.io.savemat(path / "imagelabels.mat", {"labels": np.array([[1, 2, 1, 2]], np.uint8)})
    scipy.io.savemat(path / "setid.mat", {"trnid": [[1]], "valid": [[2]], "tstid": [[3, 4]]})
    return {"path": str(path)}


def flowers102_captions(path: Path) -> Settings:
    settings = flowers102(path / "flowers-102")
    for number in range(1, 5):
        place = path / f"text_c10/class_0000{1 + (number - 1) % 2}/image_{number:05d}.txt"
        lines(place, *(f"Sentence {n} ." for n in range(10)))
    return {**settings, "captions": str(path)}


def inshop(path: Path) -> Settings:
    rows = []
    for number, status in enumerate(("train", "train", "query", "gallery")):
        place = f"img/WOMEN/Dresses/id_{number // 2}/{number}_front.jpg"
        write_picture(path / "Img" / place, number)
        rows.append(f"{place} id_{number // 2} {status}")
    lines(path / "Eval/list_eval_partition.txt", "4", "image_name item_id evaluation_status", *rows)
    return {"path": str(path)}


def sop(path: Path) -> Settings:
    for part, numbers in {"train": (1, 2), "test": (3, 4)}.items():
        places = {number: f"sofa_final/{number}.JPG" for number in numbers}
        for number, place in places.items():
            write_picture(path / place, number)
        rows = (f"{number} {numbers[0]} 1 {place}" for number, place in places.items())
        lines(path / f"Ebay_{part}.txt", "image_id class_id super_class_id path", *rows)
    return {"path": str(path)}


def voc(path: Path) -> Settings:
    write_voc(path)
    return {"path": str(path)}


def voc_lists(path: Path) -> Settings:
    train = "VOCdevkit/VOC2012/JPEGImages/2012_trainval_0.jpg 14 1\n"
    test = "VOCdevkit/VOC2007/JPEGImages/2007_test_1.jpg 11 14\n"
    write_voc(path / "VOCdevkit")
    return {"path": str(path), "lists": write_lists(path / "lists", "voc", train, test)}


def coco(path: Path) -> Settings:
    write_coco(path)
    return {"path": str(path)}


def coco_lists(path: Path) -> Settings:
    write_coco(path / "coco")
    train, test = "train2017/000000000000.jpg 0 2\n", "val2017/000000000002.jpg 2 3\n"
    return {"path": str(path / "coco"), "lists": write_lists(path / "lists", "coco", train, test)}


def roxford5k(path: Path) -> Settings:
    write_revisited(path, "roxford5k", places=2)
    return {"path": str(path)}


def rparis6k(path: Path) -> Settings:
    write_revisited(path, "rparis6k", places=2, inner="paris/defense")
    return {"path": str(path)}


def sfm120k(path: Path) -> Settings:
    write_sfm(path, models=2, validation=1, per_model=2)
    return {"path": str(path)}


# By the name of the source, with a word behind it where a source is there twice.
TWINS: dict[str, Builder] = {
    "folder": folder, "folder csv": csv, "folder labels": labels, "masks": masks, "masks by name": masks_by_name,
    "ade20k": ade20k, "aircraft": aircraft, "cars196": cars196, "cars196 parts": cars196_parts, "cub200": cub200,
    "flowers102": flowers102, "flowers102 captions": flowers102_captions, "inshop": inshop, "sop": sop, "voc": voc,
    "voc lists": voc_lists, "coco": coco, "coco lists": coco_lists,
    "roxford5k": roxford5k, "rparis6k": rparis6k, "sfm120k": sfm120k,
}  # fmt: skip
