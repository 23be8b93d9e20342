"""The options of a condensation, with the names and the JSON format of the Rust side.

A checkpoint records the condensation that it was fine-tuned for as this JSON, in its safetensors metadata under
`METADATA`.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from .errors import TrainingError
from .schedule import Schedule

METADATA = "tcvit.condensation"

CHOICES = {
    "metric": ("attention", "key_cosine", "cosine", "dot", "euclidean"),
    "method": ("power_sum", "newton0", "newton1", "newton2", "newton3"),
    "mean": ("column", "row"),
    "score": ("combined", "connectivity", "dominance", "uniqueness"),
    "weights": ("connectivity", "size", "none"),
    # Whether all of C is computed. This changes only the speed. Here it never is.
    "path": ("thin", "dense"),
}
SWITCHES = {"on": True, "off": False, "true": True, "false": False}
# In the order in which options are read from JSON: `score` comes before the exponents, which only one score has.
OPTIONS = (
    "metric",
    "method",
    "order",
    "alpha",
    "beta",
    "normalise",
    "mean",
    "score",
    "exponent",
    "size_exponent",
    "weights",
    "path",
    "proportional_attention",
)
SCHEDULES = ("drop", "schedule", "keep", "flops")
# Reducers that the Rust side has for comparison. They have no connectivity that could be trained.
INFERENCE_ONLY = ("tome", "evit", "prune", "random")


def refuse(option: str, expected: str, got: object) -> TrainingError:
    """The error for an option, with the text of the Rust side."""
    return TrainingError(f"condensation option {option}: expected {expected}, got {got}")


@dataclass(frozen=True)
class Condensation:
    """All options of a condensation. The defaults are those of the preset `paper`."""

    metric: str = "attention"  # how W is computed
    method: str = "power_sum"  # how C is computed from W; newtonS makes S steps of eq. 10
    order: int = 2  # K
    alpha: float = 500.0
    beta: float = 3.5
    normalise: bool = True  # c is divided by its own sum before it is combined with dominance
    mean: str = "column"
    score: str = "combined"
    exponent: float = 0.0  # g of `uniqueness`
    size_exponent: float = 0.5  # h of `uniqueness`
    weights: str = "connectivity"  # `none` prunes instead of fusing
    path: str = "thin"
    proportional_attention: bool = False  # ln(size) of each key's token is added to the attention logits
    schedule: Schedule = Schedule()

    @classmethod
    def paper(cls) -> "Condensation":
        """K = 2, a = 500, b = 3.5, attention, with the exact power sum and a normalised c."""
        return cls()

    @classmethod
    def literal(cls) -> "Condensation":
        """Every equation as printed: two Newton steps, no normalisation."""
        return cls(method="newton2", normalise=False)

    @classmethod
    def training_free(cls) -> "Condensation":
        """For models that were not fine-tuned: uniqueness by the cosines of tokens, averages weighted by size."""
        return cls(metric="cosine", order=1, score="uniqueness", weights="size", proportional_attention=True)

    @classmethod
    def preset(cls, name: str) -> "Condensation":
        """The preset called `name`."""
        known = {"paper": cls.paper, "literal": cls.literal, "training_free": cls.training_free}
        if name in INFERENCE_ONLY:
            raise TrainingError(
                f"condensation preset: `{name}` is for comparison on the Rust side and cannot be trained with here; "
                f"got {name}, expected one of {', '.join(known)}"
            )
        if name not in known:
            raise TrainingError(f"condensation preset: expected one of {', '.join(known)}, got {name}")
        return known[name]()

    @property
    def newton_steps(self) -> int | None:
        """Steps of eq. 10, or None for the exact power sum."""
        return int(self.method[-1]) if self.method.startswith("newton") else None

    @property
    def log_scale(self) -> float:
        """The logarithm of the scale by which C is divided to stay within f32: s^(K-1), with Newton s^K, where s =
        max(a, 1)."""
        power = self.order if self.newton_steps is not None else self.order - 1
        return power * math.log(max(self.alpha, 1.0))

    @property
    def scores_connectivity(self) -> bool:
        """Whether the mean of C takes part in the score."""
        return self.score in ("combined", "connectivity")

    @property
    def scores_dominance(self) -> bool:
        """Whether the class token's attention takes part in the score."""
        return self.score != "connectivity"

    @property
    def fuses(self) -> bool:
        """Whether dropped tokens are fused into kept ones."""
        return self.weights != "none"

    @property
    def connects(self) -> bool:
        """Whether W is needed. Pruning by dominance or uniqueness needs none."""
        return self.scores_connectivity or self.fuses

    @property
    def size_matters(self) -> bool:
        """Whether a forward reads the sizes of tokens before the head does."""
        return self.proportional_attention or self.weights == "size" or self.score == "uniqueness"

    def drop(self, r: int) -> "Condensation":
        """The same condensation with `r` tokens dropped in every block."""
        return replace(self, schedule=Schedule("drop", (r,)))

    def drops(self, patches: int, depth: int) -> list[int]:
        """R of each of `depth` blocks of a model with `patches` patch tokens. Refuses a schedule that leaves a block
        without tokens."""
        return self.schedule.drops(patches, depth)

    def has(self, option: str) -> bool:
        """Whether `option` applies to this score."""
        return option not in ("exponent", "size_exponent") or self.score == "uniqueness"

    def set(self, option: str, value: object) -> "Condensation":
        """The same condensation with one option changed, to a value given as text (as on the command line) or as a JSON
        value."""
        text = text_of(value)
        if text is None:
            raise refuse(option, "a string, number, boolean or list", json.dumps(value))
        if option in SCHEDULES:
            return replace(self, schedule=Schedule.read(option, text))
        if option not in OPTIONS:
            raise TrainingError(
                f"condensation option: expected one of {', '.join((*OPTIONS, *SCHEDULES))}, got {option}"
            )
        if not self.has(option):
            raise refuse(option, "an option that this score has", text)
        if option in CHOICES:
            if text not in CHOICES[option]:
                raise refuse(option, f"one of {', '.join(CHOICES[option])}", text)
            return replace(self, **{option: text})
        if option in ("normalise", "proportional_attention"):
            if text not in SWITCHES:
                raise refuse(option, f"one of {', '.join(SWITCHES)}", text)
            return replace(self, **{option: SWITCHES[text]})
        kind, name = (int, "a whole number") if option == "order" else (float, "a number")
        try:
            return replace(self, **{option: kind(text)})
        except ValueError:
            raise refuse(option, name, text) from None

    def validate(self) -> "Condensation":
        """Returns itself, after checking everything that can be checked without a model."""
        if not 1 <= self.order <= 1024:
            raise refuse("order", "K from 1 to 1024", self.order)
        if not 0.0 < self.alpha <= 1e6:
            raise refuse("alpha", "a number above 0, at most 1e6", self.alpha)
        if not math.isfinite(self.beta):
            raise refuse("beta", "a finite number", self.beta)
        for option in ("exponent", "size_exponent"):
            if not 0.0 <= getattr(self, option) <= 16.0:
                raise refuse(option, "a number from 0 to 16", getattr(self, option))
        self.schedule.validate()
        if self.scores_connectivity and not self.normalise and self.log_scale > math.log(1e30):
            raise refuse(
                "normalise",
                "alpha^(K-1) (alpha^K with Newton) of at most 1e30 when c is not normalised, or normalise on",
                f"alpha {number(self.alpha)}, K {self.order}",
            )
        return self

    def to_json(self) -> str:
        """The JSON object that both sides read: a preset, every option, then the schedule, with all values as text."""
        values = {option: text_of(getattr(self, option)) for option in OPTIONS if self.has(option)}
        for switch in ("normalise", "proportional_attention"):
            values[switch] = "on" if getattr(self, switch) else "off"
        return json.dumps({"preset": "paper", **values, **self.schedule.written()})

    @classmethod
    def from_json(cls, text: str) -> "Condensation":
        """Reads a condensation from a JSON object with a `preset` (`paper` if absent) and the options that differ from
        it."""
        try:
            options = json.loads(text)
        except ValueError as error:
            raise TrainingError(f"read condensation: expected a JSON object, got {error}") from None
        if not isinstance(options, dict):
            raise TrainingError(f"read condensation: expected a JSON object, got {text}")
        return cls.from_options(options)

    @classmethod
    def from_options(cls, options: dict) -> "Condensation":
        """As `from_json`, from the parsed object."""
        known = ("preset", *OPTIONS, *SCHEDULES)
        for option in options:
            if option not in known:
                raise TrainingError(f"read condensation: expected options among {', '.join(known)}, got {option}")
        condensation = cls.preset(str(options.get("preset", "paper")))
        for option in (*OPTIONS, *SCHEDULES):
            if option in options:
                condensation = condensation.set(option, options[option])
        return condensation.validate()

    def __str__(self) -> str:
        """The nearest preset and the options that differ from it: `paper, metric dot, drop 5`."""
        descriptions = []
        for name in ("paper", "literal", "training_free"):
            preset = Condensation.preset(name)
            differing = [
                f"{field.name.replace('_', ' ')} {text_of(getattr(self, field.name))}"
                for field in fields(self)
                if field.name != "schedule"
                and self.has(field.name)
                and getattr(self, field.name) != getattr(preset, field.name)
            ]
            descriptions.append([name, *differing])
        nearest = min(descriptions, key=len)
        return ", ".join([*nearest, *(f"{option} {value}" for option, value in self.schedule.written().items())])


def number(value: float) -> str:
    """A float as Rust prints it: 500, not 500.0."""
    return str(int(value)) if math.isfinite(value) and value == int(value) and abs(value) < 1e15 else repr(value)


def text_of(value: object) -> str | None:
    """A JSON value as the text that `set` takes; None for a value that is no option's."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return number(value) if isinstance(value, float) else str(value)
    if isinstance(value, Iterable) and not isinstance(value, dict):
        items = [text_of(item) for item in value]
        return None if None in items else ",".join(map(str, items))
    return None
