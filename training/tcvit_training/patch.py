"""Condensation inside a timm VisionTransformer, in place: `condense_model` patches it, `restore` undoes it.

The model keeps its class, parameters and state dictionary. timm's own forward runs in a block that drops nothing before
any token was dropped, and in every block when the condenser is switched off. The numbers are then those of the full
model.
"""

from types import MethodType

import torch
import torch.nn.functional as F
from timm.layers import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from .condensation import Condensation
from .condense import Attended, Decision, condense
from .errors import TrainingError


class Condenser:
    """The condensation of one model, and the decisions of its last forward.

    `enabled = False` makes the model the full one. `tracing = True` fills `trace` (block number -> `Decision`) in every
    forward. `sizes` [B, N] is the number of patches that each patch token of the last forward stands for, or None if
    each stands for one.
    """

    def __init__(self, model: VisionTransformer, condensation: Condensation) -> None:
        self.prefix = model.num_prefix_tokens
        self.condensation = condensation.validate()
        self.drops = condensation.drops(model.patch_embed.num_patches, len(model.blocks))
        self.enabled = True
        self.tracing = False
        self.trace: dict[int, Decision] = {}
        self.sizes: Tensor | None = None

    def begin(self) -> None:
        """Clears the results of the forward before."""
        self.sizes, self.trace = None, {}

    def condenses(self, block: int) -> bool:
        """Whether this block drops tokens in the present forward."""
        return self.enabled and self.drops[block] > 0


def refuse_unlike(model: nn.Module, condensation: Condensation) -> None:
    """Refuses models that the block loop below would compute wrongly."""
    if not isinstance(model, VisionTransformer):
        raise TrainingError(f"condense: expected a timm VisionTransformer, got {type(model).__name__}")
    for index, block in enumerate(model.blocks):
        if type(block) is not Block or type(block.attn) is not Attention:
            found = f"{type(block).__name__} with {type(getattr(block, 'attn', None)).__name__}"
            raise TrainingError(f"condense: expected timm's Block with Attention, got {found} in block {index}")
    if model.cls_token is None and condensation.scores_dominance:
        raise TrainingError(
            "condense: expected a class token, which dominance is the attention of, got a model without; score "
            "`connectivity` does without"
        )
    if model.global_pool not in ("token", "avg", "") or getattr(model, "attn_pool", None) is not None:
        raise TrainingError(f"condense: expected global_pool token or avg, got {model.global_pool}")
    if not isinstance(model.patch_drop, nn.Identity):
        raise TrainingError("condense: expected a model without patch dropout, which changes N from step to step")


def condense_model(model: VisionTransformer, condensation: Condensation) -> Condenser:
    """Patches a model in place, or gives an already patched one another condensation."""
    refuse_unlike(model, condensation)
    condenser = Condenser(model, condensation)
    restore(model)
    for index, block in enumerate(model.blocks):
        block.forward = MethodType(block_forward(condenser, index), block)
    model.forward_features = MethodType(features_forward(condenser), model)
    model.pool = MethodType(pool_forward(condenser), model)
    # Bypasses the registration of submodules in nn.Module, since a condenser has no parameters.
    object.__setattr__(model, "condenser", condenser)
    return condenser


def restore(model: VisionTransformer) -> None:
    """Undoes the patch of a model. Does nothing to a model that is not patched."""
    for block in model.blocks:
        block.__dict__.pop("forward", None)
    for name in ("forward_features", "pool", "condenser"):
        model.__dict__.pop(name, None)


def features_forward(condenser: Condenser):
    """timm's forward_features, after clearing the results of the forward before."""

    def forward(model: VisionTransformer, x: Tensor, **arguments) -> Tensor:
        if model.grad_checkpointing and condenser.enabled:
            raise TrainingError("condense: expected a model without gradient checkpointing, which runs blocks twice")
        condenser.begin()
        return type(model).forward_features(model, x, **arguments)

    return forward


def pool_forward(condenser: Condenser):
    """timm's pooling, but a mean over patch tokens weights each by the number of patches that it stands for."""

    def pool(model: VisionTransformer, x: Tensor, pool_type: str | None = None) -> Tensor:
        sizes = condenser.sizes
        if sizes is None or (pool_type or model.global_pool) != "avg":
            return type(model).pool(model, x, pool_type)
        if model.pool_include_prefix:
            sizes = torch.cat([sizes.new_ones(len(sizes), condenser.prefix), sizes], dim=1)
        else:
            x = x[:, condenser.prefix :]
        return (x * sizes[:, :, None]).sum(dim=1) / sizes.sum(dim=1, keepdim=True)

    return pool


