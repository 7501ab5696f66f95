"""The stages of progressive mask attention: attend, locate, call up phrases, mask both, and go on.

Source and equation numbers: see `attention`.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from fieldmark.methods.pma.model.attention import (
    QueryRelation,
    Relation,
    SelfAttentionScore,
    called_up,
    masked_softmax,
)

MAX_STAGES = 5
PartProjection = Literal["conv1x1", "none"]
Streams = Literal["both", "global", "local"]
Scores = Literal["both", "SAM", "QRM"]
Score = SelfAttentionScore | QueryRelation


@dataclass(frozen=True)
class AttentionOptions:
    """What the paper leaves open, with the reading taken by default."""

    stages: int = 3  # T
    stage_dim: int = 512  # of s_t
    vision_ratio: int = 16  # r of SAM over blocks
    language_ratio: int = 4  # r of SAM over phrases
    sam_bias: bool = True
    qrm: Relation = "one"
    qrm_scale: bool = False
    part_proj: PartProjection = "conv1x1"  # f of the part feature
    mask_max: int = 3  # phrases that may leave in a stage
    mask_threshold: float | None = None  # weight above which they leave; None: 1 / their number
    share_stage_params: bool = False
    stage_activation: bool = False  # ReLU after the shared FC
    visual_mask: bool = True  # located blocks are hidden from later stages
    streams: Streams = "both"  # the global and the local summary of each modality, or one of them
    scores: Scores = (
        "both"  # SAM for blocks and phrases with QRM for phrases and part, or one of them everywhere
    )


@dataclass(frozen=True)
class Stage:
    """What one stage saw and did, for m blocks and N phrases; what its options leave out is None."""

    vector: Tensor  # s_t (B, d_s)
    blocks: Tensor  # alpha (B, m)
    part: Tensor  # k, the located block (B,)
    related: Tensor | None  # beta (B, N)
    dropped: Tensor | None  # J, the phrases that left (B, N), boolean
    others: Tensor | None  # gamma (B, N), after they left


@dataclass(frozen=True)
class Attended:
    """The final vector z (B, C + T d_s) of eq. 9, and the stages that led there."""

    vector: Tensor
    stages: tuple[Stage, ...]


class StageModules(nn.Module):
    """What a stage learns: the scores of both modalities and the projection of the part feature.

    With `scores` QRM the whole picture's mean vector asks for blocks as a part asks for phrases, and the part asks in
    the global stream, too; with SAM phrases of the local stream are scored by themselves, whatever the part.
    """

    def __init__(self, channels: int, phrase_dim: int | None, options: AttentionOptions) -> None:
        super().__init__()
        self.visual = _own_score(channels, channels, options.vision_ratio, "relu", options)
        local, everywhere = options.streams != "global", options.streams != "local"
        # A 1x1 convolution and the mean over cells are both linear: the mean may come first, at a quarter of
        # the cost, and the convolution is then a matrix.
        self.part = nn.Linear(channels, channels) if local and options.part_proj == "conv1x1" else None
        self.textual: Score | None = None
        self.relation: Score | None = None
        if phrase_dim is not None and everywhere:
            self.textual = _own_score(phrase_dim, channels, options.language_ratio, "tanh", options)
        if phrase_dim is not None and local:
            self.relation = _relation(phrase_dim, channels, options)


class ProgressiveMaskAttention(nn.Module):
    """Eq. 3 to 9 of PMA: feature maps (B, C, H, W) and phrases (B, N, d_l) -> z (B, C + T d_s).

    Song et al., IEEE TIP 29, 2020. T stages of width d_s: `options.stages` and `options.stage_dim`. `forward`
    returns z as `vector` and what each stage saw as `stages`; `valid` (B, N) is true for real phrases. Without
    `phrase_dim` the language stream is left out: PMA on vision alone; `options` may leave out more, such as the visual
    mask, for an ablation. Raises ValueError for stages outside 1 to 5;
    `forward` for feature maps with odd sides or with fewer 2x2 blocks than stages, and for phrases without
    `valid` or `phrase_dim`.

    >>> import torch
    >>> from fieldmark.methods.pma import ProgressiveMaskAttention
    >>> attention = ProgressiveMaskAttention(channels=16, phrase_dim=8)
    >>> phrases, valid = torch.rand(2, 5, 8), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    >>> attended = attention(torch.rand(2, 16, 4, 4), phrases, valid)
    >>> attended.vector.shape  # 16 + 3 * 512
    torch.Size([2, 1552])
    >>> [stage.part.shape for stage in attended.stages]  # the 2x2 block that each stage located, per picture
    [torch.Size([2]), torch.Size([2]), torch.Size([2])]
    """

    def __init__(
        self, channels: int, phrase_dim: int | None = None, options: AttentionOptions | None = None
    ) -> None:
        super().__init__()
        self.options = options or AttentionOptions()
        if not 1 <= self.options.stages <= MAX_STAGES:
            raise ValueError(f"stages must be 1 to {MAX_STAGES}, not {self.options.stages}")
        self.channels, self.phrase_dim = channels, phrase_dim
        count = 1 if self.options.share_stage_params else self.options.stages
        self.modules_of_stage = nn.ModuleList(
            StageModules(channels, phrase_dim, self.options) for _ in range(count)
        )
        streams = 2 if self.options.streams == "both" else 1
        self.reduce = nn.Linear(streams * (channels + (phrase_dim or 0)), self.options.stage_dim)

    @property
    def dim(self) -> int:
        """The length of z."""
        return self.channels + self.options.stages * self.options.stage_dim

    def forward(
        self, feature_map: Tensor, phrases: Tensor | None = None, valid: Tensor | None = None
    ) -> Attended:
        """Return z and its stages; `valid` (B, N) is true for real phrases, false for padding."""
        if (phrases is None) != (self.phrase_dim is None) or (phrases is None) != (valid is None):
            raise ValueError("phrases and valid go with a phrase_dim: give all three or none")
        _check_feature_map(feature_map, self.options.stages)
        blocks = max_pool2d(feature_map, 2).flatten(2).transpose(1, 2)  # x (B, m, C)
        cells = block_means(feature_map)  # of the un-pooled blocks (B, m, C)
        visible = torch.ones(blocks.shape[:2], dtype=torch.bool, device=feature_map.device)  # M_v
        unused = valid  # M_l
        stages: list[Stage] = []
        for number in range(self.options.stages):
            modules = self.modules_of_stage[number % len(self.modules_of_stage)]
            stage = self._stage(modules, blocks, cells, visible, phrases, valid, unused)
            stages.append(stage)
            if self.options.visual_mask:
                visible = visible.scatter(1, stage.part[:, None], False)
            unused = unused & ~stage.dropped if unused is not None and stage.dropped is not None else unused
        vector = torch.cat([feature_map.mean((2, 3)), *(stage.vector for stage in stages)], 1)
        return Attended(vector, tuple(stages))

    def _stage(
        self,
        modules: nn.Module,
        blocks: Tensor,
        cells: Tensor,
        visible: Tensor,
        phrases: Tensor | None,
        valid: Tensor | None,
        unused: Tensor | None,
    ) -> Stage:
        """One stage: eq. 3 and 4 over blocks, 5 to 7 over phrases, 8 for both."""
        assert isinstance(modules, StageModules)
        alpha = masked_softmax(_scored(modules.visual, blocks, cells.mean(1)), visible)
        # Never a masked block, even if all weights underflow.
        part = alpha.masked_fill(~visible, -1.0).argmax(1)
        local = self._part_feature(modules, cells, alpha, part)
        streams = self.options.streams
        summaries = [_weighted(alpha, blocks)] if streams != "local" else []
        summaries += [local] if streams != "global" else []
        beta = gamma = dropped = None
        if phrases is not None and valid is not None and unused is not None:
            left = unused
            if modules.relation is not None:
                beta = masked_softmax(_scored(modules.relation, phrases, local), unused)
                dropped = called_up(beta.detach(), valid, self.options.mask_max, self.options.mask_threshold)
                left = unused & ~dropped
            if modules.textual is not None:
                gamma = masked_softmax(_scored(modules.textual, phrases, local), left)
            summaries += [_weighted(weights, phrases) for weights in (gamma, beta) if weights is not None]
        vector: Tensor = self.reduce(torch.cat(summaries, 1))
        vector = vector.relu() if self.options.stage_activation else vector
        return Stage(vector, alpha, part, beta, dropped, gamma)

    def _part_feature(self, modules: StageModules, cells: Tensor, alpha: Tensor, part: Tensor) -> Tensor:
        """Return v_local (B, C) of the located blocks.

        Where no global stream teaches the scores of blocks, the gradient reaches them straight through the choice (Y.
        Bengio et al., arXiv 1308.3432), as if v_local were weighed by alpha; its value stays.
        """
        # The shape, not `len`: an exported graph would keep the length of its example.
        local = cells[torch.arange(cells.shape[0], device=cells.device), part]
        local = local if modules.part is None else modules.part(local)
        if self.options.streams != "local":
            return local
        weight = alpha.gather(1, part[:, None]).to(local.dtype)
        return local + (weight - weight.detach()) * local


def cut_blocks(feature_map: Tensor) -> Tensor:
    """Feature maps (B, C, H, W) -> their non-overlapping 2x2 blocks, row by row: P (B, m, 4, C)."""
    batch, channels, height, width = feature_map.shape
    cut = feature_map.reshape(batch, channels, height // 2, 2, width // 2, 2)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, height * width // 4, 4, channels)


def block_means(feature_map: Tensor) -> Tensor:
    """Feature maps (B, C, H, W) -> the mean of each 2x2 block's cells (B, m, C)."""
    return cut_blocks(feature_map).mean(2)


