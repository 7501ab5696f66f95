"""A student that sees pictures alone, fitted to a teacher that reads text too."""

from fieldmark.methods.pma.distillation.params import DistillParams
from fieldmark.methods.pma.distillation.students import distil

PARAMS = DistillParams

__all__ = ["PARAMS", "DistillParams", "distil"]
