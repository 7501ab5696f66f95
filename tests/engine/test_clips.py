"""Training and scoring a CLIP: the loss, the drawing of captions, several processes, and the whole."""

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.clips import CONFIG, SIDE, tiny_clip
from support.tiny import make_task
from torch.nn.functional import normalize

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.clip.contrastive import MOST_SCALE, ContrastiveClip, contrastive_loss
from fieldmark.clip.schema import ClipParams
from fieldmark.clip.training import describe_clip, make_clip, sentences_of
from fieldmark.engine.checkpoint import CheckpointFolder
from fieldmark.engine.task import Task

ROOT = Path(__file__).parents[2]
COLOURS = ["red", "green", "blue", "yellow"]


def slow_loss(images, texts, scale):
    """The mean over pictures and over texts of -log of the share of the own one, by loops."""
    total, count = 0.0, len(images)
    similarity = [[scale * float(normalize(a, dim=0) @ normalize(b, dim=0)) for b in texts] for a in images]
    for i in range(count):
        row = [similarity[i][j] for j in range(count)]
        column = [similarity[j][i] for j in range(count)]
        for scores in (row, column):
            total -= math.log(math.exp(scores[i]) / sum(math.exp(one) for one in scores))
    return total / (2 * count)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_loss_equals_the_formula(count):
    torch.manual_seed(count)
    images, texts = torch.randn(count, 5, dtype=torch.float64), torch.randn(count, 5, dtype=torch.float64)
    found = contrastive_loss(images, texts, torch.tensor(3.0, dtype=torch.float64))
    assert float(found) == pytest.approx(slow_loss(images, texts, 3.0), rel=1e-5)


def test_the_loss_has_its_limits():
    """Perfect and sharp: zero. Collapsed: the logarithm of the batch size, whatever the temperature."""
    eye = torch.eye(4)
    assert float(contrastive_loss(eye, eye, torch.tensor(100.0))) == pytest.approx(0.0, abs=1e-6)
    same = torch.ones(4, 3)
    assert float(contrastive_loss(same, same, torch.tensor(50.0))) == pytest.approx(math.log(4))
    assert contrastive_loss(eye.bfloat16(), eye.bfloat16(), torch.tensor(100.0)).dtype == torch.float32


def drawn(model, step, indices):
    model.before_step(step)
    return model.chosen(torch.tensor(indices))


def test_a_caption_is_a_function_of_seed_step_and_picture():
    captions = [["a"], ["b", "c"], ["d", "e", "f"]]
    model = ContrastiveClip(tiny_clip(), captions, seed=3)
    whole = drawn(model, 5, [0, 1, 2])
    assert torch.equal(drawn(model, 5, [2, 0]), whole[[2, 0]])
    again = ContrastiveClip(tiny_clip(), captions, seed=3)
    assert torch.equal(drawn(again, 5, [0, 1, 2]), whole)
    counts = np.zeros(6)
    for step in range(600):
        chosen = drawn(model, step, [0, 1, 2])
        assert chosen[0] == 0
        assert chosen[1] in (1, 2)
        assert chosen[2] in (3, 4, 5)
        counts[chosen] += 1
    assert counts[1:3] == pytest.approx([300, 300], abs=60)
    assert counts[3:] == pytest.approx([200, 200, 200], abs=60)


def test_the_tokens_drawn_are_those_of_the_captions():
    clip = tiny_clip()
    model = ContrastiveClip(clip, [["one duck"], ["two cars", "a mug"]], seed=0)
    assert torch.equal(model.tokens, clip.tokenize(["one duck", "two cars", "a mug"]))
    assert "tokens" not in model.state_dict()
    with pytest.raises(ValueError, match="needs a caption"):
        ContrastiveClip(clip, [["a"], []], seed=0)


