"""The training loop. An epoch depends only on the seed and its number, so that a resumed run ends like an uninterrupted
one."""

import math
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from tqdm import tqdm

from . import checkpoints
from .augment import Augmentation, augment, mix
from .condensation import Condensation
from .data import Images, Preparation, fingerprint
from .errors import TrainingError
from .evaluate import evaluate
from .export import refuse_unlike
from .kept import KeptLogits, name_of


@dataclass(frozen=True)
class Recipe:
    """How a model is optimised."""

    epochs: int
    lr: float
    min_lr: float
    warmup: float
    weight_decay: float
    label_smoothing: float
    clip: float
    batch: int
    seed: int
    precision: str  # f32 or bf16
    augmentation: Augmentation
    distillation: float = 0.0  # weight of the teacher's term

    @classmethod
    def of(cls, arguments, device: torch.device) -> "Recipe":
        """The recipe of a program's arguments."""
        precision = arguments.precision
        if precision == "auto":
            precision = "bf16" if device.type == "cuda" or multiplies_bf16() else "f32"
        names = ("epochs", "lr", "min_lr", "warmup", "weight_decay", "label_smoothing", "clip", "batch", "seed")
        augmentation = Augmentation(arguments.augment, arguments.mixup, arguments.cutmix)
        distillation = getattr(arguments, "distillation", 0.0)
        values = {name: getattr(arguments, name) for name in names}
        checked = values | {"mixup": arguments.mixup, "cutmix": arguments.cutmix, "distillation": distillation}
        for name, value in checked.items():
            if not 0.0 <= value < math.inf:
                raise TrainingError(f"--{name.replace('_', '-')}: expected a number from 0, got {value}")
        return cls(**values, precision=precision, augmentation=augmentation, distillation=distillation)

    def lr_at(self, epoch: float) -> float:
        """The learning rate after `epoch` epochs, which may be a fraction: linear warm-up, then a cosine."""
        if epoch < self.warmup:
            return self.lr * epoch / self.warmup
        share = (epoch - self.warmup) / max(self.epochs - self.warmup, 1e-9)
        return self.min_lr + (self.lr - self.min_lr) * (1.0 + math.cos(math.pi * min(share, 1.0))) / 2.0


def multiplies_bf16() -> bool:
    """Whether this processor has instructions for products of bf16. Without them, bf16 is slower than f32."""
    known = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in known)


@dataclass
class Run:
    """A run: the model (on its device), its teacher, its data, and where its files go."""

    out: Path
    model: nn.Module
    config: dict
    condensation: Condensation | None
    recipe: Recipe
    images: Images
    test: Images | None
    preparation: Preparation
    device: torch.device
    teacher: nn.Module | None = None
    cache: Path | None = None  # the folder of the logits of the teacher and the full model
    evaluate_every: int = 1
    before: bool = True  # whether accuracy is measured before the first epoch, too
    stop_after: int | None = None

    def identity(self) -> dict:
        """The values that must be the same for the run to be resumed."""
        condensation = None if self.condensation is None else self.condensation.to_json()
        return {**asdict(self.recipe), "condensation": condensation, "images": len(self.images)}