def _own_score(
    dim: int, query_dim: int, ratio: int, activation: Literal["relu", "tanh"], options: AttentionOptions
) -> Score:
    """SAM, which needs no query, or QRM in its place."""
    if options.scores == "QRM":
        return QueryRelation(dim, query_dim, options.qrm, options.qrm_scale)
    return SelfAttentionScore(dim, ratio, activation, options.sam_bias)


def _relation(phrase_dim: int, channels: int, options: AttentionOptions) -> Score:
    """QRM of phrases and part, or SAM in its place."""
    if options.scores == "SAM":
        return SelfAttentionScore(phrase_dim, options.language_ratio, "tanh", options.sam_bias)
    return QueryRelation(phrase_dim, channels, options.qrm, options.qrm_scale)


def _scored(score: Score, vectors: Tensor, query: Tensor) -> Tensor:
    """Vectors (B, N, d) and a query (B, q), which SAM leaves alone -> scores (B, N)."""
    out: Tensor = score(vectors, query) if isinstance(score, QueryRelation) else score(vectors)
    return out


def _weighted(weights: Tensor, vectors: Tensor) -> Tensor:
    return torch.einsum("bn,bnd->bd", weights.to(vectors.dtype), vectors)


def _check_feature_map(feature_map: Tensor, stages: int) -> None:
    height, width = feature_map.shape[-2:]
    if height % 2 or width % 2:
        raise ValueError(
            f"a map of {height} x {width} cells cannot be cut into 2x2 blocks: sides must be even"
        )
    if height * width // 4 < stages:
        raise ValueError(f"a map of {height} x {width} cells has fewer 2x2 blocks than {stages} stages")
