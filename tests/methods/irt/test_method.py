"""IRT as a whole: losses, variants, momentum encoder, PCA."""

import dataclasses
from pathlib import Path

import pytest
import torch
from support.tiny import SIDE, make_task, tiny_resnet

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.contract.variants import load_model, save_model
from fieldmark.engine.task import Task
from fieldmark.methods.irt.model.descriptor import Projection
from fieldmark.methods.irt.model.memory import MemoryBank
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams, MemoryParams
from fieldmark.vision.backbones import save_backbone


def params(**changes: object) -> IrtParams:
    train = {"steps": 6, "batch_size": 6, "images_per_class": 2, "lr": 3e-3}
    fields = {"images": {"side": SIDE}, "train": train, **changes}
    return parse(IrtParams, fields, "irt")


def build(own: IrtParams, task: Task, name: str = "R") -> Irt:
    return Irt.build(Irt.named(own, name), task)


def batch(task):  # type: ignore[no-untyped-def]
    subset = task.subset("train")
    images = torch.stack([torch.from_numpy(task.store[int(r)].copy()).permute(2, 0, 1) for r in subset.rows])
    return {"images": images, "labels": torch.from_numpy(subset.labels)}


def test_named_losses_sum_to_the_loss(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    losses = build(params(), task)(batch(task))
    assert set(losses) == {"contrastive", "memory", "koleo", "loss"}
    named = sum(float(v) for k, v in losses.items() if k != "loss")
    assert float(losses["loss"]) == pytest.approx(named, rel=1e-6)


def test_lambda_zero_has_no_koleo_and_no_memory_when_its_fraction_is_zero(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    plain = build(params(**{"lambda": 0.0, "memory": {"fraction": 0.0}}), task)
    assert set(plain(batch(task))) == {"contrastive", "loss"}


@pytest.mark.parametrize("pooling", ["cls", "cls_distilled"])
def test_a_token_that_the_network_lacks_is_refused_before_training(tmp_path: Path, pooling: str) -> None:
    task = make_task(tmp_path)
    save_backbone(tiny_resnet(), tmp_path / "resnet")
    conv = dataclasses.replace(task, backbone=tmp_path / "resnet")
    with pytest.raises(UserError, match=f"^irt.pooling '{pooling}' needs a class token, resnet10t has none"):
        build(params(pooling=pooling), conv)
    if pooling == "cls":
        build(params(pooling=pooling), task)
    else:
        with pytest.raises(UserError, match="needs a network distilled with a token, vit_tiny_patch16_224"):
            build(params(pooling=pooling), task)


@pytest.mark.parametrize("loss", ["nsoftmax", "proxynca", "multisimilarity", "snca"])
def test_another_loss_takes_the_place_of_pairs_and_memory_and_is_not_saved(tmp_path: Path, loss: str) -> None:
    task = make_task(tmp_path)
    method = build(params(loss=loss, proxy_lr=5.0), task)
    losses = method(batch(task))
    assert set(losses) == {loss, "koleo", "loss"}
    assert (method.memory is not None) == (loss == "snca")
    proxies = [group for group in method.parameter_groups(params().train) if group.lr_scale == 5.0]
    shapes = [tuple(p.shape) for group in proxies for p in group.params]
    assert shapes == {"nsoftmax": [(16, 3)], "proxynca": [(3, 16)]}.get(loss, [])
    assert method.trained_weights == sum(p.numel() for p in method.descriptor.parameters())
    losses["loss"].backward()
    assert all(group.params[0].grad is not None for group in proxies)
    save_model(method, tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.rival is None
    assert again.variant.title == f"{loss} + 0.7 KoLeo"


def test_snca_looks_into_the_memory_without_the_picture_itself(tmp_path: Path) -> None:
    """Each picture is alone in its class: its own entry, of which there is no other, is no right neighbour."""
    task = make_task(tmp_path)
    method, pictures = build(params(loss="snca"), task), batch(task)
    alone = {**pictures, "labels": torch.arange(len(pictures["labels"]))}
    assert float(method(alone)["snca"].detach()) == 0.0
    assert method.memory is not None
    assert method.memory.filled == 18
    assert float(method(pictures)["snca"].detach()) > 0.0


def test_memory_starts_late_but_fills_from_the_first_step(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    method = build(params(memory={"start": 2}), task)
    method.before_step(1)
    assert "memory" not in method(batch(task))
    assert method.memory is not None
    assert method.memory.filled == 18
    method.before_step(2)
    assert "memory" in method(batch(task))


def test_no_picture_is_its_own_positive_in_the_memory(tmp_path: Path) -> None:
    """With a momentum encoder of other weights: each picture is alone in its class: no pair pulls."""
    task = make_task(tmp_path)
    method = build(params(margin=0.99, memory={"momentum": 0.9}), task)
    with torch.no_grad():
        for parameter in method.descriptor.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    pictures = batch(task)
    alone = {**pictures, "labels": torch.arange(len(pictures["labels"]))}
    method.before_step(1)
    keys = method._keys(alone["images"], torch.empty(0))
    similarity = (method.descriptor(alone["images"]) * keys).sum(1)
    assert similarity.max() < 1 - 1e-5
    method.memory = MemoryBank(18, keys.shape[1])
    others = (method.descriptor(alone["images"]) @ keys.T - 0.99).clamp(min=0).fill_diagonal_(0).sum() / 18
    torch.testing.assert_close(method(alone)["memory"], others)


def test_memory_size_is_a_fraction_of_the_training_set(tmp_path: Path) -> None:
    method = build(params(memory={"fraction": 0.5}), make_task(tmp_path))
    assert method.memory is not None
    assert method.memory.size == 9


def test_variants() -> None:
    named = Irt.variants(params(**{"lambda": 0.3}))
    assert [(one.name, one.params.lambda_, one.params.train.steps) for one in named] == [
        ("O", 0.3, 0),
        ("L", 0.0, 6),
        ("R", 0.3, 6),
    ]


def test_momentum_encoder_starts_equal_moves_a_fraction_and_gets_no_gradient(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    method = build(params(memory={"momentum": 0.9}), task)
    assert method.key_encoder is not None
    query, key = (next(m.parameters()) for m in (method.descriptor, method.key_encoder))
    assert torch.equal(query, key)
    with torch.no_grad():
        query.add_(1.0)
    method(batch(task))["loss"].backward()
    assert key.grad is None
    before = key.clone()
    method.after_step(0)
    torch.testing.assert_close(key, before + 0.1)


def test_only_the_descriptor_is_trained(tmp_path: Path) -> None:
    method = build(params(memory={"momentum": 0.9}), make_task(tmp_path))
    trained = {id(p) for g in method.parameter_groups(params().train) for p in g.params}
    assert trained == {id(p) for p in method.descriptor.parameters()}


def test_pca_comes_before_normalisation_and_is_fitted_on_training_pictures(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    own = params(dim=5)
    method = build(own, task)
    method.finish(task)
    images = batch(task)["images"]
    with torch.no_grad():
        described = method.eval().embed(images)
        pooled = method.descriptor.pooled(images)
    assert described.shape == (18, 5)
    torch.testing.assert_close(described.norm(dim=1), torch.ones(18))
    projection = method.descriptor.projection
    assert projection is not None
    torch.testing.assert_close(described, torch.nn.functional.normalize(projection(pooled), dim=1))
    torch.testing.assert_close(projection.mean, pooled.mean(0), atol=1e-5, rtol=1e-4)


def test_projection_agrees_with_sklearn() -> None:
    from sklearn.decomposition import PCA

    data = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) @ torch.diag(torch.arange(1.0, 7.0))
    projection = Projection(6, 3)
    projection.fit(data)
    expected = torch.from_numpy(PCA(3).fit_transform(data.double().numpy())).float()
    got = projection(data)
    torch.testing.assert_close(got.abs(), expected.abs(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lamda": 0.3}, "irt.lamda; did you mean 'lambda'"),
        ({"lambda": "much"}, "irt.lambda"),
        ({"lambda": -1}, "irt.lambda: .*greater than or equal to 0"),
        ({"memory": {"place": 3}}, "irt.memory.place"),
        ({"train": {"steps": 3, "lr": 0}}, "irt.train.lr"),
        ({"variants": ["X"]}, "irt.variants"),
        ({"variants": []}, "at least one"),
        ({"pooling": "mean"}, "irt.pooling"),
    ],
)
def test_wrong_parameters_are_refused_in_one_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        params(**changes)
    assert "\n" not in str(caught.value)


def test_impossible_requests_are_refused(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    with pytest.raises(UserError, match="more than the backbone's 16"):
        build(params(dim=17), task)
    with pytest.raises(UserError, match="vit_tiny_patch16_224 cannot take pictures of 48 px"):
        build(params(images={"side": SIDE + 16}), task)
    with pytest.raises(UserError, match=r"irt.train: batch_size 5 is no multiple of 2 .images_per_class"):
        params(train={"steps": 1, "batch_size": 5, "images_per_class": 2, "lr": 1e-3})
    with pytest.raises(UserError, match=r"irt.train: batch_size 5 cannot be cut into 2 equal parts"):
        params(train={"steps": 1, "batch_size": 5, "accumulate": 2, "lr": 1e-3})


def test_memory_defaults_are_the_papers() -> None:
    own = params()
    assert (own.lambda_, own.margin, own.memory) == (0.7, 0.5, MemoryParams())
