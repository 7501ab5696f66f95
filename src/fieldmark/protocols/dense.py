"""Dense prediction: a linear decoder on patch features, trained with or without the backbone, and its scores.

The decoder is the linear one of Segmenter (R. Strudel et al., ICCV 2021, section 3.2): each patch's features
to one score per class, scores brought to the picture's size bilinearly. It is trained on a frozen backbone (a
linear probe, its features computed once) or together with the backbone (fine-tuning).
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from fieldmark.datasets.data.batches.samplers import ShuffledSampler
from fieldmark.datasets.data.batches.transforms import ImageParams, WindowParams, training_transform
from fieldmark.datasets.data.packed.store import NO_LABEL
from fieldmark.engine.checkpoint import CheckpointFolder
from fieldmark.engine.loop import train
from fieldmark.engine.monitor import Point
from fieldmark.engine.params import TrainParams
from fieldmark.engine.schedule import learning_rate
from fieldmark.engine.trainable import Losses, Trainable
from fieldmark.evaluation.segmentation import Overlaps, confusion_matrix
from fieldmark.protocols.crops import RandomWindow
from fieldmark.protocols.depth import set_drop_path
from fieldmark.protocols.pairs import PairDataset, Pairs, labels_in
from fieldmark.runtime.device import pick_device
from fieldmark.runtime.distributed import gather
from fieldmark.vision.backbones import Backbone

SCORED_AT_ONCE = 2**25  # scores at full size in memory
STD_FLOOR = 1e-6
UNSEEN = -1e4  # score of a label that no training mask holds


class LinearDecoder(nn.Module):
    """Features (B, D, h, w) -> scores (B, C, h, w); features are standardised by channel first.

    `seen` (C,) says which labels any training mask holds: the others are never predicted, since no training
    mask shows where they belong.
    """

    mean: Tensor
    std: Tensor
    penalty: Tensor

    def __init__(self, dim: int, seen: Tensor) -> None:
        super().__init__()
        self.head = nn.Linear(dim, len(seen))
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("mean", torch.zeros(dim, 1, 1))
        self.register_buffer("std", torch.ones(dim, 1, 1))
        self.register_buffer("penalty", torch.empty(len(seen)))
        self.predict_only(seen)

    def predict_only(self, seen: Tensor) -> None:
        """Predict from now on only the labels that `seen` (C,) says any training mask holds."""
        self.penalty.copy_(torch.where(seen, 0.0, UNSEEN))

    def standardise_by(self, features: Tensor) -> None:
        """Take mean and std of the channels from features (N, D, h, w)."""
        std, mean = torch.std_mean(features, dim=(0, 2, 3), correction=0)
        self.mean.copy_(mean[:, None, None])
        self.std.copy_(std.clamp(min=STD_FLOOR)[:, None, None])

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, C, h, w)."""
        patches = ((features - self.mean) / self.std).permute(0, 2, 3, 1)
        out: Tensor = (self.head(patches) + self.penalty).permute(0, 3, 1, 2)
        return out


