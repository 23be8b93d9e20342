"""Makes tests/goldens/transformers/: small models of transformers' own classes with random weights,
as `save_pretrained` writes them, and the outputs of transformers' float32 forward; and
tests/goldens/resized.safetensors: timm's ViTs on other image sizes than those of their weights.

NAME/model.safetensors, NAME/config.json   the model (weights in float16, to keep folders small)
NAME/preprocessor_config.json              if the model has an image processor
NAME/golden.safetensors                    `logits` [B, classes] or, without a head, `features`
                                           [B, 6, D], for the random tensor `pixels` of seed 5;
                                           `chelsea` [3, H, W], the processor's pixels of a photo
resized.safetensors                        `PREFIX/SIDE/logits` [1, classes], for weights of seed 5
                                           and 224 pixels, on the tensor `pixels` at SIDE

Run from any folder, with the packages of goldens/requirements.txt:
  python scripts/goldens/transformers_models.py
"""

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from random_weights import random_tensor, randomise
from safetensors.numpy import save_file
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from transformers import PreTrainedModel

REPOSITORY = Path(__file__).resolve().parent.parent.parent
FEATURE_TOKENS = 6

SEED = 5
BATCH = 2
LABELS = ["badger", "beaver", "boar", "elk", "heron", "lynx", "marten"]
RESIZED_SIDES = [160, 224, 256, 288, 720, 736]


def theirs(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Random weights that differ from initial ones enough for every tensor to matter."""
    plain = name.replace("layernorm_before", "norm1").replace("layernorm_after", "norm2")
    plain = plain.replace("layernorm", "norm").replace("lambda1", "gamma")
    tensor = random_tensor(plain, shape, SEED)
    # random_weights.py gives tokens and positions values up to 0.5. It does not know transformers' names for them and
    # would scale them by their shapes.
    if "embeddings." in plain and "projection" not in plain:
        tensor = tensor / tensor.abs().max() * 0.5
    # Larger queries and keys, so that attention is not uniform.
    return tensor * 2.0 if "query" in name or "key" in name else tensor


def models() -> dict[str, PreTrainedModel]:
    """The models by the names of their folders. They differ in epsilons, numbers of attention heads, and
    classifiers."""
    common = {
        "num_hidden_layers": 3,
        "image_size": 64,
        "patch_size": 8,
        "id2label": dict(enumerate(LABELS)),
        "label2id": {label: i for i, label in enumerate(LABELS)},
    }
    vit = transformers.ViTConfig(
        hidden_size=64, intermediate_size=192, num_attention_heads=4, **common
    )
    # This epsilon is so large that a wrong one changes outputs by far more than rounding.
    deit = transformers.DeiTConfig(
        hidden_size=64, intermediate_size=256, num_attention_heads=2, layer_norm_eps=1e-2, **common
    )
    dinov2 = {"hidden_size": 64, "num_attention_heads": 8, "mlp_ratio": 3, **common}
    return {
        "vit": transformers.ViTForImageClassification(vit),
        "vit_features": transformers.ViTModel(vit),
        "deit": transformers.DeiTForImageClassification(deit),
        "deit_teacher": transformers.DeiTForImageClassificationWithTeacher(deit),
        "dinov2": transformers.Dinov2ForImageClassification(transformers.Dinov2Config(**dinov2)),
        "dinov2_registers": transformers.Dinov2WithRegistersModel(
            transformers.Dinov2WithRegistersConfig(num_register_tokens=4, **dinov2)
        ),
    }


def processors() -> dict[str, transformers.BaseImageProcessor]:
    """The image processors, by the names of the models that get one."""
    return {
        "vit": transformers.ViTImageProcessor(size={"height": 64, "width": 64}),
        "deit_teacher": transformers.DeiTImageProcessor(
            size={"height": 72, "width": 72},
            crop_size={"height": 64, "width": 64},
            image_mean=[0.485, 0.456, 0.406],
            image_std=[0.229, 0.224, 0.225],
        ),
        "dinov2_registers": transformers.BitImageProcessor(
            size={"shortest_edge": 73},
            crop_size={"height": 64, "width": 64},
            image_mean=[0.485, 0.456, 0.406],
            image_std=[0.229, 0.224, 0.225],
        ),
    }


@torch.no_grad()
def make_model(name: str, model: PreTrainedModel, out: Path) -> None:
    """Writes the folder of one model."""
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    state = model.state_dict()
    # Convert to float16 and back, so that the forward uses the numbers that are stored.
    state = {k: theirs(k, tuple(v.shape)).half().float() for k, v in state.items()}
    model.load_state_dict(state)
    model.half().save_pretrained(folder, save_original_format=name != "vit_features")
    model = model.float().eval()
    side = model.config.image_size
    pixels = random_tensor("pixels", (BATCH, 3, side, side), SEED)
    tensors = {}
    output = model(pixels)
    if hasattr(output, "logits"):
        tensors["logits"] = output.logits.numpy()
    else:
        tensors["features"] = output.last_hidden_state[:, :FEATURE_TOKENS].numpy()
    if name in processors():
        processor = processors()[name]
        processor.save_pretrained(folder)
        photo = Image.open(REPOSITORY / "crates/cli/assets/photos/chelsea.jpg").convert("RGB")
        tensors["chelsea"] = processor(photo, return_tensors="np")["pixel_values"][0]
    tensors = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
    save_file(tensors, folder / "golden.safetensors")
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{name}: {size:,} bytes, {json.dumps(model.config.architectures)}")


@torch.no_grad()
def make_resized(path: Path) -> None:
    """Writes the logits of ViTs at other image sizes, with position embeddings resized by timm."""
    arguments = {"patch_size": 16, "embed_dim": 96, "depth": 3, "num_heads": 3, "num_classes": 10}
    # The prefix has one row of the position embedding, none, or two.
    kinds = {
        "class": (partial(VisionTransformer, **arguments), RESIZED_SIDES),
        "registers": (
            partial(VisionTransformer, reg_tokens=4, no_embed_class=True, **arguments),
            [160],
        ),
        "distilled": (partial(VisionTransformerDistilled, **arguments), [256]),
    }
    tensors = {}
    for name, (build, sides) in kinds.items():
        stored = build(img_size=224).eval()
        randomise(stored, SEED)
        for side in sides:
            # As in `create_model(..., img_size=side)`, the checkpoint's filter resizes the position embedding.
            model = build(img_size=side).eval()
            model.load_state_dict(checkpoint_filter_fn(dict(stored.state_dict()), model))
            pixels = random_tensor("pixels", (1, 3, side, side), SEED)
            tensors[f"{name}/{side}/logits"] = model(pixels).numpy()
    golden = {"seed": SEED, "image": 224} | arguments
    save_file(tensors, path, metadata={"golden": json.dumps(golden)})
    print(f"{path.name}: {path.stat().st_size:,} bytes")


def main() -> None:
    """Reads the arguments and makes everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=REPOSITORY / "tests/goldens", metavar="DIR")
    out = parser.parse_args().out
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name, model in models().items():
        make_model(name, model, out / "transformers")
    make_resized(out / "resized.safetensors")


if __name__ == "__main__":
    main()
