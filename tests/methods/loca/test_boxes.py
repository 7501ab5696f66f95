"""The loss of boxes: by hand, against loops, and against the release's way to find them."""

from collections.abc import Callable

import pytest
import torch
from torch.autograd import gradcheck
from torchvision.ops import generalized_box_iou

from fieldmark.engine.task import Task
from fieldmark.methods.loca.model.boxes import box_losses, box_targets, overlap
from fieldmark.methods.loca.model.method import Loca
from fieldmark.methods.loca.model.network import whole_queries
from fieldmark.methods.loca.model.params import LocaParams

Batch = dict[str, torch.Tensor]


def released(reference: list[float], query: list[float]) -> tuple[bool, list[float]]:
    """Return valid and (y, x, h, w) as the released pipeline computes them, one number at a time."""
    begin, side = [], []
    for axis in (0, 1):
        start, length = reference[axis], reference[axis + 2]
        first, extent = query[axis], query[axis + 2]
        relative = max(first - start, 0.0) / length
        end = min(first + extent, start + length)
        begin.append(relative)
        side.append(max(0.0, end / length - relative - start / length))
    return side[0] > 0.1 and side[1] > 0.1, [*begin, *side]


def test_boxes_are_those_of_the_release() -> None:
    generator = torch.Generator().manual_seed(0)
    counted = 0
    for _ in range(300):
        numbers = torch.randint(0, 60, (8,), generator=generator)
        reference, query = (
            numbers[:4] + torch.tensor([0, 0, 20, 20]),
            numbers[4:] + torch.tensor([0, 0, 5, 5]),
        )
        valid, (y, x, h, w) = released(reference.tolist(), query.tolist())
        boxes, counts = box_targets(reference, query)
        assert bool(counts) == valid
        if valid:
            assert boxes.tolist() == pytest.approx([y + h / 2, x + w / 2, h, w], abs=1e-6)
            counted += 1
    assert 50 < counted < 250


def test_a_query_by_hand() -> None:
    reference = torch.tensor([10, 20, 40, 80])
    queries = torch.tensor(
        [[20, 40, 20, 40], [0, 0, 30, 40], [10, 20, 40, 80], [50, 20, 9, 9], [10, 20, 4, 80]]
    )
    boxes, counts = box_targets(reference, queries)
    assert boxes[0].tolist() == [0.5, 0.5, 0.5, 0.5]
    assert boxes[1].tolist() == [0.25, 0.125, 0.5, 0.25]  # what reaches beyond is cut off
    assert boxes[2].tolist() == [0.5, 0.5, 1.0, 1.0]
    assert counts.tolist() == [True, True, True, False, False]  # beside it; a tenth of its height


def test_generalised_overlap_by_hand_and_in_torchvision() -> None:
    first = torch.tensor([0.25, 0.25, 0.5, 0.5])  # rows and columns 0 to 0.5
    second = torch.tensor([0.5, 0.25, 0.5, 0.5])  # rows 0.25 to 0.75
    plain, generalised = overlap(first, second)
    assert float(plain) == pytest.approx(0.125 / 0.375)
    assert float(generalised) == pytest.approx(1 / 3)  # the box around both holds nothing else
    apart = torch.tensor([0.875, 0.875, 0.25, 0.25])
    assert [float(value) for value in overlap(first, apart)] == pytest.approx([0.0, -(1 - 0.3125)])
    assert [float(value) for value in overlap(first, first)] == pytest.approx([1.0, 1.0])
    point = torch.tensor([0.5, 0.5, 0.0, 0.0])
    assert [float(value) for value in overlap(point, point)] == [0.0, -1.0]
    boxes = torch.rand(2, 40, 4, generator=torch.Generator().manual_seed(1))
    corners = [torch.cat([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2], dim=1) for b in boxes]
    torch.testing.assert_close(overlap(*boxes)[1], generalized_box_iou(*corners).diagonal())


