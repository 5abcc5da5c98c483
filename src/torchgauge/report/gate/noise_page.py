"""What A/A runs said of a machine, as one self-contained page with its plots."""

from __future__ import annotations

import math

from matplotlib.axes import Axes

from torchgauge import __version__
from torchgauge.analysis.gate.noise import MachineNoise
from torchgauge.report.gate import noise as words
from torchgauge.report.gate.page import drawing
from torchgauge.report.html import environment
from torchgauge.report.svg import FAINT, INK, SERIES, Panel, Plot, draw
from torchgauge.report.text import count, plain

ROW = 22.0
WIDTH = 900.0
LONGEST = 52


def render(noise: MachineNoise) -> str:
    """Write the page. It needs nothing but itself and says so in its Content-Security-Policy."""
    return (
        environment()
        .get_template("noise.html.j2")
        .render(
            title=f"Noise of machine {noise.machine_key}",
            sentences=words.sentences(noise),
            plots=[_strips(noise), _uniform(noise)] if noise.cases else [],
            svg=drawing,
            version=__version__,
        )
    )


def _strips(noise: MachineNoise) -> Plot:
    shown = sorted(noise.cases, key=lambda one: -(one.spread or 0.0))
    most = 100 * max(max(2 * one.floor, 2.5 * (one.spread or 0.0)) for one in shown)

    def paint(axes: Axes) -> None:
        axes.axvline(0, color=FAINT, linewidth=1)
        for row, one in enumerate(shown):
            at = len(shown) - 1 - row
            low, high = 100 * (1 / (1 + one.floor) - 1), 100 * one.floor
            axes.fill_betweenx([at - 0.42, at + 0.42], low, high, color=FAINT, alpha=0.18, linewidth=0)
            some = [100 * math.expm1(value) for value in noise.log_ratios[one.case]]
            inside = [max(-most, min(most, value)) for value in some]
            spread = [at + 0.3 * (((7 * place) % 11) / 10 - 0.5) for place in range(len(inside))]
            axes.plot(inside, spread, ".", color=SERIES[0], markersize=4, alpha=0.6)
        axes.set_xlim(-most * 1.02, most * 1.02)
        axes.set_ylim(-0.7, len(shown) - 0.3)
        axes.set_yticks(range(len(shown)), [plain(one.case, LONGEST) for one in reversed(shown)])
        axes.set_xlabel("one side against the same side, %")

    alt = f"Noise of {count(len(shown), 'case')}, the noisiest first"
    panel = draw(WIDTH, 60 + ROW * len(shown), paint, alt, left=330, right=20)
    told = (
        "A dot is a pair of processes of the same code, on the frame's edge where it lies outside; grey is "
        "the floor that torchgauge ab will use."
    )
    return Plot("Noise of each case", told, (Panel("", panel),))


def _uniform(noise: MachineNoise) -> Plot:
    seen = sorted(noise.p_values)

    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
        shares = [(place + 1) / len(seen) for place in range(len(seen))]
        axes.step([0.0, *seen, 1.0], [0.0, *shares, 1.0], where="post", color=INK, linewidth=1.5)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("p-value")
        axes.set_ylabel("share of p-values up to it")

    alt = f"Distribution of {count(len(seen), 'p-value')} of unchanged code, beside the uniform one"
    panel = draw(WIDTH, 340, paint, alt, left=80, right=300)
    told = (
        "Of unchanged code every p-value is as likely as any other, so the line should follow the diagonal. "
        "Above it on the left would mean too many small ones: false alarms."
    )
    return Plot("p-values of unchanged code", told, (Panel("", panel),))
