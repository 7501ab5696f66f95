"""What is trained besides methods, at its smallest: backbones, CLIPs, students, and the fine-tuning for masks."""

from pathlib import Path

import torch
from torch import Tensor, nn

from fieldmark.base.blocks import parse
from fieldmark.clip.contrastive import ContrastiveClip
from fieldmark.clip.schema import ClipParams
from fieldmark.clip.training import make_clip, sentences_of
from fieldmark.contract.variants import load_model, load_students, save_model
from fieldmark.datasets.data.batches.loading import Batch
from fieldmark.datasets.data.batches.transforms import evaluation_transform
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Trainable
from fieldmark.engine.wiring import read_wiring
from fieldmark.methods.loca.model.params import LocaParams
from fieldmark.methods.pma.distillation import DistillParams, distil
from fieldmark.methods.pma.distillation.students import Distillation, load_teacher
from fieldmark.methods.pma.model.method import Pma
from fieldmark.pretraining.backbones import Classifier, load_classifier, make_backbone, save_head
from fieldmark.pretraining.schema import BackboneParams
from fieldmark.protocols.dense import LinearDecoder, Segmenter, fine_tune
from fieldmark.protocols.pairs import PairDataset, Pairs
from fieldmark.towers.clip import Clip, create_clip, load_clip, save_clip
from fieldmark.vision.backbones import load_backbone, save_backbone
from support.clips import CONFIG
from support.colours import colour_task
from support.masked import masked_task
from support.tiny import SIDE, tiny_vit
from support.trainings import Changes, Fitted, Pair, Training, batch_of, evenly_spaced, method_outputs
from support.wired import CONFIGURATION, PMA_SIDE, merged, short, tiny, tiny_backbone, wired_task


def other_names() -> list[str]:
    """Return what is trained besides methods: items of params.yaml, students, and LOCA's fine-tuning at last."""
    trained = [
        f"{section}/{item}" for section in ("backbones", "clip_models") for item in _with_recipe(section)
    ]
    students = CONFIGURATION.item("distill", "pma", DistillParams).students
    return [*trained, *(f"distill/{name}" for name in students), "dense/finetune"]


def _with_recipe(section: str) -> list[str]:
    """Return the items of a section that are trained; others come with their weights."""
    return [item for item, content in CONFIGURATION.section(section).items() if "train" in content]


def pretraining(item: str, folder: Path, changes: Changes) -> Training:
    """A backbone, with the classifier that it is trained in."""
    params = tiny_backbone(item, changes)
    assert params.train is not None
    task, run = wired_task(folder, read_wiring(CONFIGURATION, "pma")), f"pretrain-{item}"

    def fit(where: Task, recipe: BackboneParams = params) -> Fitted:
        _, classifier, curve = make_backbone(recipe, where, run)
        assert classifier is not None
        return classifier, curve

    def build() -> Trainable:
        model, _ = fit(task, _without_steps(params))
        assert isinstance(model, Classifier)
        return model

    def kept(model: Trainable, saved: Path) -> Pair:
        assert isinstance(model, Classifier)
        save_backbone(model.backbone, saved)
        save_head(model, saved)
        again = load_classifier(load_backbone(saved), saved, params.pooling)
        assert again is not None
        return model.eval(), again.eval()

    batch = batch_of(task, params.images)
    return Training(run, task, params.train, batch, build, fit, _logits, kept)


def _without_steps(params: BackboneParams) -> BackboneParams:
    assert params.train is not None
    return params.model_copy(update={"train": params.train.model_copy(update={"steps": 0})})


def _logits(model: nn.Module, batch: Batch) -> list[Tensor]:
    assert isinstance(model, Classifier)
    return [model.logits(batch["images"])]