def test_the_loss_is_a_loop_over_the_boxes_that_count() -> None:
    generator = torch.Generator().manual_seed(2)
    predicted, wanted = torch.rand(2, 3, 5, 4, generator=generator)
    counts = torch.rand(3, 5, generator=generator) > 0.4
    distance = lack = plain = 0.0
    for picture in range(3):
        for query in range(5):
            if counts[picture, query]:
                one, other = predicted[picture, query], wanted[picture, query]
                distance += sum(abs(float(a) - float(b)) for a, b in zip(one, other, strict=True))
                lack += 1 - float(overlap(one, other)[1])
                plain += float(overlap(one, other)[0])
    number = int(counts.sum())
    expected = [5 * distance / number, 2 * lack / number, plain / number]
    assert [float(value) for value in box_losses(predicted, wanted, counts)] == pytest.approx(
        expected, rel=1e-5
    )
    nothing = box_losses(predicted, wanted, torch.zeros(3, 5, dtype=torch.bool))
    assert [float(value) for value in nothing] == [0.0, 0.0, 0.0]
    right = box_losses(wanted, wanted, counts)
    assert [float(value) for value in right] == pytest.approx([0.0, 0.0, 1.0], abs=1e-5)


def test_gradient_of_the_overlap() -> None:
    boxes = 0.2 + 0.6 * torch.rand(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    wanted = boxes.flip(0).clone()
    assert gradcheck(lambda values: overlap(values, wanted)[1], boxes.requires_grad_())


def test_whole_queries_are_the_means_of_their_patches() -> None:
    patches = (
        torch.arange(2 * 11 * 3).float().view(2, 11, 3)
    )  # three of the random query, four of each focal one

    class Kept:
        kept = torch.zeros(3)

    whole = whole_queries(patches, Kept(), 2)  # type: ignore[arg-type]
    assert whole.shape == (2, 3, 3)
    for number, (first, last) in enumerate(((0, 3), (3, 7), (7, 11))):
        torch.testing.assert_close(whole[:, number], patches[:, first:last].mean(1))


def test_a_box_is_learnt_from_what_is_visible(
    params: Callable[..., LocaParams], task: Task, batch: Batch
) -> None:
    """No teacher, the gradient reaches the visible patches of the reference, and steps lower the loss."""
    torch.manual_seed(0)
    method = Loca.build(Loca.named(params(variants=["box"]), "box"), task).train()
    assert method.teacher is None
    assert not method.has_pretext
    optimizer = torch.optim.AdamW(method.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        method.before_step(0)
        found = method(batch)
        assert found["loss"] == found["box_distance"] + found["box_overlap"]
        optimizer.zero_grad()
        found["loss"].backward()
        optimizer.step()
        losses.append(float(found["loss"].detach()))
    assert losses[-1] < 0.75 * losses[0]
    assert 0.0 < float(found["iou"]) <= 1.0


def test_boxes_of_views_are_those_of_their_patches(
    params: Callable[..., LocaParams], task: Task, batch: Batch
) -> None:
    """A patch whose position lies in the reference lies in the box of its query, up to a patch."""
    method = Loca.build(Loca.named(params(variants=["box"]), "box"), task)
    views, _ = method._views(batch["images"], 0, 0)
    boxes, counts = box_targets(views.reference.boxes[None], views.focal.boxes)
    for query in range(len(boxes)):
        for picture in range(boxes.shape[1]):
            targets = views.focal.targets[query, picture]
            inside = targets[targets >= 0]
            if counts[query, picture] and len(inside):
                y, x, h, w = boxes[query, picture].tolist()
                rows, columns = inside // 4 + 0.5, inside % 4 + 0.5
                assert bool(((rows / 4 - y).abs() <= h / 2 + 0.125 + 1e-6).all())
                assert bool(((columns / 4 - x).abs() <= w / 2 + 0.125 + 1e-6).all())
