"""torchgauge measures PyTorch code and says what the numbers are worth.

PYTEST_DONT_REWRITE: no module here is a test, and pytest would warn of those imported before it starts.
"""

__version__ = "0.1.0"
