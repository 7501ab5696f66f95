"""Phrases as CLIP's frozen vectors: looked up whole, through one layer; everything that reads them still works."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.seeds import of_one_seed
from support.tiny import SIDE
from torch import Tensor

import fieldmark
from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.contract.variants import load_model, save_model, train_variants
from fieldmark.engine.task import Task
from fieldmark.methods.pma.distillation import DistillParams, distil
from fieldmark.methods.pma.evaluation import evaluate
from fieldmark.methods.pma.evaluation.predictions import predict
from fieldmark.methods.pma.model.method import Pma
from fieldmark.methods.pma.model.params import PmaParams
from fieldmark.methods.pma.model.phrases import ClipPhrases
from fieldmark.protocols.shared import SharedFeatures
from fieldmark.results.figures import FigureFolder
from fieldmark.texts.phrases import PhraseVectors, read_vectors, write_vectors

Make = Callable[..., PmaParams]


def build(params: Make, task: Task, variant: str = "PMA", **changes: Any) -> Pma:
    torch.manual_seed(0)
    block = params(variants=[variant], stages=2, phrase_encoder="clip", **changes)
    return Pma.build(Pma.named(block, variant), task)


def pictures(task: Task, count: int = 8) -> Tensor:
    rows = task.subset("train").rows[:count]
    return torch.stack([torch.from_numpy(task.store[int(r)].copy()).permute(2, 0, 1) for r in rows])


@pytest.fixture
def encoder() -> ClipPhrases:
    torch.manual_seed(0)
    table = torch.cat([torch.zeros(2, 3), torch.nn.functional.normalize(torch.randn(4, 3), dim=1)]).half()
    return ClipPhrases(table, 6)


def test_a_phrase_is_its_row_through_the_layer(encoder: ClipPhrases) -> None:
    tokens = torch.tensor([[[2], [5], [0]], [[1], [0], [0]]])
    vectors, valid = encoder(tokens)
    assert valid.tolist() == [[True, True, False], [True, False, False]]
    row = encoder.table.weight[5].float() * 3**0.5
    torch.testing.assert_close(vectors[0, 1], encoder.project.weight @ row + encoder.project.bias)
    assert (vectors[~valid] == 0).all()
    torch.testing.assert_close(vectors[1, 0], encoder.project.bias)  # unknown: zero before the layer


def test_gradients_reach_the_layer_and_not_the_table(encoder: ClipPhrases) -> None:
    before = encoder.table.weight.clone()
    encoder(torch.tensor([[[2], [1], [0]]]))[0].square().sum().backward()
    assert encoder.table.weight.grad is None
    assert (encoder.project.weight.grad.abs().sum(1) > 0).all()
    assert torch.equal(encoder.table.weight, before)


def test_the_model_numbers_whole_phrases(params: Make, embedded: Task) -> None:
    method = build(params, embedded)
    vectors = read_vectors(embedded.text)
    assert method.vocabulary == ["<pad>", "<unk>", *vectors.phrases]
    assert torch.equal(method.encoder.table.weight[2:], torch.from_numpy(vectors.vectors))
    assert (method.encoder.table.weight[:2] == 0).all()
    table = method.phrases_of(embedded, embedded.subset("train"))
    assert table.tokens.shape[2] == 1
    for tokens, texts in zip(table.tokens, table.texts, strict=True):
        assert [method.vocabulary[number] for number in tokens[:, 0] if number] == list(texts)


@pytest.mark.parametrize("variant", ["text", "PMA"])
def test_order_and_padding_of_phrases_change_nothing(params: Make, embedded: Task, variant: str) -> None:
    method, images = build(params, embedded, variant).eval(), pictures(embedded)
    tokens = method.tokens[:8]
    logits = method.logits(images, tokens)
    mixed = torch.cat([tokens.flip(1), torch.zeros(8, 4, 1, dtype=torch.long)], 1)
    torch.testing.assert_close(method.logits(images, mixed), logits)
    other = tokens.clone()
    other[:, 0] = 2 + (other[:, 0] - 1) % (len(method.vocabulary) - 2)
    assert not torch.allclose(method.logits(images, other), logits)


@pytest.mark.parametrize("count", [0, 1, 2, 12])
def test_few_and_many_phrases_are_no_trouble(params: Make, embedded: Task, count: int) -> None:
    method = build(params, embedded, dropout=0.0)
    tokens = torch.zeros(8, max(count, 1), 1, dtype=torch.long)
    tokens[:, :count, 0] = 2 + torch.arange(count) % (len(method.vocabulary) - 2)
    logits = method.logits(pictures(embedded), tokens)
    logits.square().sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in method.parameters() if p.grad is not None)


@pytest.mark.parametrize("variant", ["text", "PMA"])
def test_all_but_the_table_learns(params: Make, embedded: Task, variant: str) -> None:
    method = build(params, embedded, variant, backbone_lr=1.0)
    given = {id(w) for group in method.parameter_groups(method.params.train) for w in group.params}
    assert given == {id(w) for n, w in method.named_parameters() if n != "encoder.table.weight"}


@pytest.mark.parametrize("variant", ["text", "PMA"])
def test_saved_and_loaded_it_says_the_same_without_its_text(
    params: Make, embedded: Task, tmp_path: Path, variant: str
) -> None:
    method, images = build(params, embedded, variant).eval(), pictures(embedded)
    save_model(method, tmp_path / "saved")
    (embedded.text / "vectors.safetensors").unlink()
    again = load_model(tmp_path / "saved")
    assert again.vocabulary == method.vocabulary
    assert torch.equal(again.logits(images, method.tokens[:8]), method.logits(images, method.tokens[:8]))
    if variant == "PMA":
        with pytest.raises(UserError, match="reads phrases; for pictures alone load a student"):
            fieldmark.load(tmp_path / "saved").predict(images[0].permute(1, 2, 0).numpy())


def test_a_phrase_that_the_table_lacks_is_unknown(params: Make, embedded: Task) -> None:
    whole = read_vectors(embedded.text)
    known = [index for index, phrase in enumerate(whole.phrases) if phrase != "small bill"]
    write_vectors(
        PhraseVectors([whole.phrases[index] for index in known], whole.vectors[known]), embedded.text
    )
    method = build(params, embedded)
    predicted = predict(method, method.params.images, SharedFeatures(embedded), "test")
    tokens = {
        text: int(number)
        for numbers, texts in zip(predicted.phrases.tokens, predicted.phrases.texts, strict=True)
        for number, text in zip(numbers[:, 0], texts, strict=False)
    }
    assert tokens.pop("small bill") == 1
    assert min(tokens.values()) > 1
    assert predicted.with_own_text.logits.isfinite().all()


@pytest.mark.parametrize("captions", ["all", 1])
def test_it_trains_is_scored_and_teaches(params: Make, embedded: Task, captions: Any) -> None:
    block = params(variants=["text", "PMA"], stages=2, phrase_encoder="clip", captions=captions)
    curves = train_variants("pma", block, embedded, Path("variants"))
    assert list(curves) == ["text/0", "PMA/0"]
    models = {name: load_model(Path("variants") / name) for name in block.variants}
    kept = torch.from_numpy(read_vectors(embedded.text).vectors)
    assert all(torch.equal(model.encoder.table.weight[2:], kept) for model in models.values())
    Path("figures").mkdir()
    evaluation = evaluate(of_one_seed(models), block, embedded, FigureFolder(Path("figures")))
    measures = {variant.name: variant.measures for variant in evaluation.variants}
    assert {"top1", "top1_missing", "top1_partial", "top1_wrong"} <= measures["PMA"].keys()
    wiring = dict.fromkeys(("dataset", "split", "backbone", "text"), "any")
    train = {"steps": 2, "batch_size": 6, "lr": 1e-2}
    student = {**wiring, "students": ["student"], "images": {"side": SIDE}, "train": train}
    taught = parse(DistillParams, student, "distill.pma")
    assert list(distil(taught, embedded, Path("variants"), Path("students"))) == ["student/0"]


def test_a_text_without_vectors_says_what_to_set(params: Make, task: Task) -> None:
    with pytest.raises(UserError, match=r"set phrases\.text\.clip to an item of clip_models") as caught:
        build(params, task)
    assert "\n" not in str(caught.value)
    build(params, task, "vision")
    with pytest.raises(UserError, match="phrase_encoder"):
        params(phrase_encoder="bert")
