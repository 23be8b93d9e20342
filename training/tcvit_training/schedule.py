"""How many patch tokens each block drops."""

import math
from dataclasses import dataclass

from .errors import TrainingError


@dataclass(frozen=True)
class Schedule:
    """One of: auto (a constant that suits the model), `drop` (the same R in every block), `schedule` (R for each
    block), `keep` (the share of its tokens that each block keeps, rounded up) and `flops` (a budget of
    multiply-adds)."""

    kind: str = "auto"
    numbers: tuple = ()

    @classmethod
    def read(cls, option: str, text: str) -> "Schedule":
        """Reads a schedule from text, such as `drop` 5, `schedule` 5,5,4, `keep` 0.7 or 1,1,0.7, `flops` 55%, 0.7G or
        700M."""
        try:
            if option == "drop":
                return cls("drop", (natural(text),))
            if option == "schedule":
                return cls("schedule", tuple(natural(item) for item in text.split(",")))
            if option == "keep":
                return cls("keep", tuple(float(item) for item in text.split(",")))
            float(text[:-1])
            if text[-1:] not in ("%", "G", "M"):
                raise ValueError
            return cls("flops", (text,))
        except ValueError:
            expected = {
                "drop": "a whole number",
                "schedule": "numbers with commas between",
                "keep": "numbers with commas between",
                "flops": "a share of the multiply-adds such as 55%, or a number of them such as 0.7G or 700M",
            }[option]
            raise TrainingError(f"condensation option {option}: expected {expected}, got {text}") from None

    def written(self) -> dict[str, str]:
        """The option that gives this schedule, and its value; nothing for auto."""
        items = [str(n) if not isinstance(n, float) else f"{n:g}" for n in self.numbers]
        return {} if self.kind == "auto" else {self.kind: ",".join(items)}

    def validate(self) -> None:
        """Checks everything that can be checked without a model."""
        if self.kind == "keep":
            for ratio in self.numbers:
                if not 0.0 < ratio <= 1.0:
                    raise wrong("keep ratios above 0, at most 1", ratio)
        if self.kind == "flops" and not float(self.numbers[0][:-1]) > 0.0:
            raise wrong("a budget above 0", self.numbers[0])
        if self.kind == "flops" and self.numbers[0].endswith("%") and float(self.numbers[0][:-1]) > 100.0:
            raise wrong("a share of the multiply-adds of at most 100 %", self.numbers[0])

    def drops(self, patches: int, depth: int) -> list[int]:
        """R of each block. Refuses a schedule that leaves a block without a patch token, and names the block."""
        drops = self._unchecked(patches, depth)
        left = patches
        for block, drop in enumerate(drops):
            if drop > left - 1:
                raise wrong(f"at most {left - 1} tokens dropped in block {block}, which has {left}", drop)
            left -= drop
        return drops

    def _unchecked(self, patches: int, depth: int) -> list[int]:
        if self.kind == "auto":
            # 7 % of the patch tokens, or less in a model so deep that fewer than 14 % of them would remain at the end.
            return [min(math.floor(patches / 14.0 + 0.5), int(0.86 * patches / max(depth, 1)))] * depth
        if self.kind == "drop":
            return [self.numbers[0]] * depth
        if self.kind == "schedule":
            if len(self.numbers) != depth:
                raise wrong(f"one number for each of {depth} blocks", f"{len(self.numbers)} numbers")
            return list(self.numbers)
        if self.kind == "flops":
            raise wrong(
                "numbers of tokens or keep ratios (`tcvit flops` prints the numbers that meet a budget)",
                f"the budget {self.numbers[0]}",
            )
        if len(self.numbers) not in (1, depth):
            raise wrong(f"one keep ratio, or one for each of {depth} blocks", f"{len(self.numbers)} numbers")
        ratios = self.numbers * depth if len(self.numbers) == 1 else self.numbers
        drops, left = [], patches
        for ratio in ratios:
            # The ratio is rounded to six digits, as on the Rust side. Without this, 0.7 of 10 could keep 8.
            kept = min(max(math.ceil(left * round(ratio * 1e6) / 1e6), 1), max(left, 1))
            drops.append(left - kept)
            left = kept
        return drops


def natural(text: str) -> int:
    """A whole number that is not negative."""
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


def wrong(expected: str, got: object) -> TrainingError:
    """The error for a schedule."""
    return TrainingError(f"condensation schedule: expected {expected}, got {got}")
