"""One condensation step in torch: differentiable, batched, without a loop over images.

Selection and matching use detached numbers, so decisions have no gradient. The fusion has one: gradients flow through
the tokens and, with weights by connectivity, through C to the attention of the block.

C is never computed as a whole. Scores need its column (or row) sums, matching needs the rows of the dropped tokens, and
fusing needs the diagonal elements of their matches. All of these are vectors times W, K times. Scores and connectivity
are in f32, whatever the type of the tokens.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .condensation import Condensation

GONE = 0xFFFFFFFF  # the value in `assigned` of a token that was dropped without being fused
TEMPERATURE = 0.1  # divides cosines before the softmax


@dataclass
class Attended:
    """The results of a block's attention that condensing reads. Those that the options do not need are None.

    probs [B, H, T, T], dominance [B, N] (mean over heads of the class token's row), keys [B, N, Dh] (mean over heads).
    """

    probs: Tensor | None = None
    dominance: Tensor | None = None
    keys: Tensor | None = None


@dataclass
class Decision:
    """The decisions of one block: kept [B, N - R] ascending, assigned [B, N], score [B, N]."""

    kept: Tensor
    assigned: Tensor
    score: Tensor


def cosines(x: Tensor) -> Tensor:
    """Cosine of every pair of rows: [B, N, D] -> [B, N, N]."""
    unit = x / x.norm(dim=-1, keepdim=True)
    return unit @ unit.transpose(1, 2)


def token_graph(metric: str, patches: Tensor, attended: Attended, prefix: int) -> Tensor:
    """W [B, N, N] from patch tokens [B, N, D] after attention's residual, or from the attention."""
    if metric == "attention":
        return attended.probs[:, :, prefix:, prefix:].mean(dim=1)
    if metric == "key_cosine":
        return (cosines(attended.keys) / TEMPERATURE).softmax(dim=-1)
    if metric == "cosine":
        return (cosines(patches) / TEMPERATURE).softmax(dim=-1)
    if metric == "dot":
        return (patches @ patches.transpose(1, 2) / math.sqrt(patches.shape[-1])).softmax(dim=-1)
    return (-distances(patches)).softmax(dim=-1)


def distances(x: Tensor) -> Tensor:
    """Euclidean distance of every pair of rows: [B, N, D] -> [B, N, N], from dot products.

    Subtracting the mean first does not change distances and reduces rounding errors. torch.cdist by differences is
    exact, but its gradient costs more than the rest of a small model.
    """
    x = x - x.mean(dim=1, keepdim=True)
    squares = x.square().sum(dim=-1)
    squared = squares[:, :, None] + squares[:, None, :] - 2.0 * (x @ x.transpose(1, 2))
    # For equal tokens the root has no gradient, so none is passed on.
    apart = (squared > 0.0) & ~torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
    return torch.where(apart, squared, 1.0).sqrt().where(apart, 0.0)


class Chain:
    """C from W [B, N, N], applied to rows from the left and to columns from the right.

    C is divided by s^(K-1) (Newton: s^K), where s = max(a, 1), which keeps K = 32 at a = 500 within f32. Matching and
    fusing do not depend on the scale. A score that does multiplies it back.
    """

    def __init__(self, condensation: Condensation, w: Tensor) -> None:
        self.w = w
        self.order, self.alpha = condensation.order, condensation.alpha
        self.steps = condensation.newton_steps
        self.step = self.alpha / max(self.alpha, 1.0)
        self.scale = condensation.log_scale
        if self.steps is not None:
            self.start = 1.0 / (1.0 - self.alpha * w.diagonal(dim1=1, dim2=2))  # diag(A)^-1 [B, N]

    def rows(self, first: Tensor) -> Tensor:
        """v C [B, M, N] for vectors v given as v W [B, M, N]."""
        if self.steps is not None:
            return self._inverse_left(self._truncated(first, lambda v: v @ self.w), self.steps)
        return self._sum(first, lambda v: v @ self.w)

    def columns(self, vectors: Tensor) -> Tensor:
        """C v [B, N, M] for columns v [B, N, M]."""
        if self.steps is not None:
            return self._truncated(self.w @ self._inverse_right(vectors, self.steps), lambda v: self.w @ v)
        return self._sum(self.w @ vectors, lambda v: self.w @ v)

    def _sum(self, first: Tensor, multiply) -> Tensor:
        """Equation 8 from the vector times W, by Horner's method from the highest power, which has the largest
        factor."""
        factors = [math.exp(k * math.log(self.alpha) - self.scale) for k in range(self.order)]
        total = first * factors[-1]
        for factor in reversed(factors[:-1]):
            total = multiply(total) + factor * first
        return total

    def _truncated(self, first: Tensor, multiply) -> Tensor:
        """v W (I - a^K W^K) of equation 9 from v W."""
        power = first
        for _ in range(self.order):
            power = self.step * multiply(power)
        return first * math.exp(-self.scale) - power

    def _inverse_left(self, rows: Tensor, steps: int) -> Tensor:
        """v X after `steps` steps of equation 10, X' = X + X (I - A X) = 2 X - X A X."""
        if steps == 0:
            return rows * self.start[:, None, :]
        once = self._inverse_left(rows, steps - 1)
        return 2.0 * once - self._inverse_left(once - self.alpha * (once @ self.w), steps - 1)

    def _inverse_right(self, columns: Tensor, steps: int) -> Tensor:
        """X v after `steps` steps of equation 10."""
        if steps == 0:
            return columns * self.start[:, :, None]
        once = self._inverse_right(columns, steps - 1)
        return 2.0 * once - self._inverse_right(once - self.alpha * (self.w @ once), steps - 1)


def mean_connectivity(condensation: Condensation, chain: Chain) -> Tensor:
    """c [B, N]: the mean of C over rows (`column`) or over columns (`row`), at the chain's scale."""
    if condensation.mean == "column":
        return chain.rows(chain.w.mean(dim=1, keepdim=True)).squeeze(1)
    batch, count, _ = chain.w.shape
    return chain.columns(chain.w.new_full((batch, count, 1), 1.0 / count)).squeeze(2)


def redundancy(dominance: Tensor, compared: Tensor) -> Tensor:
    """u [B, N]: the largest cosine to a token with more dominance (or, if equal, a lower index); -1 if there is
    none."""
    index = torch.arange(dominance.shape[1], device=dominance.device)
    mine, other = dominance[:, :, None], dominance[:, None, :]
    outranked = (other > mine) | ((other == mine) & (index[None, :] < index[:, None]))
    return cosines(compared).masked_fill(~outranked, -1.0).amax(dim=2)


@torch.no_grad()
def scores(
    condensation: Condensation, chain: Chain | None, attended: Attended, patches: Tensor, sizes: Tensor | None
) -> Tensor:
    """The score S [B, N]. The tokens with the highest scores are kept."""
    dominance = attended.dominance
    if condensation.score == "dominance":
        return dominance
    if condensation.score == "uniqueness":
        compared = patches if condensation.metric == "cosine" else attended.keys
        score = (1.0 - redundancy(dominance, compared)) * dominance**condensation.exponent
        return score if sizes is None else score * sizes**condensation.size_exponent
    mean = mean_connectivity(condensation, chain)
    mean = mean / mean.sum(dim=1, keepdim=True) if condensation.normalise else mean * math.exp(chain.scale)
    return -mean if condensation.score == "connectivity" else condensation.beta * dominance - mean


def select(score: Tensor, drop: int) -> tuple[Tensor, Tensor]:
    """Kept [B, N - R] and dropped [B, R] indices, ascending. Of equal scores, the lower index is kept; NaN ranks
    last."""
    # Sorted ascending by the negated score: a stable sort keeps equal scores in order and puts NaN at the end.
    order = (-score).argsort(dim=1, stable=True)
    keep = score.shape[1] - drop
    return order[:, :keep].sort(dim=1).values, order[:, keep:].sort(dim=1).values


def pick(x: Tensor, index: Tensor) -> Tensor:
    """Rows of each image: x [B, N, D] and index [B, M] -> [B, M, D]. Copies whole rows, unlike `gather`."""
    batch, count, width = x.shape
    offset = torch.arange(batch, device=x.device)[:, None] * count
    return x.reshape(batch * count, width).index_select(0, (index + offset).flatten()).view(*index.shape, width)


def match(rows: Tensor, kept: Tensor) -> Tensor:
    """For each row of C [B, R, N], the place among the kept tokens of its largest element [B, R]. Of equal ones, the
    lower; NaN ranks last."""
    candidates = rows.detach().gather(2, kept[:, None, :].expand(-1, rows.shape[1], -1))
    # argmax treats NaN as the largest, and returns the first of equal elements.
    return candidates.masked_fill(candidates.isnan(), -math.inf).argmax(dim=2)


def shares(own: Tensor, others: Tensor, slots: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The share that every kept token [B, N - R] and every dropped token [B, R] has in its fused token.

    `own` [B, R] is the weight of each dropped token's match, `others` [B, R] that of the dropped token itself, and
    `slots` [B, R] the place of its match among the kept tokens.
    """
    batch, _ = slots.shape
    zeros = own.new_zeros(batch, keep)
    ones = torch.ones_like(others)
    counts = zeros.scatter_add(1, slots, ones)
    # Dropped tokens with the same match each contribute a part of its weight, since its gradient would otherwise count
    # several times.
    own = zeros.scatter_add(1, slots, own / counts.gather(1, slots))
    total = own + zeros.scatter_add(1, slots, others)
    plain = (total == 0.0) | ~total.isfinite()
    # The plain mean if the weights sum to zero or are not finite. A token without matches does not change.
    divisor = torch.where(plain, torch.ones_like(total), total)
    stays = torch.where(plain, 1.0 / (1.0 + counts), own / divisor)
    stays = torch.where(counts == 0.0, torch.ones_like(stays), stays)
    moved = torch.where(
        plain.gather(1, slots), (1.0 / (1.0 + counts)).gather(1, slots), others / divisor.gather(1, slots)
    )
    return stays, moved


def fuse(kept: Tensor, dropped: Tensor, stays: Tensor, moved: Tensor, slots: Tensor) -> Tensor:
    """Equation 12 for kept [B, N - R, D] and dropped [B, R, D] tokens with their shares.

    Uses a small matrix product instead of a scatter of rows: without float atomics on a GPU, runs repeat exactly.
    """
    batch, keep, _ = kept.shape
    mixing = moved.new_zeros(batch, keep, slots.shape[1]).scatter(1, slots[:, None, :], moved[:, None, :])
    return kept * stays[:, :, None].to(kept.dtype) + mixing.to(kept.dtype) @ dropped


def condense(
    condensation: Condensation,
    x: Tensor,
    attended: Attended,
    sizes: Tensor | None,
    prefix: int,
    drop: int,
    tracing: bool = False,
) -> tuple[Tensor, Tensor | None, Decision | None]:
    """Condenses tokens [B, E + N, D] by `drop` patch tokens, 0 < drop < N.

    Returns the tokens [B, E + N - R, D], the number of patches that each patch token stands for [B, N - R], and, if
    `tracing`, the decision. `sizes` [B, N] is None if every token stands for one patch.
    """
    with torch.autocast(x.device.type, enabled=False):
        return _condense(condensation, x, attended, sizes, prefix, drop, tracing)


def _condense(condensation, x, attended, sizes, prefix, drop, tracing):
    batch, count = x.shape[0], x.shape[1] - prefix
    by_connectivity = condensation.weights == "connectivity"
    # Only weights by connectivity have a gradient through W.
    patches = x[:, prefix:].to(torch.promote_types(x.dtype, torch.float32))
    with torch.set_grad_enabled(by_connectivity and torch.is_grad_enabled()):
        w = token_graph(condensation.metric, patches, attended, prefix) if condensation.connects else None
    fixed = None if w is None else Chain(condensation, w.detach())
    score = scores(condensation, fixed, attended, patches.detach(), sizes)
    kept, dropped = select(score, drop)
    keep = count - drop

    kept_tokens = pick(x, with_prefix(kept, prefix))
    if not condensation.fuses:
        sizes = None if sizes is None else sizes.gather(1, kept)
        return kept_tokens, sizes, decision(score, kept, dropped, None) if tracing else None

    chain = Chain(condensation, w)
    with torch.set_grad_enabled(by_connectivity and torch.is_grad_enabled()):
        rows = chain.rows(pick(w, dropped))
        slots = match(rows, kept)
        targets = kept.gather(1, slots)
        if by_connectivity:
            others = rows.gather(2, targets[:, :, None]).squeeze(2)
            own = chain.rows(pick(w, targets)).gather(2, targets[:, :, None]).squeeze(2)
    if sizes is None:
        sizes = score.new_ones(batch, count)
    lost = sizes.gather(1, dropped)
    if not by_connectivity:
        others, own = lost, sizes.gather(1, targets)
    stays, moved = shares(own, others, slots, keep)
    fused = fuse(kept_tokens[:, prefix:], pick(x, dropped + prefix), stays, moved, slots)
    grown = sizes.gather(1, kept).scatter_add(1, slots, lost)
    tokens = torch.cat([kept_tokens[:, :prefix], fused], dim=1)
    return tokens, grown, decision(score, kept, dropped, slots) if tracing else None


def with_prefix(kept: Tensor, prefix: int) -> Tensor:
    """Indices into all tokens [B, E + M] of the prefix tokens and of the patch tokens `kept` [B, M]."""
    first = torch.arange(prefix, device=kept.device).expand(kept.shape[0], -1)
    return torch.cat([first, kept + prefix], dim=1)


def decision(score: Tensor, kept: Tensor, dropped: Tensor, slots: Tensor | None) -> Decision:
    """The record of a block, in the format of the Rust side's trace files."""
    assigned = torch.full(score.shape, GONE, dtype=torch.int64, device=score.device)
    assigned.scatter_(1, kept, torch.arange(kept.shape[1], device=kept.device).expand_as(kept))
    if slots is not None:
        assigned.scatter_(1, dropped, slots)
    return Decision(kept, assigned, score.detach().clone())