def test_the_temperature_has_a_floor():
    model = ContrastiveClip(tiny_clip(), [["a"]], seed=0)
    model.clip.logit_scale.data.fill_(9.0)
    model.after_step(0)
    assert float(model.clip.logit_scale) == pytest.approx(MOST_SCALE)


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Pictures of four colours, each class in both roles, with captions that say the colour."""
    monkeypatch.chdir(tmp_path)
    made = make_task(tmp_path / "task", classes=4, images=12)
    names = [COLOURS[int(name.split()[1])] for name in made.split["class_name"]]
    frame = made.split.assign(class_name=names, label=[sorted(COLOURS).index(name) for name in names])
    frame["role"] = ["test" if n % 3 == 0 else "train" for n in range(len(frame))]
    manifest = frame.assign(
        captions=[[f"a {name} picture", f"it is {name}"] for name in names],
        attributes=[json.dumps({"colour": name, "back_colour": "dark_" + name}) for name in names],
        group="g",
        labels=[[] for _ in names],
    )
    return dataclasses.replace(made, split=frame, manifest=manifest)


def params(**changes: object) -> ClipParams:
    fields = {
        "dataset": "d",
        "split": "s",
        "config": CONFIG,
        "images": {"side": SIDE, "crop": "centre", "flip": False},
        "train": {"steps": 60, "batch_size": 16, "lr": 1e-2},
        **changes,
    }
    return parse(ClipParams, {k: v for k, v in fields.items() if v is not None}, "clip_models.small")


def test_training_teaches_names_of_colours(task: Task, tmp_path: Path) -> None:
    own = params(sentences=["a {back_colour} {colour}"], templates=["a {} picture", "it is {}"])
    clip, scores, curve = make_clip(own, task, CheckpointFolder(tmp_path, "c", "k"), "c")
    metrics = scores.metrics
    assert curve[-1]["loss"] < curve[0]["loss"]
    assert metrics["zero-shot top1"]["value"] > 0.7  # chance is a quarter
    assert metrics["zero-shot top1, classes by their training captions"]["value"] > 0.7
    assert metrics["chance"]["value"] == 0.25
    own_pair = metrics["image to text recall@1"]["value"]
    of_class = metrics["image to text recall@1, any of the class"]["value"]
    assert own_pair <= of_class
    assert of_class > 0.7
    assert metrics["text to image recall@5"]["low"] <= metrics["text to image recall@5"]["high"]
    assert scores.names == sorted(COLOURS)
    assert scores.embeddings.shape == (4, 8)
    told = describe_clip(clip, own, scores)
    assert told["weights"] == "trained here on split 's'"
    assert told["parameters"] == sum(p.numel() for p in clip.parameters())


def test_the_same_seed_gives_the_same_clip_and_a_kill_changes_nothing(task: Task, tmp_path: Path) -> None:
    own = params(train={"steps": 20, "batch_size": 8, "lr": 1e-3})
    whole, _, curve = make_clip(own, task, CheckpointFolder(tmp_path / "a", "c", "k"), "a")
    states = CheckpointFolder(tmp_path / "b", "c", "k")
    half = states.save

    def save_once(state: dict[str, object]) -> None:
        half(state)
        raise KeyboardInterrupt

    states.save = save_once  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        make_clip(own, task, states, "b")
    assert states.load()["step"] == 10  # type: ignore[index]
    resumed, _, again = make_clip(own, task, CheckpointFolder(tmp_path / "b", "c", "k"), "b")
    assert again == curve
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_sentences_hold_where_the_annotations_have_all_that_they_name(task: Task) -> None:
    train = task.subset("train")
    templates = ["a {back_colour} {colour}", "a {crown_colour} {colour}"]
    told = sentences_of(task.manifest, train, templates)
    assert len(told) == len(train)
    for name, own in zip(train.frame["class_name"], told, strict=True):
        assert own == [f"a {name} picture", f"it is {name}", f"a dark {name} {name}"]


def test_a_clip_with_weights_is_scored_not_trained_even_without_captions(task: Task, tmp_path: Path) -> None:
    torch.save(tiny_clip().network.state_dict(), tmp_path / "w.pt")
    silent = dataclasses.replace(task, manifest=task.manifest.assign(captions=[[] for _ in task.manifest.id]))
    own = params(train=None, pretrained=str(tmp_path / "w.pt"))
    clip, scores, curve = make_clip(own, silent, CheckpointFolder(tmp_path, "c", "k"), "c")
    assert curve == []
    assert set(scores.metrics) == {"zero-shot top1", "chance"}
    assert torch.equal(clip.encode_texts(["a"]), tiny_clip().encode_texts(["a"]))
    with pytest.raises(UserError, match="32 training pictures of data set 'd' have no caption"):
        make_clip(params(), silent, CheckpointFolder(tmp_path, "c", "k"), "c")


def test_a_clip_may_be_scored_on_pictures_with_several_labels(task: Task, tmp_path: Path) -> None:
    torch.save(tiny_clip().network.state_dict(), tmp_path / "w.pt")
    manifest = task.manifest.assign(
        labels=[[name, "picture"] for name in task.manifest.class_name], class_name=None
    )
    split = task.split.assign(label=-1, class_name="")
    several = dataclasses.replace(task, manifest=manifest, split=split)
    own = params(train=None, pretrained=str(tmp_path / "w.pt"))
    _, scores, _ = make_clip(own, several, CheckpointFolder(tmp_path, "c", "k"), "c")
    assert scores.names == sorted([*COLOURS, "picture"])
    assert scores.metrics["chance"]["value"] == pytest.approx((1 + 4 * 0.25) / 5)
    kinds = [f"{way} recall@{k}" for way in ("image to text", "text to image") for k in (1, 5)]
    assert set(scores.metrics) == {"zero-shot map", "chance", *kinds}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arch": "RN50"}, "either an arch"),
        ({"config": None}, "either an arch"),
        ({"pretrained": "openai"}, "either pretrained weights or a train block"),
        ({"train": None}, "either pretrained weights or a train block"),
        ({"templates": ["a photo"]}, "needs one {}"),
        ({"templates": []}, "needs one {}"),
        ({"templates": ["{name}"]}, "needs one {}"),
        ({"sentences": ["a {}"]}, "must name what it tells"),
        ({"sentences": ["a {a!r}"]}, "letters, digits and underscores"),
        ({"images": {"side": SIDE, "resize": 40}}, "leave images.resize out"),
        ({"colour": "red"}, "unknown parameter clip_models.small.colour"),
    ],
)
def test_wrong_parameters_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        params(**changes)


PROGRAM = """
import sys
sys.path[:0] = [{src!r}]
import torch
import torch.distributed as dist
from fieldmark.clip.contrastive import contrastive_loss