def optimiser_of(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW without weight decay for vectors and embeddings."""
    still = model.no_weight_decay() if hasattr(model, "no_weight_decay") else set()
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    decays = [p.ndim > 1 and name not in still for name, p in named]
    groups = [
        {"params": [p for (_, p), d in zip(named, decays, strict=True) if d], "weight_decay": recipe.weight_decay},
        {"params": [p for (_, p), d in zip(named, decays, strict=True) if not d], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.lr, fused=True)


def batches_of(count: int, batch: int, generator: Generator) -> list[Tensor]:
    """All indices in random order, in batches. A smaller last batch is left out, unless it is the only one."""
    order = list(torch.randperm(count, generator=generator).split(batch))
    return order[:-1] if len(order) > 1 and len(order[-1]) < batch else order


def forward(run: Run, model: nn.Module, x: Tensor) -> Tensor:
    """Logits, computed in the run's precision."""
    autocast = run.recipe.precision == "bf16"
    with torch.autocast(run.device.type, torch.bfloat16) if autocast else nullcontext():
        return model(x)


def teachers_answers(run: Run, epoch: int) -> KeptLogits:
    """The teacher's logits for an epoch's batches. The name holds everything that decides the batches and the
    logits."""
    if run.teacher is None or run.cache is None:
        return KeptLogits(None, "")
    recipe = run.recipe
    name = name_of(
        run.teacher,
        images=fingerprint(run.images.listing, run.images.geometry),
        preparation=run.preparation,
        augmentation=recipe.augmentation,
        batch=recipe.batch,
        seed=recipe.seed,
        epoch=epoch,
        precision=recipe.precision,
        versions=(torch.__version__, run.device.type),
    )
    return KeptLogits(run.cache, name)


def loss_of(recipe: Recipe, logits: Tensor, targets: Tensor, taught: Tensor | None) -> Tensor:
    """Cross-entropy plus, by its weight, the divergence from the teacher's probabilities."""
    logits = logits.float()
    loss = F.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
    if taught is None:
        return loss
    own, other = logits.log_softmax(dim=1), taught.log_softmax(dim=1)
    return loss + recipe.distillation * F.kl_div(own, other, reduction="batchmean", log_target=True)


def train_epoch(run: Run, optimiser: torch.optim.Optimizer, epoch: int) -> tuple[float, float]:
    """Trains epoch `epoch`, counted from 1. Returns its mean loss and last learning rate. No step waits for the
    device."""
    recipe = run.recipe
    seed = recipe.seed * 1_000_003 + epoch
    torch.manual_seed(seed)
    generator = Generator().manual_seed(seed)
    order = batches_of(len(run.images), recipe.batch, generator)
    total = torch.zeros((), device=run.device)
    answers = teachers_answers(run, epoch)
    run.model.train()
    progress = tqdm(run.images.batches(order), f"epoch {epoch}/{recipe.epochs}", len(order), leave=False, disable=None)
    for step, (pixels, labels) in enumerate(progress):
        lr = recipe.lr_at(epoch - 1 + (step + 0.5) / len(order))
        for group in optimiser.param_groups:
            group["lr"] = lr
        x = augment(pixels.to(run.device, non_blocking=True), recipe.augmentation, generator)
        targets = F.one_hot(labels.to(run.device, non_blocking=True), run.model.num_classes).float()
        x, targets = mix(x, targets, recipe.augmentation, generator)
        x = run.preparation.normalise(x)
        taught = None
        if run.teacher is not None:
            with torch.no_grad():
                taught = answers.get(step, len(x), lambda x=x: forward(run, run.teacher, x), run.device)
        loss = loss_of(recipe, forward(run, run.model, x), targets, taught)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if recipe.clip > 0.0:
            nn.utils.clip_grad_norm_(run.model.parameters(), recipe.clip)
        optimiser.step()
        total += loss.detach()
        if step % 20 == 19:
            progress.set_postfix(loss=f"{float(total) / (step + 1):.4f}")
    answers.keep()
    mean = float(total) / len(order)
    if not math.isfinite(mean):
        raise TrainingError(
            f"epoch {epoch}: the loss is {mean}; try a smaller --lr, --clip 1, or another method than newton"
        )
    return mean, lr


def fit(run: Run, resume: bool, head: dict) -> bool:
    """Trains to the last epoch, writing a checkpoint and a line of the log after each one. Returns whether the last
    epoch was reached."""
    # Checked before training, which may take hours.
    refuse_unlike(run.model)
    recipe, path = run.recipe, run.out / checkpoints.CHECKPOINT
    optimiser = optimiser_of(run.model, recipe)
    done = 0
    if path.exists() and not resume:
        raise TrainingError(f"{path}: is there already; --resume goes on with it, another --out starts anew")
    if path.exists():
        saved = checkpoints.read(path)
        checkpoints.refuse_another_run(path, saved, run.identity())
        run.model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimizer"])
        done = saved["epoch"]
        checkpoints.rewind_log(run.out, done, {"resumed": done, "command": head["command"]})
    else:
        checkpoints.start_log(run.out, head)
        if run.test is not None and run.before:
            measures = measured(run, compare=run.condensation is not None)
            checkpoints.append_log(run.out, {"epoch": 0, **measures})
            full = f", full {measures['full_top1']:.2f} %" if "full_top1" in measures else ""
            print(f"before: {measures['top1']:.2f} % top-1{full}")
    last = recipe.epochs if run.stop_after is None else min(recipe.epochs, done + run.stop_after)
    for epoch in range(done + 1, last + 1):
        start = time.monotonic()
        loss, lr = train_epoch(run, optimiser, epoch)
        entry = {"epoch": epoch, "loss": round(loss, 5), "lr": lr, "seconds": round(time.monotonic() - start, 2)}
        if run.test is not None and (epoch % run.evaluate_every == 0 or epoch == recipe.epochs):
            entry |= measured(run, compare=False)
        state = {"model": run.model.state_dict(), "optimizer": optimiser.state_dict(), "epoch": epoch}
        condensation = None if run.condensation is None else run.condensation.to_json()
        checkpoints.write(path, {**state, "run": run.identity(), "config": run.config, "condensation": condensation})
        checkpoints.append_log(run.out, entry)
        top1 = f", top-1 {entry['top1']:.2f} %" if "top1" in entry else ""
        print(f"epoch {epoch}/{recipe.epochs}: loss {loss:.4f}{top1}, {entry['seconds']:.0f} s", flush=True)
    return last == recipe.epochs


def measured(run: Run, compare: bool) -> dict[str, float]:
    """Accuracy on the test images."""
    outcome = evaluate(run.model, run.test, run.preparation, run.device, run.recipe.batch, compare, cache=run.cache)
    return {name: round(value, 4) for name, value in outcome.measures().items() if name != "images"}
