"""Makes the golden files under tests/goldens: what timm and an independent condensation say.

One safetensors file per model, NAME.safetensors, with
  full/logits    [B, classes]  timm's own float32 forward (absent without a classifier); for LV-ViT,
                               which timm does not have, scripts/lvvit.py's in float64,
  full/features  [B, 6, D]     the first six tokens of timm's forward_features,
  CASE/...                     outputs of a condensed forward, computed here in float64 from the
                               semantics in the design (section 2), densely and without shortcuts:
    CASE/logits            [B, classes] f32 (CASE/features [B, 6, D] without a classifier)
    CASE/block.I.kept      [B, N - R] u32, CASE/block.I.assigned [B, N] u32, where R > 0
    CASE/block.0.score     [B, N] f32
and a metadata entry `golden`: JSON with the seed, batch, configuration and the list of cases.
The weights are not stored: they come from the name of each tensor and the seed (`random_tensor`).
`bundled` is the trained model from the assets, run on the four photographs. Its seed is null, and
the file holds the preprocessed `pixels`.

Also pillow_PHOTO_SIZE.png: Pillow's bicubic resize and centre crop of a photograph.

Run from anywhere, with the packages of goldens-requirements.txt (CPU builds of torch will do):
  python scripts/goldens.py                      everything, half a minute on two cores
  python scripts/goldens.py --only deit_tiny     one model, or `pillow` for the pictures
  python scripts/goldens.py --agreement DIR      writes nothing: how often condensed and full
                                                 agree on DIR/CLASS/*.jpg (CIFAR-10's test set)

What the table printed per case says: `gap` is the distance between the last kept and the first
dropped score over the range of the scores (block 0, then the smallest of all blocks); `margin` is
how much the best match beats the second best, relative to the best, the smallest of all blocks;
`f32` is the same code in float32: the first block whose kept set differs (- for none), the smallest
overlap of kept sets, the smallest share of equal `assigned`, and the largest difference of the
logits relative to the largest logit.
"""

import argparse
import copy
import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.numpy import save_file
from safetensors.torch import load_file
from timm.data import create_transform
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from lvvit import LvVit

REPOSITORY = Path(__file__).resolve().parent.parent
GONE = 0xFFFFFFFF  # `assigned` of a token that was dropped without being fused
FEATURE_TOKENS = 6
TEMPERATURE = 0.1  # of the key_cosine metric's softmax

# ---------------------------------------------------------------------------------------------
# Deterministic random weights
# ---------------------------------------------------------------------------------------------

U64 = (1 << 64) - 1
GOLDEN_RATIO = 0x9E3779B97F4A7C15


def fnv1a64(name: str) -> int:
    """The 64-bit FNV-1a hash of a name."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = ((state ^ byte) * 0x100000001B3) & U64
    return state


def offset_and_scale(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Centre and half-width of the uniform distribution that a tensor is drawn from."""
    if name == "pixels":
        return 0.0, 1.5
    if name.endswith(".gamma"):
        return 0.5, 0.2
    if name.endswith(".running_var"):
        return 0.5, 0.2
    if name.endswith(("norm.weight", "norm1.weight", "norm2.weight")):
        return 1.0, 0.1
    if name.endswith(("bn1.weight", "bn2.weight", "bn3.weight")):
        return 1.0, 0.1
    if name.endswith((".bias", ".running_mean")):
        return 0.0, 0.1
    if name in ("cls_token", "dist_token", "reg_token", "pos_embed"):
        return 0.0, 0.5
    gain = 2.0 if name.endswith("attn.qkv.weight") else 1.0
    return 0.0, gain * math.sqrt(3.0 / math.prod(shape[1:]))


def splitmix(name: str, count: int, seed: int) -> np.ndarray:
    """`count` numbers from -1 to 1: splitmix64 started from the name's hash and the seed."""
    start = fnv1a64(name) ^ (seed * GOLDEN_RATIO & U64)
    steps = np.arange(1, count + 1, dtype=np.uint64)
    z = np.uint64(start) + steps * np.uint64(GOLDEN_RATIO)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2.0**24 * 2.0 - 1.0