def clip_training(item: str, folder: Path, changes: Changes) -> Training:
    """A CLIP with two transformers in place of the item's towers."""
    real = CONFIGURATION.raw_item("clip_models", item)
    fields = {"images": {"side": SIDE}, "train": short(real["train"])}
    params = parse(
        ClipParams, {**merged(merged(real, fields), changes), "config": CONFIG}, f"clip_models.{item}"
    )
    task, run, recipe = colour_task(folder), f"clip-{item}", params.train
    assert recipe is not None
    told = sentences_of(task.manifest, task.subset("train"), params.sentences)

    def build() -> Trainable:
        torch.manual_seed(recipe.seed)
        return ContrastiveClip(
            create_clip(None, params.config, None, size=SIDE, squash=True), told, recipe.seed
        )

    def kept(model: Trainable, saved: Path) -> Pair:
        assert isinstance(model, ContrastiveClip)
        save_clip(model.clip, saved)
        return model.clip.eval(), load_clip(saved)

    def outputs(model: nn.Module, batch: Batch) -> list[Tensor]:
        clip = model.clip if isinstance(model, ContrastiveClip) else model
        assert isinstance(clip, Clip)
        return [clip.encode_images(batch["images"]), clip.encode_tokens(batch["tokens"])]

    first = build()
    assert isinstance(first, ContrastiveClip)
    batch = {**batch_of(task, params.images), "tokens": first.tokens}
    return Training(
        run, task, recipe, batch, build, lambda where: make_clip(params, where, run), outputs, kept
    )


def distillation(item: str, folder: Path, changes: Changes) -> Training:
    """A student of PMA, or its twin, which learns from labels alone."""
    real = CONFIGURATION.raw_item("distill", "pma")
    fields = {"students": [item], "images": {"side": PMA_SIDE}, "train": short(real["train"])}
    params = parse(DistillParams, merged(merged(real, fields), changes), "distill.pma")
    task, teachers = wired_task(folder, params), folder / "teachers"
    teacher = teachers / params.teacher / "0"
    _save_teacher(params, task, teacher)

    def fit(where: Task) -> Fitted:
        students = where.states.root / "students"
        [curve] = distil(params, where, teachers, students).values()
        [student] = load_students(students)[item]
        return student, curve

    def build() -> Trainable:
        torch.manual_seed(params.seed)
        student = Pma.build(Pma.named(params.network, item), task)
        if item == "twin":
            return student
        return Distillation(student, params, load_teacher(params, task, teacher))

    def kept(model: Trainable, saved: Path) -> Pair:
        student = _student(model)
        save_model(student, saved)
        return student.eval(), load_model(saved)

    def outputs(model: nn.Module, batch: Batch) -> list[Tensor]:
        return method_outputs(_student(model), batch)

    run, batch = f"distill-pma/{item}", batch_of(task, params.images)
    return Training(run, task, params.seeded, batch, build, fit, outputs, kept)


def _save_teacher(params: DistillParams, task: Task, folder: Path) -> None:
    """Save a teacher with random weights, yet with decided answers."""
    torch.manual_seed(0)
    teacher = Pma.build(Pma.named(tiny("pma"), params.teacher), task)
    teacher.classifier.weight.data.mul_(20)
    save_model(teacher, folder)


def _student(model: nn.Module) -> Pma:
    student = model.student if isinstance(model, Distillation) else model
    assert isinstance(student, Pma)
    return student


def fine_tuning(item: str, folder: Path, changes: Changes) -> Training:
    """The fine-tuning by which LOCA's evaluation judges an encoder; it is scored and not saved."""
    dense = CONFIGURATION.method_block("loca", LocaParams).dense
    assert dense.finetune is not None
    recipe = dense.finetune.model_validate(
        merged(short(dense.finetune.model_dump()), changes.get("train", {}))
    )
    images = dense.images.model_copy(update={"side": SIDE})
    task, run = masked_task(folder, unlabelled_rows=SIDE // 2), "evaluate-loca/LOCA"

    def probe() -> LinearDecoder:
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            return LinearDecoder(tiny_vit().spec.dim, Pairs.of(task, "train").seen())

    def fit(where: Task) -> Fitted:
        pairs, checkpoints = Pairs.of(where, "train"), where.checkpoints(run)
        return fine_tune(tiny_vit(), probe(), pairs, images, recipe, dense.loss_stride, checkpoints, run)

    def build() -> Trainable:
        return Segmenter(tiny_vit(), probe(), dense.loss_stride)

    def outputs(model: nn.Module, batch: Batch) -> list[Tensor]:
        assert isinstance(model, Segmenter)
        return [model.scores(batch["images"])]

    pairs = Pairs.of(task, "train")
    dataset = PairDataset(task.store, pairs.subset.rows, pairs.mask_rows, evaluation_transform(images))
    batch = dataset[evenly_spaced(len(pairs))]
    return Training(run, task, recipe, batch, build, fit, outputs)
