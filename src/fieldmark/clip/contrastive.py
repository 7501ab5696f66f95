"""Training a CLIP: pictures against their captions, across all processes."""

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from fieldmark.datasets.data.batches.loading import mix
from fieldmark.engine.precision import full_precision
from fieldmark.engine.trainable import Losses, Trainable
from fieldmark.runtime.device import moved
from fieldmark.runtime.distributed import gather
from fieldmark.towers.clip import Clip

MAX_LOG_SCALE = math.log(100.0)  # the inverse temperature is kept at most 100, as in CLIP


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """Symmetric cross-entropy of pictures (B, m) against texts (B, m), where row i of both belong together.

    `scale` is the inverse temperature. A. Radford et al. 2021, arXiv 2103.00020, figure 3. Rows of all processes are
    gathered, so that two processes with half a batch each give the loss of one process with the whole batch.
    """
    pictures, sentences = (normalize(gather(full_precision(rows)), dim=1) for rows in (images, texts))
    logits = scale * pictures @ sentences.T
    pairs = torch.arange(len(logits), device=logits.device)
    return 0.5 * (cross_entropy(logits, pairs) + cross_entropy(logits.T, pairs))


class ContrastiveClip(Trainable):
    """A CLIP with the captions of its training pictures; each step draws one caption per picture.

    `captions` has one list per training picture, in the order of the batch's `indices`; none may be empty. `image_lr`
    is the multiple of the learning rate for the network of the image tower; 0 locks it, its BatchNorms too.
    """

    tokens: Tensor
    first: Tensor
    counts: Tensor

    def __init__(
        self, clip: Clip, captions: Sequence[Sequence[str]], seed: int, image_lr: float = 1.0
    ) -> None:
        super().__init__()
        if not captions or not all(captions):
            raise ValueError("every training picture needs a caption")
        counts = [len(sentences) for sentences in captions]
        self.clip, self.seed, self.step, self.image_lr = clip, seed, 0, image_lr
        clip.image_network.requires_grad_(image_lr > 0.0)
        for name, table in {
            "tokens": clip.tokenize(list(chain.from_iterable(captions))),
            "first": torch.tensor(list(accumulate(counts, initial=0))[:-1]),
            "counts": torch.tensor(counts),
        }.items():
            self.register_buffer(name, table, persistent=False)

    def rates(self) -> Iterable[tuple[nn.Module, float]]:
        """Return the network of the image tower with its own multiple, and all else with 1."""
        theirs = set(self.clip.image_network.parameters())
        rest = {
            name.replace(".", "_"): weight
            for name, weight in self.clip.named_parameters()
            if weight not in theirs
        }
        return [(self.clip.image_network, self.image_lr), (nn.ParameterDict(rest), 1.0)]

    def frozen(self) -> Iterable[nn.Module]:
        """Return a locked image network."""
        return [] if self.image_lr else [self.clip.image_network]

    def before_step(self, step: int) -> None:
        """Remember the step, because the drawn captions depend on it."""
        self.step = step

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """Contrastive loss of the batch's pictures and the captions drawn for them."""
        chosen = self.chosen(batch["indices"])
        images = self.clip.encode_images(batch["images"])
        texts = self.clip.encode_tokens(self.tokens[chosen])
        loss = contrastive_loss(images, texts, self.clip.logit_scale.exp())
        return {"contrastive": loss, "loss": loss}

    def chosen(self, indices: Tensor) -> Tensor:
        """Return the rows of `tokens` drawn for the training pictures `indices` (B,).

        They depend on seed, step and picture only, not on what else is in the batch.
        """
        generator = torch.Generator().manual_seed(mix(self.seed, self.step))
        drawn = torch.rand(len(self.counts), generator=generator)
        fractions = moved(drawn, indices.device)[indices]
        return self.first[indices] + (fractions * self.counts[indices]).long()

    def after_step(self, step: int) -> None:
        """Limit the inverse temperature."""
        with torch.no_grad():
            self.clip.logit_scale.clamp_(max=MAX_LOG_SCALE)