class Segmenter(Trainable):
    """A backbone and a linear decoder that learn together."""

    def __init__(self, backbone: Backbone, decoder: LinearDecoder, loss_stride: int) -> None:
        super().__init__()
        self.backbone, self.decoder, self.loss_stride = backbone, decoder, loss_stride

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """Cross-entropy over the labelled pixels of batch["masks"]."""
        loss = pixel_loss(self.scores(batch["images"]), strided(batch["masks"], self.loss_stride))
        return {"cross_entropy": loss, "loss": loss}

    def scores(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> scores (B, C, h, w), one for each patch of the backbone."""
        out: Tensor = self.decoder(self.backbone(images).feature_map)
        return out


def strided(masks: Tensor, stride: int) -> Tensor:
    """Return every `stride`-th pixel of masks (B, H, W) along each side, from the middle of the first on."""
    return masks[:, stride // 2 :: stride, stride // 2 :: stride]


def pixel_loss(scores: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy of scores (B, C, h, w), brought to the size of `masks` (B, H, W), over labelled pixels.

    The mean is over the pixels of all processes. 255 is no label; without any labelled pixel the loss is 0.
    """
    fine = interpolate(scores.float(), masks.shape[-2:], mode="bilinear", align_corners=False)
    summed = cross_entropy(fine, masks.long(), ignore_index=NO_LABEL, reduction="sum")
    labelled = (masks != NO_LABEL).sum()
    # Over all processes: the mean of their means would depend on how a batch is cut.
    return gather(summed[None]).sum() / gather(labelled[None]).sum().clamp(min=1)


def fit_probe(features: Tensor, masks: Tensor, classes: int, params: TrainParams) -> LinearDecoder:
    """Train a linear decoder on features (N, D, h, w) with masks (N, H, W); batch n follows from the seed.

    The result lies on the device of the features.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(params.seed)
        decoder = LinearDecoder(features.shape[1], labels_in(masks, classes).cpu()).to(features.device)
    decoder.standardise_by(features)
    sampler = ShuffledSampler(len(features), min(params.batch_size, len(features)), params.seed)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=params.lr, weight_decay=params.weight_decay)
    for step in range(params.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(params, step)
        chosen = torch.from_numpy(sampler.batch(step)).to(features.device)
        loss = pixel_loss(decoder(features[chosen]), masks[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return decoder.eval()


def feature_maps(backbone: Backbone, pairs: Pairs, images: ImageParams, desc: str) -> Tensor:
    """Return the features of whole pictures by a frozen backbone, (N, D, h, w) on the task's device."""
    features = pairs.task.run(backbone, lambda x: backbone(x).feature_map, pairs.subset, images, desc)
    return features.clone().to(pick_device(pairs.task.runtime))  # a clone may take part in a gradient


def new_decoder(dim: int, seen: Tensor, seed: int) -> LinearDecoder:
    """Return a decoder with random weights for features as they are: that with which Segmenter begins."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LinearDecoder(dim, seen)


def fine_tune(
    backbone: Backbone,
    begun: LinearDecoder,
    pairs: Pairs,
    images: ImageParams | WindowParams,
    recipe: TrainParams,
    loss_stride: int,
    checkpoints: CheckpointFolder,
    run: str,
    drop_path: float = 0.0,
) -> tuple[Segmenter, list[Point]]:
    """Train `backbone` (in place) with a copy of the decoder `begun` on all pairs; return both and the training curve.

    `begun` is the backbone's probe, for a decoder that begins at random would first spoil the features (A. Kumar et
    al., ICLR 2022, arXiv 2202.10054), or new, as in Segmenter. `images` says whether training sees whole pictures
    made square or crops of pictures that keep their shape. The loss looks at every `loss_stride`-th pixel.
    `drop_path` is the rate of stochastic depth in the last block of a vision transformer. `run` names the training;
    it continues from the state in `checkpoints`, when there is one.
    """
    task, decoder = pairs.task, copy.deepcopy(begun)
    decoder.predict_only(pairs.seen().to(decoder.penalty.device))
    if drop_path:
        set_drop_path(backbone, drop_path)
    model = Segmenter(backbone, decoder, loss_stride)
    transform = RandomWindow(images) if isinstance(images, WindowParams) else training_transform(images)
    dataset = PairDataset(task.store, pairs.subset.rows, pairs.mask_rows, transform, recipe.seed)
    sampler = ShuffledSampler(len(pairs), recipe.batch_size, recipe.seed)
    curve = train(model, dataset, sampler, recipe, task.runtime, checkpoints, run)
    return model.eval(), curve


@torch.inference_mode()
def predict(scores: Tensor, shape: tuple[int, int]) -> Tensor:
    """Bring scores (B, C, h, w) to (H, W) and take the best class of each pixel: (B, H, W) on the CPU."""
    # With the classes as the last axis argmax is several times faster.
    classes_last = scores.float().contiguous(memory_format=torch.channels_last)
    fine = interpolate(classes_last, shape, mode="bilinear", align_corners=False)
    return fine.permute(0, 2, 3, 1).argmax(-1).cpu()


def overlaps(scores: Tensor, pairs: Pairs) -> Overlaps:
    """Compare scores (N, C, h, w) with the masks of `pairs`, at the size in which each is stored."""
    masks = [pairs.mask(index) for index in range(len(pairs))]
    confusions = np.zeros((len(masks), pairs.classes, pairs.classes), np.int64)
    for first, last in _runs([mask.shape for mask in masks], pairs.classes):
        guesses = predict(scores[first:last], masks[first].shape)
        for index in range(first, last):
            confusions[index] = confusion_matrix(
                guesses[index - first], masks[index], pairs.classes, NO_LABEL
            )
    return Overlaps.of(confusions)


def _runs(shapes: Sequence[tuple[int, ...]], classes: int) -> list[tuple[int, int]]:
    """Cut 0..N into runs of equal shapes that are not too large to be scored at once."""
    runs: list[tuple[int, int]] = []
    for index, shape in enumerate(shapes):
        longest = max(SCORED_AT_ONCE // (shape[0] * shape[1] * classes), 1)
        if runs and shapes[runs[-1][0]] == shape and index - runs[-1][0] < longest:
            runs[-1] = runs[-1][0], index + 1
        else:
            runs.append((index, index + 1))
    return runs
