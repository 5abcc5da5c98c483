"""torchgauge measures PyTorch code and says what the numbers are worth."""

__version__ = "0.1.0"
