"""Tuples: the loss against a loop, the mining against a slow search, and training that resumes to the same weights."""

import dataclasses
import math
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support import tuples_in_parts
from support.landmarks import tuples_task
from support.tiny import SIDE, make_task

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.contract.variants import load_model, save_model, train_method
from fieldmark.engine.checkpoint import StateKey
from fieldmark.engine.task import Task
from fieldmark.methods.irt.model.losses import koleo_loss, tuple_loss
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.methods.irt.model.tuples import TupleSampler, hardest, training_pairs

TUPLES = {"negatives": 2, "pairs": 6, "pool": 16}
LENGTH = 4


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    rows = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(rows, dim=-1)


@pytest.mark.parametrize("length", [2, 3, 7])
def test_the_loss_equals_a_loop(length: int) -> None:
    rows, margin = unit(3 * length, 5), 0.85
    expected = 0.0
    for first in range(0, len(rows), length):
        query = rows[first].tolist()
        for place in range(1, length):
            distance = math.sqrt(
                sum((a - b) ** 2 for a, b in zip(query, rows[first + place].tolist(), strict=True))
            )
            expected += 0.5 * distance**2 if place == 1 else 0.5 * max(0.0, margin - distance) ** 2
    assert float(tuple_loss(rows, length, margin)) == pytest.approx(expected, rel=1e-4)


def test_a_negative_costs_from_a_similarity_of_0_639_on() -> None:
    """Of the margin 0.85, which is a distance: 1 - 0.85^2 / 2."""
    query = torch.tensor([1.0, 0.0])
    for similarity, costs in ((0.6385, False), (0.6390, True)):
        negative = torch.tensor([similarity, math.sqrt(1 - similarity**2)])
        loss = tuple_loss(torch.stack([query, query, negative]), 3, eps=1e-9)
        assert (float(loss) > 1e-9) == costs


def test_degenerate_tuples() -> None:
    assert float(tuple_loss(torch.empty(0, 4), 3)) == 0
    same = torch.ones(3, 2, dtype=torch.float64).mul(math.sqrt(0.5)).requires_grad_()
    tuple_loss(same, 3).backward()
    assert torch.isfinite(same.grad).all()  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="5 rows are no tuples of 3"):
        tuple_loss(unit(5, 2), 3)
    assert tuple_loss(unit(6, 4).bfloat16(), 3).dtype == torch.float32
    assert torch.autograd.gradcheck(lambda rows: tuple_loss(rows, 3), (unit(6, 3).requires_grad_(),))


@pytest.mark.parametrize("seed", range(5))
def test_negatives_are_those_of_a_slow_search(seed: int) -> None:
    generator = np.random.default_rng(seed)
    queries, pool = unit(9, 4, seed=seed), unit(40, 4, seed=seed + 100)
    labels, pool_labels = generator.integers(8, size=9), generator.integers(8, size=40)
    found = hardest(queries, labels, pool, pool_labels, 4)
    for query in range(9):
        best: dict[int, tuple[float, int]] = {}
        for row in range(40):
            label, similarity = int(pool_labels[row]), float(queries[query] @ pool[row])
            if label != labels[query]:
                best[label] = max(best.get(label, (-2.0, -1)), (similarity, row))
        expected = [row for _, row in sorted(best.values(), reverse=True)[:4]]
        assert found[query].tolist() == expected


def test_a_pool_of_too_few_objects_is_one_line() -> None:
    with pytest.raises(UserError, match="a pool of 3 pictures has 1 other objects for 2 negatives"):
        hardest(unit(1, 2), np.array([0]), unit(3, 2), np.array([0, 1, 1]), 2)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return tuples_task(tmp_path_factory.mktemp("sfm"))


def params(**changes: object) -> IrtParams:
    train = {"steps": 7, "batch_size": 2 * LENGTH, "lr": 3e-3, "optimizer": "adam"}
    images = {"side": SIDE, "crop": "centre", "flip": False}
    fields = {"images": images, "train": train, "memory": {"fraction": 0.0}, "tuples": TUPLES, **changes}
    return parse(IrtParams, {"margin": 0.85, "lambda": 4.0, **fields}, "irt")