here, rank = sys.argv[1], int(sys.argv[2])
dist.init_process_group("gloo", init_method=f"file://{{here}}/meeting", rank=rank, world_size=2)
images, texts, weight, scale = torch.load(f"{{here}}/rows.pt", weights_only=True)
weight.requires_grad_(), scale.requires_grad_()
half = slice(3 * rank, 3 * rank + 3)
loss = contrastive_loss(images[half] @ weight, texts[half] @ weight, scale)
loss.backward()
for gradient in (weight.grad, scale.grad):  # as training in several processes averages them
    dist.all_reduce(gradient)
    gradient /= 2
torch.save([loss.detach(), weight.grad, scale.grad], f"{{here}}/{{rank}}.pt")
"""


def test_two_processes_with_half_a_batch_equal_one_with_all_of_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    images, texts, weight = torch.randn(6, 5), torch.randn(6, 5), torch.randn(5, 4)
    scale = torch.tensor(7.0)
    torch.save([images, texts, weight, scale], tmp_path / "rows.pt")
    (tmp_path / "program.py").write_text(PROGRAM.format(src=str(ROOT / "src")))
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path)]
    both = [
        subprocess.Popen([*command, str(rank)], stderr=subprocess.PIPE, text=True, cwd=tmp_path)
        for rank in range(2)
    ]
    for process in both:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors[-2000:]
    weight.requires_grad_()
    scale.requires_grad_()
    loss = contrastive_loss(images @ weight, texts @ weight, scale)
    loss.backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for value, expected in zip(found, [loss.detach(), weight.grad, scale.grad], strict=True):
            torch.testing.assert_close(value, expected)
    assert weight.grad is not None
    assert weight.grad.abs().max() > 1e-3
