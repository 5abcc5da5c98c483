"""The regression gate: two sides measured in turns or counted, and what is said of each case."""

from torchgauge.ab.comparison import Plan, compare
from torchgauge.ab.floors import keep_noise, known_floors

__all__ = ["Plan", "compare", "keep_noise", "known_floors"]
