"""Condensation and the reducers that it is compared with: dense, without shortcuts, and written to be read. This
code is independent of the Rust code, which is compared with it."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from cases import Case
from random_weights import splitmix
from torch import Tensor

GONE = 0xFFFFFFFF  # the value in `assigned` of a token that was dropped without being fused
TEMPERATURE = 0.1  # divides cosines before the softmax


def cosines(x: Tensor) -> Tensor:
    """Cosine of every pair of rows: [B, N, D] -> [B, N, N]."""
    unit = x / x.norm(dim=-1, keepdim=True)
    return unit @ unit.transpose(1, 2)


def token_graph(case: Case, x: Tensor, probs: Tensor, keys: Tensor, prefix: int) -> Tensor:
    """W [B, N, N], from patch tokens [B, N, D] after attention's residual, P [B, H, T, T] and the head-averaged patch
    keys [B, N, Dh]."""
    if case.metric == "cosine":
        return (cosines(x) / TEMPERATURE).softmax(dim=-1)
    if case.metric == "dot":
        return (x @ x.transpose(1, 2) / math.sqrt(x.shape[-1])).softmax(dim=-1)
    if case.metric == "euclidean":
        distances = (x[:, :, None] - x[:, None]).norm(dim=-1)
        return (-distances).softmax(dim=-1)
    if case.metric == "attention":
        return probs[:, :, prefix:, prefix:].mean(dim=1)
    if case.metric == "key_cosine":
        return (cosines(keys) / TEMPERATURE).softmax(dim=-1)
    raise ValueError(case.metric)


def power_sum(w: Tensor, order: int, alpha: float, scale: float) -> Tensor:
    """C of equation 8, times `scale`."""
    total = torch.zeros_like(w)
    power = torch.eye(w.shape[-1], dtype=w.dtype).expand_as(w)
    for k in range(1, order + 1):
        power = power @ w
        total = total + alpha ** (k - 1) * scale * power
    return total


def newton(w: Tensor, order: int, alpha: float, steps: int) -> Tensor:
    """C of equation 9, with the inverse from `steps` steps of equation 10."""
    identity = torch.eye(w.shape[-1], dtype=w.dtype).expand_as(w)
    a = identity - alpha * w
    x = torch.diag_embed(1.0 / torch.diagonal(a, dim1=1, dim2=2))
    for _ in range(steps):
        x = x + x @ (identity - a @ x)
    power = torch.linalg.matrix_power(w, order)
    return w @ (identity - alpha**order * power) @ x


def connectivity(case: Case, w: Tensor) -> Tensor:
    """C [B, N, N].

    When c is normalised, the power sum is computed at 1 / a^(K-1) of its scale. This changes no result below, and keeps
    the float32 comparison finite at K = 32.
    """
    if case.method == "newton":
        return newton(w, case.order, case.alpha, case.steps)
    scale = case.alpha ** (1 - case.order) if case.normalise else 1.0
    return power_sum(w, case.order, case.alpha, scale)


def redundancy(dominance: Tensor, compared: Tensor) -> Tensor:
    """u [B, N]: the largest cosine to a token with more dominance (or, if equal, a lower index), or -1 if there is
    none. `compared` [B, N, ...] are tokens with the metric `cosine`, and head-averaged keys otherwise."""
    index = torch.arange(dominance.shape[1])
    mine, other = dominance[:, :, None], dominance[:, None, :]
    outranked = (other > mine) | ((other == mine) & (index[None, :] < index[:, None]))
    return torch.where(outranked, cosines(compared), -1.0).amax(dim=2)


def scores(
    case: Case, c: Tensor, dominance: Tensor, compared: Tensor, sizes: Tensor
) -> Tensor:
    """The score S [B, N]."""
    mean = c.mean(dim=1 if case.mean == "column" else 2)
    if case.normalise:
        mean = mean / mean.sum(dim=1, keepdim=True)
    if case.score == "combined":
        return -mean + case.beta * dominance
    if case.score == "connectivity":
        return -mean
    if case.score == "dominance":
        return dominance
    if case.score == "uniqueness":
        unlike = 1.0 - redundancy(dominance, compared)
        return unlike * dominance**case.exponent * sizes**case.size_exponent
    raise ValueError(case.score)


def rank(score: np.ndarray) -> np.ndarray:
    """Indices of scores [N], best first. Equal scores are ordered by index, and NaN comes last."""
    nan = np.isnan(score)
    return np.lexsort((np.arange(len(score)), -np.where(nan, 0.0, score), nan))


def best_match(row: np.ndarray, kept: np.ndarray) -> int:
    """Position in `kept` of the largest C[q, p]. Among equal ones the lower index wins, and NaN comes last."""
    return int(rank(row[kept])[0])


def fuse(
    case: Case,
    x: Tensor,
    c: Tensor,
    dominance: Tensor,
    sizes: Tensor,
    kept: int,
    matched: list[int],
) -> Tensor:
    """Equation 12, or the sum or mean that another reducer uses, for one kept token and the dropped tokens (ascending)
    that are matched with it."""
    members = [kept, *matched]
    if case.reducer == "evit":
        return (x[members] * dominance[members, None]).sum(dim=0)
    by_size = case.weights == "size" or case.reducer == "tome"
    weights = sizes[members] if by_size else c[members, kept]
    numerator = torch.zeros_like(x[kept])
    denominator = torch.zeros((), dtype=x.dtype)
    for member, weight in zip(members, weights, strict=True):
        numerator = numerator + weight * x[member]
        denominator = denominator + weight
    if denominator == 0 or not torch.isfinite(denominator):
        return x[members].mean(dim=0)
    return numerator / denominator


@dataclass
class Condensed:
    """The result of condensing one block, for the whole batch."""

    score: np.ndarray  # [B, N]
    kept: np.ndarray  # [B, N - R]
    assigned: np.ndarray  # [B, N]
    gap: float  # between the last kept and the first dropped score, over the range of scores
    margin: float  # between the best and the second-best match, relative to the best


def threshold_gap(score: np.ndarray, order: np.ndarray, keep: int) -> float:
    """The distance of the selection from a tie, relative to the range of the scores [N]."""
    return float((score[order[keep - 1]] - score[order[keep]]) / np.ptp(score))


def match_margin(row: np.ndarray) -> float:
    """The distance of a match from a tie: the difference of the two largest C[q, kept] [N - R], relative to the
    largest."""
    if len(row) < 2:
        return math.inf
    second, first = np.sort(row)[-2:]
    return float((first - second) / abs(first))


def baseline_score(
    case: Case, cosine: Tensor, dominance: Tensor, block: int, prefix: int
) -> Tensor:
    """S [B, N] of the reducers from other papers. With ToMe, tokens of the second set, which are all kept, score 2."""
    batch, count = dominance.shape
    if case.reducer in ("evit", "prune"):
        return dominance
    if case.reducer == "random":
        score = splitmix(f"block.{block}.random", count, case.random_seed)
        return torch.from_numpy(score).to(dominance.dtype).expand(batch, count)
    # Tokens at even places, counting the prefix, search their nearest token among those at odd places.
    first = (torch.arange(count) + prefix) % 2 == 0
    nearest = cosine[:, :, ~first].amax(dim=2)
    return torch.where(first, -nearest, torch.full_like(nearest, 2.0))


def candidates(case: Case, kept: np.ndarray, prefix: int) -> np.ndarray:
    """The kept tokens with which dropped ones may be matched, as a mask."""
    return (kept + prefix) % 2 == 1 if case.reducer == "tome" else np.ones(len(kept), dtype=bool)


def listed(case: Case, kept: np.ndarray, prefix: int) -> np.ndarray:
    """Kept tokens in the order in which they leave the block. ToMe lists its first set before its second."""
    if case.reducer != "tome":
        return np.sort(kept)
    return kept[np.lexsort((kept, (kept + prefix) % 2))]


def condense_image(
    case: Case, x: Tensor, c: Tensor, score: np.ndarray, sizes: Tensor, drop: int, prefix: int
) -> tuple[Tensor, Tensor, np.ndarray, np.ndarray, float, float]:
    """Selects, matches and fuses the tokens of one image.

    Takes patch tokens [N, D], C [N, N], scores [N] and sizes [N]. Returns tokens [N - R, D], sizes [N - R], kept [N -
    R], assigned [N], and the distances of selection and matches from a tie.
    """
    keep = len(score) - drop
    order = rank(score)
    kept, dropped = listed(case, order[:keep], prefix), np.sort(order[keep:])
    assigned = np.full(len(score), GONE, dtype=np.uint32)
    assigned[kept] = np.arange(keep)
    gap, margin = threshold_gap(score, order, keep), math.inf
    if case.weights == "none" or case.reducer in ("prune", "random"):
        return x[kept], sizes[kept], kept, assigned, gap, margin

    matched: list[list[int]] = [[] for _ in range(keep)]
    allowed = np.flatnonzero(candidates(case, kept, prefix))
    for q in dropped.tolist():
        row = -score if case.reducer == "evit" else c[q].numpy()
        slot = int(allowed[best_match(row, kept[allowed])])
        matched[slot].append(q)
        assigned[q] = slot
        margin = min(margin, match_margin(row[kept[allowed]]))
    tokens, grown = x[kept], sizes[kept]
    for slot, sources in enumerate(matched):
        if sources:
            dominance = torch.from_numpy(score)
            tokens[slot] = fuse(case, x, c, dominance, sizes, int(kept[slot]), sources)
            grown[slot] = sizes[[int(kept[slot]), *sources]].sum()
    return tokens, grown, kept, assigned, gap, margin


def condense(
    case: Case,
    x: Tensor,
    probs: Tensor,
    keys: Tensor,
    sizes: Tensor,
    prefix: int,
    drop: int,
    block: int,
) -> tuple[Tensor, Tensor, Condensed]:
    """Condenses tokens [B, T, D] by `drop` patch tokens. Also returns their sizes and the record.

    `probs` [B, H, T, T] and `keys` [B, T, Dh] (averaged over heads) are this block's attention.
    """
    keys = keys[:, prefix:]
    w = token_graph(case, x[:, prefix:], probs, keys, prefix)
    slack = 1e-9 if w.dtype == torch.float64 else 1e-4
    assert float(w.min()) >= 0.0 and float(w.sum(dim=-1).max()) <= 1.0 + slack, "W is not a graph"
    dominance = probs[:, :, 0, prefix:].mean(dim=1)
    if case.reducer == "connectivity":
        c = connectivity(case, w)
        compared = x[:, prefix:] if case.metric == "cosine" else keys
        score = scores(case, c, dominance, compared, sizes)
    else:
        c = cosines(keys)
        score = baseline_score(case, c, dominance, block, prefix)
    images = [
        condense_image(case, x[b, prefix:], c[b], score[b].numpy(), sizes[b], drop, prefix)
        for b in range(len(x))
    ]
    tokens, grown, kept, assigned, gaps, margins = zip(*images, strict=True)
    record = Condensed(score.numpy(), np.stack(kept), np.stack(assigned), min(gaps), min(margins))
    return torch.cat([x[:, :prefix], torch.stack(tokens)], dim=1), torch.stack(grown), record
