"""Training for tcvit: connectivity-based token condensation in timm's Vision Transformers."""

from .condensation import Condensation
from .errors import TrainingError
from .patch import condense_model, restore

__all__ = ["Condensation", "TrainingError", "condense_model", "restore"]