def random_tensor(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """The float32 tensor of a name and a seed."""
    u = splitmix(name, math.prod(shape), seed)
    offset, scale = offset_and_scale(name, shape)
    return torch.from_numpy((offset + scale * u).astype(np.float32).reshape(shape))


def randomise(model: VisionTransformer, seed: int) -> None:
    """Replaces every tensor of a model by its deterministic random one."""
    state = model.state_dict()
    model.load_state_dict({k: random_tensor(k, tuple(v.shape), seed) for k, v in state.items()})


# ---------------------------------------------------------------------------------------------
# Cases
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One condensation; the defaults are the `paper` preset. `drop` has one R per block."""

    name: str
    drop: list[int]
    batch: int = 1
    metric: str = "attention"
    method: str = "power_sum"
    steps: int = 0
    order: int = 2
    alpha: float = 500.0
    beta: float = 3.5
    normalise: bool = True
    mean: str = "column"
    score: str = "combined"
    exponent: float = 0.0
    size_exponent: float = 0.5
    weights: str = "connectivity"
    proportional_attention: bool = False
    reducer: str = "connectivity"
    random_seed: int = 1


paper = Case
training_free = partial(
    Case,
    metric="cosine",
    order=1,
    score="uniqueness",
    weights="size",
    proportional_attention=True,
)
tome = partial(Case, reducer="tome", proportional_attention=True)


def deit_tiny_cases() -> list[Case]:
    """Every option once, on twelve blocks of 196 patch tokens.

    On these attention graphs Newton diverges and C has both signs, so fusion weights that nearly
    cancel amplify rounding until a float32 forward keeps other tokens than a float64 one. Those
    cases condense in the first blocks only, where both still agree.
    """
    r14 = [14] * 12
    first_four = [14] * 4 + [0] * 8
    first_two = [14] * 2 + [0] * 10
    return [
        paper("paper_r8", [8] * 12),
        paper("paper_r14", r14, batch=2),
        paper("paper_r16", [16] * 12),
        paper("paper_uneven", [5, 0, 20, 1, 0, 33, 14, 7, 0, 2, 40, 10]),
        paper("paper_k1", r14, order=1),
        paper("paper_k4", r14, order=4),
        paper("paper_k8", r14, order=8),
        paper("paper_k32", r14, order=32),
        paper("newton_0", r14, method="newton", steps=0),
        paper("newton_1", first_four, method="newton", steps=1),
        paper("newton_2", first_four, method="newton", steps=2),
        paper("newton_3", first_four, method="newton", steps=3),
        paper("literal", first_two, method="newton", steps=2, normalise=False),
        paper("not_normalised", r14, normalise=False),
        paper("row_mean", r14, mean="row"),
        paper("connectivity_only", r14, score="connectivity"),
        paper("dominance_only", r14, score="dominance"),
        paper("size_weights", r14, weights="size"),
        paper("no_fusion", r14, weights="none"),
        paper("key_cosine_k1", r14, metric="key_cosine", order=1),
        paper("key_cosine_k4", r14, metric="key_cosine", order=4),
        paper("key_cosine_newton", r14, metric="key_cosine", method="newton", steps=2),
        paper("uniqueness_attention", r14, score="uniqueness"),
        training_free("training_free_r14", r14, batch=2),
        training_free("training_free_keys_r14", r14, metric="key_cosine", exponent=0.5, size_exponent=0.0),
        training_free("training_free_g1_h1_r14", r14, exponent=1.0, size_exponent=1.0),
        paper("cosine_k1", r14, metric="cosine", order=1),
        paper("cosine_k4", r14, metric="cosine", order=4),
        paper("cosine_newton", first_four, metric="cosine", method="newton", steps=1),
        paper("dot_k2", r14, metric="dot"),
        paper("dot_newton", first_four, metric="dot", method="newton", steps=2),
        paper("euclidean_k2", r14, metric="euclidean"),
        paper("euclidean_k8", r14, metric="euclidean", order=8),
        tome("tome_r14", r14, batch=2),
        tome("tome_plain_r14", r14, proportional_attention=False),
        tome("tome_half_r97", [97, 0, 40] + [0] * 9),
        paper("evit_r14", r14, batch=2, reducer="evit"),
        paper("prune_r14", r14, reducer="prune"),
        paper("random_r14", r14, batch=2, reducer="random", random_seed=7),
    ]


# ---------------------------------------------------------------------------------------------
# Condensation, section 2 of the design
# ---------------------------------------------------------------------------------------------


def cosines(x: Tensor) -> Tensor:
    """Cosine of every pair of rows: [B, N, D] -> [B, N, N]."""
    unit = x / x.norm(dim=-1, keepdim=True)
    return unit @ unit.transpose(1, 2)


def token_graph(case: Case, x: Tensor, probs: Tensor, keys: Tensor, prefix: int) -> Tensor:
    """W [B, N, N] of 2.1, from patch tokens [B, N, D] after attention's residual, P [B, H, T, T]
    and the head-averaged patch keys [B, N, Dh]."""
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
    """C [B, N, N] of 2.3.

    When the score normalises, the power sum is computed at 1 / a^(K-1) of its scale, which changes
    nothing below and keeps the float32 comparison finite at K = 32.
    """
    if case.method == "newton":
        return newton(w, case.order, case.alpha, case.steps)
    scale = case.alpha ** (1 - case.order) if case.normalise else 1.0
    return power_sum(w, case.order, case.alpha, scale)


def redundancy(dominance: Tensor, compared: Tensor) -> Tensor:
    """u [B, N] of 2.5: the largest cosine to a token that outranks in dominance, else -1. What is
    compared [B, N, ...] are tokens with the metric `cosine`, head-averaged keys otherwise."""
    index = torch.arange(dominance.shape[1])
    mine, other = dominance[:, :, None], dominance[:, None, :]
    outranked = (other > mine) | ((other == mine) & (index[None, :] < index[:, None]))
    return torch.where(outranked, cosines(compared), -1.0).amax(dim=2)


def scores(
    case: Case, c: Tensor, dominance: Tensor, compared: Tensor, sizes: Tensor
) -> Tensor:
    """S [B, N] of 2.4 and 2.5."""
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
    """Indices of [N] scores, best first: ties to the lower index, NaN last."""
    nan = np.isnan(score)
    return np.lexsort((np.arange(len(score)), -np.where(nan, 0.0, score), nan))


def best_match(row: np.ndarray, kept: np.ndarray) -> int:
    """Position in `kept` of the largest C[q, p]; ties to the lower index, NaN last."""
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
    """Equation 12, or what other reducers have in its place, for one kept token and the (ascending) dropped tokens matched to it."""
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
    """What condensing one block gave, for the whole batch."""

    score: np.ndarray  # [B, N]
    kept: np.ndarray  # [B, N - R]
    assigned: np.ndarray  # [B, N]
    gap: float  # between the last kept and the first dropped score, over the range of scores
    margin: float  # between the best and the second-best match, relative to the best


def threshold_gap(score: np.ndarray, order: np.ndarray, keep: int) -> float:
    """How far from a tie the selection is, relative to the range of the scores [N]."""
    return float((score[order[keep - 1]] - score[order[keep]]) / np.ptp(score))


def match_margin(row: np.ndarray) -> float:
    """How far from a tie a match is: C[q, kept] [N - R], relative to its best."""
    if len(row) < 2:
        return math.inf
    second, first = np.sort(row)[-2:]
    return float((first - second) / abs(first))


def baseline_score(
    case: Case, cosine: Tensor, dominance: Tensor, block: int, prefix: int
) -> Tensor:
    """S [B, N] of the reducers that are not ours. ToMe's second set, which stays, scores 2."""
    batch, count = dominance.shape
    if case.reducer in ("evit", "prune"):
        return dominance
    if case.reducer == "random":
        score = splitmix(f"block.{block}.random", count, case.random_seed)
        return torch.from_numpy(score).to(dominance.dtype).expand(batch, count)
    # The tokens at even places, prefix included, look for their nearest among those at odd ones.
    first = (torch.arange(count) + prefix) % 2 == 0
    nearest = cosine[:, :, ~first].amax(dim=2)
    return torch.where(first, -nearest, torch.full_like(nearest, 2.0))


def candidates(case: Case, kept: np.ndarray, prefix: int) -> np.ndarray:
    """Which of the kept tokens dropped ones may be matched with."""
    return (kept + prefix) % 2 == 1 if case.reducer == "tome" else np.ones(len(kept), dtype=bool)


def listed(case: Case, kept: np.ndarray, prefix: int) -> np.ndarray:
    """Kept tokens in the order in which they go on: ToMe has its first set before its second."""
    if case.reducer != "tome":
        return np.sort(kept)
    return kept[np.lexsort((kept, (kept + prefix) % 2))]


def condense_image(
    case: Case, x: Tensor, c: Tensor, score: np.ndarray, sizes: Tensor, drop: int, prefix: int
) -> tuple[Tensor, Tensor, np.ndarray, np.ndarray, float, float]:
    """Select, match and fuse (2.6 to 2.9) for one image.

    Takes patch tokens [N, D], C [N, N], scores [N] and sizes [N]; returns tokens [N - R, D], sizes
    [N - R], kept [N - R], assigned [N] and the two distances from a tie.
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
    """Condenses tokens [B, T, D] by `drop` patch tokens; also returns their sizes and the record.

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


# ---------------------------------------------------------------------------------------------
# Forward
# ---------------------------------------------------------------------------------------------


@dataclass
class Trace:
    """Outputs of a forward, and what each condensing block did."""

    logits: Tensor | None  # [B, classes]
    features: Tensor  # [B, T, D], after the final norm
    blocks: dict[int, Condensed]


def attention(
    module: torch.nn.Module, x: Tensor, sizes: Tensor | None, prefix: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Self-attention over [B, T, D]: the output, P [B, H, T, T] and head-averaged keys [B, T, Dh].

    With `sizes` [B, N], ln(size) is added to the logits of each key (proportional attention).
    """
    batch, count, width = x.shape
    heads = module.num_heads
    qkv = module.qkv(x).reshape(batch, count, 3, heads, width // heads)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    logits = q @ k.transpose(-2, -1) / math.sqrt(width // heads)
    if sizes is not None:
        ones = torch.ones(batch, prefix, dtype=x.dtype)
        logits = logits + torch.cat([ones, sizes], dim=1).log()[:, None, None, :]
    probs = logits.softmax(dim=-1)
    mixed = (probs @ v).transpose(1, 2).reshape(batch, count, width)
    return module.proj(mixed), probs, k.mean(dim=1)


def classify(model: VisionTransformer, x: Tensor, sizes: Tensor) -> Tensor | None:
    """The head, on tokens [B, T, D] after the final norm and patch token sizes [B, N]."""
    if model.num_classes == 0:
        return None
    if isinstance(model, LvVit):
        return model.classify(x)
    if hasattr(model, "head_dist"):
        return (model.head(x[:, 0]) + model.head_dist(x[:, 1])) / 2
    if model.global_pool == "avg":
        weighted = x[:, model.num_prefix_tokens :] * sizes[:, :, None]
        pooled = weighted.sum(dim=1) / sizes.sum(dim=1, keepdim=True)
        return model.head(model.fc_norm(pooled))
    return model.head(x[:, 0])


@torch.no_grad()
def forward(model: VisionTransformer, pixels: Tensor, case: Case | None) -> Trace:
    """The network's block loop on timm's weights, condensing as `case` says."""
    x = model._pos_embed(model.patch_embed(pixels))
    prefix = model.num_prefix_tokens
    sizes = torch.ones(len(x), x.shape[1] - prefix, dtype=x.dtype)
    blocks = {}
    for i, block in enumerate(model.blocks):
        proportional = case is not None and case.proportional_attention
        mixed, probs, keys = attention(
            block.attn, block.norm1(x), sizes if proportional else None, prefix
        )
        x = x + block.ls1(mixed)
        if case is not None and case.drop[i] > 0:
            x, sizes, blocks[i] = condense(
                case, x, probs, keys, sizes, prefix, case.drop[i], i
            )
        x = x + block.ls2(block.mlp(block.norm2(x)))
    features = model.norm(x)
    return Trace(classify(model, features, sizes), features, blocks)


# ---------------------------------------------------------------------------------------------
# Preprocessing
# ---------------------------------------------------------------------------------------------


def resize_and_crop(photo: Path, size: int, crop_pct: float) -> Image.Image:
    """Pillow's bicubic resize of the short side to size / crop_pct, then the centre crop."""
    image = Image.open(photo).convert("RGB")
    short = math.floor(size / crop_pct)
    width, height = image.size
    if width <= height:
        resized = (short, int(short * height / width))
    else:
        resized = (int(short * width / height), short)
    image = image.resize(resized, Image.Resampling.BICUBIC)
    left = round((resized[0] - size) / 2)
    top = round((resized[1] - size) / 2)
    return image.crop((left, top, left + size, top + size))


def preprocess(photo: Path, config: dict) -> Tensor:
    """Normalised pixels [3, H, W] by timm's evaluation transform, after checking that
    `resize_and_crop` gives the same."""
    size = config["input_size"][-1]
    transform = create_transform(
        input_size=tuple(config["input_size"]),
        interpolation=config["interpolation"],
        crop_pct=config["crop_pct"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )
    pixels = transform(Image.open(photo).convert("RGB"))
    own = np.asarray(resize_and_crop(photo, size, config["crop_pct"]), dtype=np.float64) / 255.0
    own = (own - np.array(config["mean"])) / np.array(config["std"])
    difference = np.abs(own.transpose(2, 0, 1) - pixels.numpy()).max()
    assert difference < 1e-5, f"{photo.name}: preprocessing differs from timm's by {difference}"
    return pixels


PICTURES = [
    ("chelsea", 224, 0.9),
    ("coffee", 224, 0.875),
    ("chelsea", 32, 1.0),
    ("rocket", 32, 1.0),
]


def make_pictures(photos: Path, out: Path) -> None:
    """Writes the pillow_PHOTO_SIZE.png files."""
    for photo, size, crop_pct in PICTURES:
        path = out / f"pillow_{photo}_{size}.png"
        resize_and_crop(photos / f"{photo}.jpg", size, crop_pct).save(path, optimize=True)
        print(f"{path.name}: crop_pct {crop_pct}, {path.stat().st_size:,} bytes")


# ---------------------------------------------------------------------------------------------
# Networks
# ---------------------------------------------------------------------------------------------


@dataclass
class Network:
    """A model with its input and its cases. Without a seed the weights are the trained ones."""

    name: str
    model: VisionTransformer
    pixels: Tensor
    cases: list[Case]
    seed: int | None
    extra: dict[str, Tensor] = field(default_factory=dict)


def random_network(
    name: str, build: Callable[[], VisionTransformer], seed: int, batch: int, cases: list[Case]
) -> Network:
    """A network with deterministic random weights and input."""
    model = build().eval()
    randomise(model, seed)
    size = model.patch_embed.img_size[0]
    return Network(name, model, random_tensor("pixels", (batch, 3, size, size), seed), cases, seed)


def bundled_model(directory: Path) -> tuple[VisionTransformer, dict]:
    """The trained model and its preprocessing configuration."""
    config = json.loads((directory / "config.json").read_text())
    model = VisionTransformer(num_classes=config["num_classes"], **config["model_args"])
    model.load_state_dict(load_file(directory / "model.safetensors"))
    return model.eval(), config["pretrained_cfg"]


def bundled_network(directory: Path, photos: Path) -> Network:
    """The trained model on the photographs, in the order of their names."""
    model, config = bundled_model(directory)
    pixels = torch.stack([preprocess(p, config) for p in sorted(photos.glob("*.jpg"))])
    assert pixels.shape == (4, 3, 32, 32), "expected the four photographs"
    cases = [
        paper("paper_r5", [5] * 8, batch=4),
        training_free("training_free_r5", [5] * 8, batch=4),
        training_free("training_free_r7", [7] * 8, batch=4),
        training_free("training_free_one_left", [63] + [0] * 7, batch=4),
        tome("tome_r5", [5] * 8, batch=4),
        paper("evit_r5", [5] * 8, batch=4, reducer="evit"),
        paper("euclidean_r5", [5] * 8, batch=4, metric="euclidean"),
    ]
    return Network("bundled", model, pixels, cases, None, {"pixels": pixels})


def networks(bundled: Path, photos: Path) -> dict[str, Callable[[], Network]]:
    """The networks by name, each built when it is asked for."""
    small = [paper("paper_r16", [16] * 12), training_free("training_free_r16", [16] * 12)]
    distilled = [
        paper("paper_r14", [14] * 12),
        training_free("training_free_r14", [14] * 12),
        tome("tome_r14", [14] * 12),
    ]
    registers = [training_free("training_free_r18", [18] * 12), tome("tome_r18", [18] * 12)]
    lvvit_s = [paper("paper_r12", [12] * 16), training_free("training_free_r12", [12] * 16)]
    lvvit_m = [paper("paper_r9", [9] * 20), training_free("training_free_r9", [9] * 20)]
    pooled = [
        paper("paper_r12", [12] * 4, batch=2),
        training_free("training_free_r12", [12] * 4, batch=2),
    ]
    create = timm.create_model
    deit_tiny = partial(create, "deit_tiny_patch16_224")
    deit_small = partial(create, "deit_small_patch16_224")
    deit_tiny_distilled = partial(create, "deit_tiny_distilled_patch16_224")
    dinov2 = partial(create, "vit_small_patch14_dinov2", img_size=224, num_classes=0)
    dinov2_reg4 = partial(create, "vit_small_patch14_reg4_dinov2", img_size=224, num_classes=0)
    mean_pooled = partial(
        VisionTransformer,
        img_size=64,
        patch_size=8,
        embed_dim=192,
        depth=4,
        num_heads=3,
        num_classes=10,
        global_pool="avg",
        fc_norm=True,
    )
    # Name, builder, seed, batch, cases. The seeds are those of a few dozen that keep the selections
    # furthest from ties.
    table = [
        ("deit_tiny", deit_tiny, 6, 2, deit_tiny_cases()),
        ("deit_small", deit_small, 2, 1, small),
        ("deit_tiny_distilled", deit_tiny_distilled, 10, 1, distilled),
        ("dinov2_small", dinov2, 4, 1, []),
        ("dinov2_small_reg4", dinov2_reg4, 4, 1, registers),
        ("vit_mean_pooled", mean_pooled, 10, 2, pooled),
        ("lvvit_s", partial(LvVit, 384, 16, 6), 7, 1, lvvit_s),
        ("lvvit_m", partial(LvVit, 512, 20, 8), 2, 1, lvvit_m),
    ]
    makers: dict[str, Callable[[], Network]] = {
        name: partial(random_network, name, build, seed, batch, cases)
        for name, build, seed, batch, cases in table
    }
    makers["bundled"] = partial(bundled_network, bundled, photos)
    return makers


def configuration(model: VisionTransformer) -> dict:
    """What the Rust side needs to build the same model."""
    block = model.blocks[0]
    return {
        "image": model.patch_embed.img_size[0],
        "patch": model.patch_embed.patch_size[0],
        "width": model.embed_dim,
        "depth": len(model.blocks),
        "heads": block.attn.num_heads,
        "mlp": block.mlp.fc1.out_features,
        "classes": model.num_classes,
        "distilled": hasattr(model, "head_dist"),
        "registers": 0 if model.reg_token is None else model.reg_token.shape[1],
        "layer_scale": hasattr(block.ls1, "gamma"),
        "fc_norm": hasattr(model.fc_norm, "weight"),
        "position_covers_prefix": not model.no_embed_class,
        "epsilon": block.norm1.eps,
    } | (model.configuration() if isinstance(model, LvVit) else {})


# ---------------------------------------------------------------------------------------------
# Checks and output
# ---------------------------------------------------------------------------------------------


def output(trace: Trace) -> Tensor:
    """The logits, or the stored features of a model without a classifier."""
    return trace.features[:, :FEATURE_TOKENS] if trace.logits is None else trace.logits


@torch.no_grad()
def check_full(model: VisionTransformer, pixels: Tensor) -> float:
    """Largest difference of the block loop without condensation from the model's own forward (timm's,
    or our LV-ViT's), both in float64."""
    own = forward(model, pixels, None)
    difference = float((own.features - model.forward_features(pixels)).abs().max())
    if own.logits is not None:
        difference = max(difference, float((own.logits - model(pixels)).abs().max()))
    assert difference <= 1e-10, f"the block loop differs from the model's own by {difference}"
    return difference


@torch.no_grad()
def check_tome(directory: Path, model: VisionTransformer, pixels: Tensor, case: Case) -> float:
    """Largest difference of a ToMe case from the public implementation checked out in a directory
    (github.com/facebookresearch/ToMe), on the same weights, relative to the largest logit."""
    sys.path.insert(0, str(directory))
    from tome.patch.timm import apply_patch

    public = copy.deepcopy(model)
    for block in public.blocks:
        # The public patch predates timm's split of these.
        block.attn.fused_attn = False
    apply_patch(public, prop_attn=case.proportional_attention)
    public._tome_info["distill_token"] = hasattr(model, "head_dist")
    public.r = case.drop
    ours = forward(model, pixels, case).logits
    theirs = public(pixels)
    theirs = theirs if isinstance(theirs, Tensor) else sum(theirs) / 2
    return float((ours - theirs).abs().max() / theirs.abs().max())


def check_block(case: Case, block: Condensed, drop: int) -> None:
    """`kept` ascends; `assigned` sends kept tokens to their own place, others to a valid one."""
    batch, count = block.assigned.shape
    assert block.kept.shape == (batch, count - drop)
    assert case.reducer == "tome" or (np.diff(block.kept, axis=1) > 0).all()
    for kept, assigned in zip(block.kept, block.assigned, strict=True):
        assert (assigned[kept] == np.arange(count - drop)).all()
        others = np.delete(assigned, kept)
        if case.weights == "none" or case.reducer in ("prune", "random"):
            assert (others == GONE).all()
        else:
            assert (others < count - drop).all()


def float32_columns(exact: Trace, rounded: Trace) -> str:
    """How the float32 forward's kept sets and outputs compare with the float64 one's."""
    differs, overlap, assigned = "-", 1.0, 1.0
    for i, block in exact.blocks.items():
        other = rounded.blocks[i]
        share = min(
            len(np.intersect1d(a, b)) / len(a) for a, b in zip(block.kept, other.kept, strict=True)
        )
        if differs == "-" and share < 1.0:
            differs = str(i)
        overlap = min(overlap, share)
        assigned = min(assigned, float((block.assigned == other.assigned).mean()))
    a, b = output(exact), output(rounded).double()
    error = float((a - b).abs().max() / a.abs().max())
    return f"{differs:>5} {overlap:8.3f} {assigned:8.3f} {error:9.1e}"


def case_tensors(case: Case, trace: Trace) -> dict[str, np.ndarray]:
    """The tensors that a case stores."""
    kind = "features" if trace.logits is None else "logits"
    tensors = {f"{case.name}/{kind}": output(trace).float().numpy()}
    for i, block in trace.blocks.items():
        tensors[f"{case.name}/block.{i}.kept"] = block.kept.astype(np.uint32)
        tensors[f"{case.name}/block.{i}.assigned"] = block.assigned
        if i == 0:
            tensors[f"{case.name}/block.0.score"] = block.score.astype(np.float32)
    return tensors


@torch.no_grad()
def full_tensors(network: Network) -> dict[str, np.ndarray]:
    """The tensors of timm's own float32 forward, or of our LV-ViT in float64."""
    model, pixels = network.model, network.pixels
    if isinstance(model, LvVit):
        model, pixels = copy.deepcopy(model).double(), pixels.double()
    features = model.forward_features(pixels)
    tensors = {"full/features": features[:, :FEATURE_TOKENS].float().numpy()}
    if model.num_classes > 0:
        tensors["full/logits"] = model(pixels).float().numpy()
    return tensors


def make_network(network: Network, out: Path, tome_directory: Path | None) -> None:
    """Runs every case of a network, checks and prints, and writes its file."""
    tensors = full_tensors(network) | {k: v.numpy() for k, v in network.extra.items()}
    rounded_model = network.model
    model = copy.deepcopy(rounded_model).double()
    pixels = network.pixels.double()
    print(f"\n{network.name}: block loop against the model's own in float64: {check_full(model, pixels):.1e}")
    if network.cases:
        print(
            f"  {'case':24} {'gap block 0':>11} {'gap':>8} {'margin':>8}"
            f"   f32: {'first':>5} {'overlap':>8} {'assigned':>8} {'logits':>9}"
        )
    for case in network.cases:
        trace = forward(model, pixels[: case.batch], case)
        for i, block in trace.blocks.items():
            check_block(case, block, case.drop[i])
        if tome_directory and case.reducer == "tome" and model.num_classes > 0:
            error = check_tome(tome_directory, model, pixels[: case.batch], case)
            assert error <= 1e-10, f"{case.name} differs from the public ToMe by {error}"
            print(f"  {case.name}: against the public implementation {error:.1e}")
        rounded = forward(rounded_model, network.pixels[: case.batch], case)
        gap = min(block.gap for block in trace.blocks.values())
        margin = min(block.margin for block in trace.blocks.values())
        print(
            f"  {case.name:24} {trace.blocks[0].gap:11.1e} {gap:8.1e} {margin:8.1e}"
            f"        {float32_columns(trace, rounded)}"
        )
        tensors |= case_tensors(case, trace)
    golden = {
        "seed": network.seed,
        "batch": len(pixels),
        "config": configuration(model),
        "cases": [asdict(case) for case in network.cases],
    }
    path = out / f"{network.name}.safetensors"
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    save_file(contiguous, path, metadata={"golden": json.dumps(golden)})
    print(f"  {path.name}: {path.stat().st_size:,} bytes")


# ---------------------------------------------------------------------------------------------
# Agreement with the full model
# ---------------------------------------------------------------------------------------------


def print_agreement(bundled: Path, directory: Path, count: int) -> None:
    """Top-1 and agreement with the full model over `count` images spread evenly over a directory
    of CLASS/*.jpg, whose classes in order of name are the model's."""
    model, config = bundled_model(bundled)
    model = model.double()
    photos = sorted(directory.glob("*/*.jpg"))
    photos = [photos[i * len(photos) // count] for i in range(count)]
    classes = sorted({photo.parent.name for photo in photos})
    labels = torch.tensor([classes.index(photo.parent.name) for photo in photos])
    pixels = torch.stack([preprocess(photo, config) for photo in photos]).double()

    def predict(case: Case | None) -> Tensor:
        parts = [forward(model, part, case).logits.argmax(dim=1) for part in pixels.split(50)]
        return torch.cat(parts)

    full = predict(None)
    print(f"full: top-1 {100 * float((full == labels).double().mean()):.1f} % of {count} images")
    for case in (paper("paper R=5", [5] * 8), training_free("training_free R=5", [5] * 8)):
        condensed = predict(case)
        top1 = 100 * float((condensed == labels).double().mean())
        agreement = 100 * float((condensed == full).double().mean())
        print(f"{case.name}: top-1 {top1:.1f} %, agreement with the full model {agreement:.1f} %")


def main() -> None:
    """Reads the arguments and makes what they ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAME", help="one model's name, or `pillow`")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "tests/goldens", metavar="DIR")
    parser.add_argument(
        "--bundled", type=Path, default=REPOSITORY / "assets/models/vit_cifar10_32", metavar="DIR"
    )
    parser.add_argument(
        "--tome", type=Path, metavar="DIR", help="check ToMe cases against a checkout of the public code"
    )
    parser.add_argument("--photos", type=Path, default=REPOSITORY / "assets/photos", metavar="DIR")
    parser.add_argument("--agreement", type=Path, metavar="DIR", help="measure agreement instead")
    parser.add_argument("--images", type=int, default=1000, help="how many for --agreement")
    arguments = parser.parse_args()

    if arguments.agreement:
        print_agreement(arguments.bundled, arguments.agreement, arguments.images)
        return
    makers = networks(arguments.bundled, arguments.photos)
    if arguments.only not in (None, "pillow", *makers):
        parser.error(f"--only takes pillow, {', '.join(makers)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.only in (None, "pillow"):
        make_pictures(arguments.photos, arguments.out)
    for name in makers if arguments.only is None else [arguments.only]:
        if name in makers:
            make_network(makers[name](), arguments.out, arguments.tome)


if __name__ == "__main__":
    main()
