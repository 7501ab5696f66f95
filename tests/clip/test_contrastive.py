"""Training a CLIP: the loss against loops, and the drawing of captions."""

import math

import numpy as np
import pytest
import torch
from support.clips import SIDE, timm_config, tiny_clip
from torch.nn.functional import normalize

from fieldmark.clip.contrastive import MAX_LOG_SCALE, ContrastiveClip, contrastive_loss
from fieldmark.engine.params import TrainParams
from fieldmark.towers.clip import create_clip


def slow_loss(images, texts, scale):
    """The mean over pictures and over texts of -log of the fraction that is its own, by loops."""
    total, count = 0.0, len(images)
    similarity = [[scale * float(normalize(a, dim=0) @ normalize(b, dim=0)) for b in texts] for a in images]
    for i in range(count):
        row = [similarity[i][j] for j in range(count)]
        column = [similarity[j][i] for j in range(count)]
        for scores in (row, column):
            total -= math.log(math.exp(scores[i]) / sum(math.exp(score) for score in scores))
    return total / (2 * count)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_loss_equals_the_formula(count):
    torch.manual_seed(count)
    images, texts = torch.randn(count, 5, dtype=torch.float64), torch.randn(count, 5, dtype=torch.float64)
    loss = contrastive_loss(images, texts, torch.tensor(3.0, dtype=torch.float64))
    assert float(loss) == pytest.approx(slow_loss(images, texts, 3.0), rel=1e-5)


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
    assert float(model.clip.logit_scale) == pytest.approx(MAX_LOG_SCALE)


def timm_clip():
    torch.manual_seed(0)
    return create_clip(None, timm_config(), None, size=SIDE, squash=True)


def one_step(image_lr):
    """Return a CLIP of a timm tower before and after one step of plain gradient descent, and its groups."""
    clip = timm_clip()
    model = ContrastiveClip(clip, [["red"], ["green bird"]], seed=0, image_lr=image_lr).train()
    before = {name: value.clone() for name, value in clip.state_dict().items()}
    groups = model.parameter_groups(TrainParams(steps=1, batch_size=2, lr=1.0, weight_decay=0.1))
    pictures = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.manual_seed(1))
    model({"images": pictures, "indices": torch.arange(2)})["loss"].backward()
    torch.optim.SGD([{"params": group.params, "lr": group.lr_scale} for group in groups]).step()
    moved = {name for name, value in clip.state_dict().items() if not torch.equal(value, before[name])}
    return clip, groups, moved


def test_a_locked_image_network_stays_as_it_is_and_its_pooling_learns():
    _, _, moved = one_step(image_lr=0.0)
    assert not [
        name for name in moved if "visual.trunk." in name
    ]  # its BatchNorms' statistics are among them
    assert [name for name in moved if "visual.head.pool" in name]
    assert "network.token_embedding.weight" in moved


def test_the_image_network_learns_at_its_own_rate():
    clip, groups, moved = one_step(image_lr=0.25)
    theirs = set(clip.image_network.parameters())
    for group in groups:
        assert {weight in theirs for weight in group.params} == {group.lr_scale == 0.25}
    every = [weight for group in groups for weight in group.params]
    assert len(every) == len(set(every)) == len(list(clip.parameters()))
    assert [name for name in moved if "visual.trunk." in name]
    positions = clip.network.visual.head.pool.pos_embed
    assert [group.weight_decay for group in groups if any(w is positions for w in group.params)] == [0.0]