def built(task: Task, own: IrtParams, name: str = "R") -> Irt:
    torch.manual_seed(0)
    return Irt.build(Irt.named(own, name), task)


def sampler_of(method: Irt, task: Task) -> TupleSampler:
    sampler = method.own_sampler(task)
    assert isinstance(sampler, TupleSampler)
    return sampler


def test_a_round_holds_pairs_of_the_data_set_and_pictures_of_other_objects(task: Task) -> None:
    sampler = sampler_of(built(task, params()), task)
    assert (sampler.round_steps, sampler.batch_size) == (3, 8)
    sampler.renew(0)
    labels, pairs = task.subset("train").labels, {tuple(pair) for pair in training_pairs(task).tolist()}
    seen = []
    for step in range(3):
        for query, positive, *negatives in sampler.batch(step).reshape(-1, LENGTH).tolist():
            assert (query, positive) in pairs
            assert len({labels[query], *labels[negatives]}) == 3  # each of an object of its own
            seen.append((query, positive))
    assert len(set(seen)) == 6
    first = sampler.batch(0).tolist()
    sampler.renew(2)  # the same round
    assert sampler.batch(0).tolist() == first
    sampler.renew(3)
    assert sampler.batch(3).tolist() != first


def test_negatives_are_mined_with_the_weights_as_they_are(task: Task) -> None:
    method = built(task, params())
    sampler, other = sampler_of(method, task), sampler_of(built(task, params()), task)
    sampler.renew(0)
    with torch.no_grad():
        for parameter in other.descriptor.parameters():
            parameter.add_(torch.randn_like(parameter))
    other.renew(0)
    mine, theirs = sampler.bank.indices, other.bank.indices
    assert torch.equal(mine[:, :2], theirs[:, :2])  # the pairs follow from the seed
    assert not torch.equal(mine[:, 2:], theirs[:, 2:])


def test_mining_leaves_every_module_in_its_mode(task: Task) -> None:
    method = built(task, params()).train()
    method.descriptor.backbone.eval()
    before = [module.training for module in method.modules()]
    sampler_of(method, task).renew(0)
    assert [module.training for module in method.modules()] == before
    assert any(before)
    assert not all(before)


def test_named_losses(task: Task) -> None:
    method = built(task, params())
    sampler = sampler_of(method, task)
    sampler.renew(0)
    subset = task.subset("train")
    rows = sampler.batch(0)
    images = torch.stack([torch.from_numpy(task.store[int(subset.rows[row])].copy()) for row in rows])
    resized = torch.nn.functional.interpolate(images.permute(0, 3, 1, 2).float(), (SIDE, SIDE)).byte()
    batch = {"images": resized, "labels": torch.from_numpy(subset.labels[rows])}
    losses = method(batch)
    assert set(losses) == {"contrastive", "koleo", "loss"}
    described = method.descriptor(resized)
    torch.testing.assert_close(losses["contrastive"], tuple_loss(described, LENGTH, 0.85))
    torch.testing.assert_close(losses["koleo"], 4 * koleo_loss(described))
    with pytest.raises(UserError, match="whole tuples of 4 pictures, not 5"):
        method({name: values[:5] for name, values in batch.items()})


