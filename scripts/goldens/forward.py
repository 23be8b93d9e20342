"""The block loop on timm's weights, with condensation between attention and MLP."""

import math
from dataclasses import dataclass

import torch
from cases import Case
from lvvit import LvVit
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from condense import Condensed, condense


@dataclass
class Trace:
    """Outputs of a forward, and the record of each block that condenses."""

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
    """Logits [B, classes], from tokens [B, T, D] after the final norm and sizes of the patch tokens [B, N]."""
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
    """Runs the network's block loop on timm's weights, with the condensation of `case`."""
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
