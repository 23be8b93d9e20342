"""LV-ViT in plain PyTorch for the golden files, written from the published description.

The class has the attributes of timm's VisionTransformer that `forward.py` reads, so that the same block loop condenses
both. For inference only: no dropout, no token labelling.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

PATCH = 16
NORM_EPSILON = 1e-5  # torch's default, for layer norms and batch norms


class FrozenBatchNorm(nn.Module):
    """Batch norm with its running statistics, over channels of [B, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(x - mean) / sqrt(var + eps) * weight + bias."""
        mean, var, weight, bias = (
            v[None, :, None, None]
            for v in (self.running_mean, self.running_var, self.weight, self.bias)
        )
        return (x - mean) / torch.sqrt(var + NORM_EPSILON) * weight + bias


class Stem(nn.Module):
    """Pixels [B, 3, S, S] to tokens [B, N, D]: three convolutions, then patches of their output."""

    def __init__(self, image: int, channels: int, width: int) -> None:
        super().__init__()
        self.img_size, self.patch_size = (image, image), (PATCH, PATCH)
        self.conv1 = nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = FrozenBatchNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = FrozenBatchNorm(channels)
        self.conv3 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn3 = FrozenBatchNorm(channels)
        self.proj = nn.Conv2d(channels, width, PATCH // 2, stride=PATCH // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens in the order of rows, then columns."""
        for convolution, norm in (
            (self.conv1, self.bn1),
            (self.conv2, self.bn2),
            (self.conv3, self.bn3),
        ):
            x = functional.relu(norm(convolution(x)))
        return self.proj(x).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention. The block loop of `forward.py` uses its layers and mixes by itself."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.num_heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Attention over tokens [B, T, D]."""
        q, k, v = (
            part.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=2)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two layers with GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] to [B, T, D]."""
        return self.fc2(functional.gelu(self.fc1(x)))


class Divide(nn.Module):
    """The divisor of a residual branch, skip_lam, in the place of LayerScale in timm's blocks."""

    def __init__(self, divisor: float) -> None:
        super().__init__()
        self.divisor = divisor

    def forward(self, x: Tensor) -> Tensor:
        """x / divisor."""
        return x / self.divisor


class Block(nn.Module):
    """A pre-norm block whose branches are divided before they are added."""

    def __init__(self, width: int, heads: int, hidden: int, divisor: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.attn = Attention(width, heads)
        self.ls1 = Divide(divisor)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.mlp = Mlp(width, hidden)
        self.ls2 = Divide(divisor)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] to [B, T, D]."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class LvVit(nn.Module):
    """LV-ViT at 224 pixels: stem, class token, blocks, and the two classifiers of token labelling."""

    num_prefix_tokens = 1
    no_embed_class = False
    reg_token = None
    global_pool = "token"
    fc_norm = nn.Identity()

    def __init__(
        self, width: int, depth: int, heads: int, channels: int = 64, divisor: float = 2.0
    ) -> None:
        super().__init__()
        self.embed_dim, self.num_classes = width, 1000
        self.patch_embed = Stem(224, channels, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (224 // PATCH) ** 2, width))
        self.blocks = nn.ModuleList(Block(width, heads, 3 * width, divisor) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.head = nn.Linear(width, self.num_classes)
        self.aux_head = nn.Linear(width, self.num_classes)

    def _pos_embed(self, x: Tensor) -> Tensor:
        """Class token and positions around patch tokens [B, N, D]."""
        return torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed

    def forward_features(self, pixels: Tensor) -> Tensor:
        """Tokens [B, T, D] after the final norm."""
        x = self._pos_embed(self.patch_embed(pixels))
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def classify(self, x: Tensor) -> Tensor:
        """Logits [B, classes] of tokens after the final norm, however many patch tokens are left."""
        return self.head(x[:, 0]) + 0.5 * self.aux_head(x[:, 1:]).amax(dim=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits [B, classes] of normalised pixels [B, 3, 224, 224]."""
        return self.classify(self.forward_features(pixels))

    def configuration(self) -> dict:
        """The values that `networks.configuration` cannot read from timm's attributes."""
        return {
            "stem_channels": self.patch_embed.conv1.out_channels,
            "token_max": True,
            "qkv_bias": False,
            "residual_divisor": self.blocks[0].ls1.divisor,
        }
