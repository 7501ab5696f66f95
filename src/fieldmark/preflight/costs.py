"""What a preset costs: data to fetch, disk, and GPU hours. Sizes are published; hours are estimates, and say so.

An estimate multiplies what every variant, seed and student sees in training by the time that a training step was
measured to take, in proportion to the pixels of a picture. Evaluation, loading and what a frozen backbone saves are
left out, so that hours of training are rather too many and those of the whole run not all in there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.method import Recipe
from fieldmark.contract.registry import load_distillation, load_method
from fieldmark.contract.variants import arms_of, read_arm
from fieldmark.preflight.check import read_method

# Pictures of 224 px per second in training, measured by the authors of timm on one RTX 3090 in mixed precision with
# channels last, PyTorch 1.12: results/benchmark-train-amp-nhwc-pt112-cu113-rtx3090.csv of
# github.com/huggingface/pytorch-image-models.
MEASURED_SIDE = 224
PICTURES_PER_SECOND: Mapping[str, float] = {
    "deit_base_distilled_patch16_224": 384.06,
    "deit_base_patch16_224": 390.04,
    "deit_small_distilled_patch16_224": 1028.80,
    "deit_small_patch16_224": 1050.70,
    "efficientnet_lite0": 2079.28,
    "mobilenetv2_100": 2313.10,
    "resnet101": 747.89,
    "resnet50": 1218.01,
    "vgg16": 546.06,
    "vit_base_patch16_224": 392.99,
    "vit_large_patch16_224": 117.20,
    "vit_small_patch16_224": 1057.92,
    "vit_tiny_patch16_224": 2299.56,
}
# What the archives of a source hold, in GB (10^9 bytes), as the hosts or other loaders publish it. Captions, whose
# archives have no published size, and weights are not in it.
PUBLISHED: Mapping[str, float] = {
    "ade20k": 0.92,
    "aircraft": 2.75,
    "cars196": 1.96,
    "coco": 1.07,  # with published lists: annotations and the test pictures; 1,909 more come one by one
    "cub200": 1.15,
    "flowers102": 0.34,
    "roxford5k": 1.94,
    "rparis6k": 2.2,
    "sop": 3.08,
    "voc": 2.45,  # with published lists: two of the three archives
}
# Training pictures of the official splits, for lengths that count in passes.
PICTURES: Mapping[tuple[str, str], int] = {
    ("aircraft", "classification"): 6_667,
    ("aircraft", "retrieval"): 5_000,
    ("cars196", "classification"): 8_144,
    ("cars196", "retrieval"): 8_054,
    ("coco", "longtail"): 1_909,
    ("cub200", "classification"): 5_994,
    ("cub200", "retrieval"): 5_864,
    ("flowers102", "classification"): 2_040,
    ("inshop", "retrieval"): 25_882,
    ("sop", "retrieval"): 59_551,
    ("voc", "longtail"): 1_142,
}
# All pictures of a source, for what is kept as raw squares.
COUNTS: Mapping[str, int] = {
    "aircraft": 10_000,
    "cars196": 16_185,
    "cub200": 11_788,
    "flowers102": 8_189,
    "inshop": 52_712,
    "sop": 120_053,
}
CHANNELS = 3  # a byte each
# A download lies on the disk as archive, unpacked and packed, the last two in their folder and in DVC's cache (once
# where the file system clones files); of pictures at hand there are the packed ones alone.
ARCHIVE, UNPACKED, PACKED = 1, 2, 2
UNKNOWN = "–"
RESTS_ON = (
    "Data as published, without captions and weights. Disk: what is downloaded as archive, unpacked and packed, the "
    "last two also in DVC's cache. GPU hours: an estimate for training alone, on one RTX 3090 in mixed precision, from "
    "steps that the authors of timm measured; fp32, as the papers train, takes longer, a newer card less. –: not known."
)
TEACHER = 1 / 3  # a forward pass alone, as a part of a training step


@dataclass(frozen=True)
class Cost:
    """GB of data as published, GB of disk, and GPU hours; None where nothing is known, as of one's own pictures.

    `at_hand` says that the data are not downloaded: the user has them.
    """

    data: float | None
    at_hand: bool
    disk: float | None
    hours: float | None

    @property
    def texts(self) -> tuple[str, str, str]:
        """Data, disk and GPU hours for reading; what is an estimate begins with ~."""
        data = "rendered" if self.data == 0 else "" if self.data is None else f"{self.data:.1f} GB"
        data = f"{data} at hand".lstrip() if self.at_hand else data or UNKNOWN
        disk = f"~{self.disk:.0f} GB" if self.disk else UNKNOWN
        hours = (
            UNKNOWN
            if self.hours is None
            else f"~{self.hours:.1f}"
            if self.hours < 10
            else f"~{self.hours:.0f}"
        )
        return data, disk, "under 0.1" if hours == "~0.0" else hours


def cost_of(configuration: Configuration) -> Cost:
    """Estimate what a run with these parameters costs; values that the user has yet to give may still be missing."""
    items = list(configuration.section("datasets").values())
    return Cost(
        data=_total([_published(item) for item in items]),
        at_hand=any(_is_at_hand(item) for item in items),
        disk=_total([_disk(item) for item in items]),
        hours=_total([_method_hours(configuration, name) for name in configuration.section("methods")]),
    )


def _total(parts: list[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _published(item: Mapping[str, Any]) -> float | None:
    return 0.0 if item["source"] == "world" else PUBLISHED.get(item["source"])


def _is_at_hand(item: Mapping[str, Any]) -> bool:
    return (item.get(item["source"]) or {}).get("path") is not None


def _disk(item: Mapping[str, Any]) -> float | None:
    fetched, packed = 0.0 if _is_at_hand(item) else _published(item), _packed(item)
    if fetched is None or packed is None:
        return None
    return fetched * (ARCHIVE + UNPACKED) + packed * PACKED


def _packed(item: Mapping[str, Any]) -> float | None:
    """Return GB of the store: raw squares by their pixels, and photographs, which keep their bytes, as published."""
    if item["source"] == "world" or item.get("encoding") != "raw":
        return _published(item)
    count = COUNTS.get(item["source"])
    if count is None or item.get("shape") != "square":
        return None
    return float(count * item["side"] ** 2 * CHANNELS / 1e9)


def _method_hours(configuration: Configuration, name: str) -> float | None:
    """Return the hours of all variants, arms and students of a method; None for a network that nobody has measured.

    None, too, where backbones or CLIPs are trained here: their hours would come on top.
    """
    networks = [*configuration.section("backbones").values(), *configuration.section("clip_models").values()]
    if any(item.get("train") for item in networks):
        return None
    wired = configuration.raw_item("methods", name)
    trained = [(wired, one) for one in load_method(name).variants(read_method(configuration, name))]
    arms = {arm: read_arm(configuration, arm) for arm in arms_of(configuration, name)}
    trained += [(configuration.raw_item("arms", arm), read.variant) for arm, read in arms.items()]
    hours = [_hours(configuration, where, one.params) for where, one in trained if one.trained]
    if name in configuration.section("distill"):
        students = configuration.item("distill", name, load_distillation(name).PARAMS)
        hours += [_hours(configuration, wired, students)] * len(students.students)
    return _total(hours)


def _hours(configuration: Configuration, wired: Mapping[str, Any], block: Recipe) -> float | None:
    """Return the hours of one variant, all seeds together."""
    rate, seen = _rate(configuration, wired, block), _pictures_seen(configuration, wired, block)
    if rate is None or seen is None:
        return None
    return seen * _pixels(block) / MEASURED_SIDE**2 / rate / 3600


def _rate(configuration: Configuration, wired: Mapping[str, Any], block: Recipe) -> float | None:
    """Return how many pictures of the measured side the method's network trains on in a second."""
    own = block.model_dump()
    section, _, item = str(wired["backbone"]).partition("/")
    network = (
        own if "arch" in own else configuration.raw_item(section, item) if section == "backbones" else {}
    )
    if set(network.get("options") or {}) - {"pad_type"}:
        return None  # another network of that name
    return PICTURES_PER_SECOND.get(str(network.get("arch")).partition(".")[0])


def _pictures_seen(configuration: Configuration, wired: Mapping[str, Any], block: Recipe) -> float | None:
    """Return how many pictures training sees, of all seeds together."""
    train = block.train
    if train.passes is not None:
        source = configuration.raw_item("datasets", wired["dataset"])["source"]
        count = PICTURES.get((source, configuration.raw_item("splits", wired["split"])["kind"]))
        return None if count is None else train.passes * count * len(block.seeds)
    return float(train.steps * train.batch_size * len(block.seeds))


def _pixels(block: Recipe) -> float:
    """Return how many pixels of a training picture the network sees in a step.

    Where it cuts views: the reference, a random query of which some patches are kept, and focal queries; the teacher
    sees the reference, forward alone.
    """
    views = block.model_dump().get("views")
    if not isinstance(views, Mapping):
        return float(block.images.side**2)
    patch = 16
    reference, focal = views["reference_size"] ** 2, views["focal_size"] ** 2
    return float((1 + TEACHER) * reference + views["random_tokens"] * patch**2 + views["focal_count"] * focal)