def block_forward(condenser: Condenser, index: int):
    """The forward of a block that condenses between attention and MLP."""

    def forward(block: Block, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        condensation = condenser.condensation
        condenses = condenser.condenses(index)
        biased = condensation.proportional_attention and condenser.sizes is not None
        if not condenses and not biased:
            return type(block).forward(block, x, attn_mask=attn_mask, is_causal=is_causal)
        if attn_mask is not None or is_causal:
            raise TrainingError("condense: expected attention without a mask, got one")
        wanted = condensation if condenses else None
        sizes = condenser.sizes if biased else None
        mixed, attended = attend(block.attn, block.norm1(x), wanted, sizes, condenser.prefix)
        x = x + block.drop_path1(block.ls1(mixed))
        if condenses:
            x, condenser.sizes, decision = condense(
                condensation, x, attended, condenser.sizes, condenser.prefix, condenser.drops[index], condenser.tracing
            )
            if decision is not None:
                condenser.trace[index] = decision
        return x + block.drop_path2(block.ls2(block.mlp(block.norm2(x))))

    return forward


def attend(
    attention: Attention, x: Tensor, wanted: Condensation | None, sizes: Tensor | None, prefix: int
) -> tuple[Tensor, Attended]:
    """Self-attention over normed tokens [B, T, D], and the results that condensing needs.

    Only W of the metric `attention` needs the probabilities. Otherwise PyTorch's fused attention runs, and the class
    token's row is computed separately. With `sizes` [B, N], ln(size) of each key's token is added to the logits.
    """
    batch, count, _ = x.shape
    gate = attention.gate(x).sigmoid() if attention.gate is not None else None
    qkv = attention.qkv(x).reshape(batch, count, 3, attention.num_heads, attention.head_dim)
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    q, k = attention.q_norm(q), attention.k_norm(k)
    bias = None
    if sizes is not None:
        ones = sizes.new_ones(batch, prefix)
        bias = torch.cat([ones, sizes], dim=1).log()[:, None, None, :]

    attended = Attended()
    if wanted is not None and wanted.connects and wanted.metric == "attention":
        logits = (q * attention.scale) @ k.transpose(-2, -1)
        probs = (logits.to(wide(logits)) if bias is None else logits + bias).softmax(dim=-1)
        attended.probs = probs
        mixed = attention.attn_drop(probs).to(v.dtype) @ v
    else:
        dropout = attention.attn_drop.p if attention.training else 0.0
        mask = None if bias is None else bias.to(q.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=attention.scale)
    if wanted is not None:
        with torch.no_grad():
            attended.dominance = dominance(wanted, attended.probs, q, k, bias, attention.scale, prefix)
        if wanted.metric == "key_cosine" or (wanted.score == "uniqueness" and wanted.metric != "cosine"):
            attended.keys = k[:, :, prefix:].to(wide(k)).mean(dim=1)

    mixed = attention.norm(mixed.transpose(1, 2).reshape(batch, count, attention.attn_dim))
    if gate is not None:
        mixed = mixed * gate
    return attention.proj_drop(attention.proj(mixed)), attended


def wide(x: Tensor) -> torch.dtype:
    """The type of probabilities and keys in condensing: at least f32, under autocast too."""
    return torch.promote_types(x.dtype, torch.float32)


def dominance(
    wanted: Condensation, probs: Tensor | None, q: Tensor, k: Tensor, bias: Tensor | None, scale: float, prefix: int
) -> Tensor | None:
    """Dominance D [B, N]: the class token's row of P, averaged over heads. Without P, it is computed from q and k [B,
    H, T, Dh]."""
    if not wanted.scores_dominance:
        return None
    if probs is None:
        with torch.autocast(q.device.type, enabled=False):
            logits = (q[:, :, :1].to(wide(q)) * scale) @ k.to(wide(k)).transpose(-2, -1)
            probs = (logits if bias is None else logits + bias).softmax(dim=-1)
    return probs[:, :, 0, prefix:].mean(dim=1)