def test_training_pulls_pairs_together_and_is_saved_without_its_tuples(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = params(**{"lambda": 0.0, "train": {"steps": 30, "batch_size": 8, "lr": 3e-3}})
    method = built(task, own, "L")
    curve = train_method(method, dataclasses.replace(task, states=StateKey(tmp_path / "states")), "irt/L/0")
    assert curve[-1]["contrastive"] < 0.7 * curve[0]["contrastive"]
    save_model(method, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    pictures = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    torch.testing.assert_close(loaded.embed(pictures), method.cpu().eval().embed(pictures))


class KilledError(Exception):
    """The training was asked to stop."""


@pytest.mark.parametrize("stopped", [3, 5])
def test_a_killed_training_reaches_the_same_weights(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: int
) -> None:
    """Rounds begin at steps 0, 3 and 6: it is killed at the edge of a round, and within one."""
    monkeypatch.chdir(tmp_path)
    whole = built(task, params())
    train_method(whole, dataclasses.replace(task, states=StateKey(tmp_path / "whole")), "irt/R/0")

    def killed(*_: object) -> None:
        raise KilledError

    resumed = dataclasses.replace(task, states=StateKey(tmp_path / "killed"))
    before = signal.signal(signal.SIGTERM, killed)
    try:
        with pytest.raises(KilledError):
            train_method(
                built(resumed, params()),
                resumed,
                "irt/R/0",
                lambda done: signal.raise_signal(signal.SIGTERM) if done == stopped else None,
            )
    finally:
        signal.signal(signal.SIGTERM, before)
    again = built(resumed, params())
    train_method(again, resumed, "irt/R/0")
    for name, weight in whole.state_dict().items():
        if isinstance(weight, torch.Tensor):
            assert torch.equal(weight, again.state_dict()[name]), name
    assert whole.tuples is not None
    assert again.tuples is not None
    assert (whole.tuples.round, again.tuples.round) == (2, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train": {"steps": 1, "batch_size": 6, "lr": 1e-3}},
            "batch_size 6 must be whole tuples of 4 pictures",
        ),
        (
            {"train": {"steps": 1, "batch_size": 12, "accumulate": 2, "lr": 1e-3}},
            "batch_size 12 must be whole tuples of 4 pictures, times accumulate",
        ),
        ({"memory": {"fraction": 1.0}}, "tuples go with train.images_per_class null, memory.fraction 0"),
        (
            {"reduction": "mean"},
            "tuples go with train.images_per_class null, memory.fraction 0 and reduction sum",
        ),
        ({"tuples": {"negative": 5}}, "irt.tuples.negative; did you mean 'negatives'"),
    ],
)
def test_wrong_parameters_are_refused_in_one_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        params(**changes)
    assert "\n" not in str(caught.value)


def test_a_data_set_without_pairs_and_a_round_smaller_than_a_batch_are_refused(
    task: Task, tmp_path: Path
) -> None:
    plain = make_task(tmp_path)
    without = dataclasses.replace(plain, manifest=plain.manifest.assign(attributes="{}"))
    with pytest.raises(
        UserError, match=r"the data set names none; use source sfm120k, or set irt\.tuples to null"
    ):
        built(without, params())
    with pytest.raises(UserError, match="a batch has 2 tuples, a round has 1 pairs"):
        built(task, params(tuples={**TUPLES, "pairs": 1}))
    assert built(task, params(), "O").tuples is None  # what is not trained needs none


def test_pairs_with_a_picture_that_the_split_left_out_are_passed_over(task: Task) -> None:
    whole = training_pairs(task)
    fewer = training_pairs(task.with_split(task.split.iloc[1:].reset_index(drop=True)))
    assert (fewer + 1).tolist() == [pair for pair in whole.tolist() if 0 not in pair]


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both mine the same tuples, and each has the loss and the neighbours of the whole batch.

    So do two that have half of the weights each.
    """
    monkeypatch.chdir(tmp_path)
    states = []
    for count, way in (("1", "copies"), ("2", "copies"), ("2", "shard")):
        folder = tmp_path / count / way
        folder.mkdir(parents=True)
        command = [sys.executable, str(tuples_in_parts.__file__), str(folder), count, way]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=480)
        assert done.returncode == 0, done.stderr[-4000:]
        states.append(torch.load(folder / "state.pt", weights_only=True))
    one = states[0]["state"]
    for other in states[1:]:
        two = other["state"]
        assert torch.equal(one["tuples.indices"], two["tuples.indices"])
        for name, weight in one.items():
            if isinstance(weight, torch.Tensor):
                torch.testing.assert_close(two[name], weight, atol=2e-5, rtol=1e-4)
        assert other["point"]["loss"] == pytest.approx(states[0]["point"]["loss"], rel=1e-4)
