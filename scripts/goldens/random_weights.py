"""Weights and inputs from names and seeds, with the same numbers as in src/weights/random.rs."""

import math

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

U64 = (1 << 64) - 1
GOLDEN_RATIO = 0x9E3779B97F4A7C15


def fnv1a64(name: str) -> int:
    """The 64-bit FNV-1a hash of a name."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = ((state ^ byte) * 0x100000001B3) & U64
    return state


def offset_and_scale(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Centre and half width of the uniform distribution from which a tensor is drawn."""
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
    """Replaces every tensor of a model by the random tensor of its name and the seed."""
    state = model.state_dict()
    model.load_state_dict({k: random_tensor(k, tuple(v.shape), seed) for k, v in state.items()})
