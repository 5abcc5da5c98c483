"""`torchgauge doctor`: what holds on this machine now, what to mend, and how fine a difference it tells."""

from __future__ import annotations

from torchgauge.measure.doctor.examination import Examination, examine
from torchgauge.measure.doctor.screen import as_json, render

__all__ = ["Examination", "as_json", "examine", "render"]
