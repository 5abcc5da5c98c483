"""Matplotlib's drawings as small SVG elements for a page: its colours and fonts are the page's own.

Every panel is one `<svg>` with a single pair of axes, so that a page can put panels beside each other
or below each other as its width allows, and their text keeps its size.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Stand-ins that no drawing uses by chance; `_to_page` makes them the page's CSS variables.
INK = "#010203"
FAINT = "#040506"
SERIES = tuple(f"#0a0b{index:02x}" for index in range(1, 9))
"""Colours of series: Okabe and Ito's, which the colour-blind can tell apart (the page's --c1 … --c8)."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
"""Marks of series, so that colour is never alone in telling them apart."""

MOST_SERIES = len(SERIES)

_SETTINGS = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a "$" in a name is a dollar
    "font.size": 10.0,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "path.simplify": False,
    "svg.hashsalt": "torchgauge",
}


@dataclass(frozen=True)
class Legend:
    """One series: its text, and which colour and mark it has (an index into `SERIES`)."""

    text: str
    index: int


@dataclass(frozen=True)
class Panel:
    """One drawing. `svg` is markup that is safe to put into a page; `title` is plain text."""

    title: str
    svg: str


@dataclass(frozen=True)
class Plot:
    """Panels that share a legend. `description` says in words what there is to see."""

    title: str
    description: str
    panels: tuple[Panel, ...]
    legend: tuple[Legend, ...] = ()
    bars: bool = False
    """Whether the legend's marks are squares of colour rather than the marks of points."""


def draw(width: float, height: float, paint: Callable[[Axes], None], alt: str) -> str:
    """Draw one pair of axes and give it as an `<svg>` element.

    Args:
        width: in CSS pixels.
        height: in CSS pixels.
        paint: puts the data on the axes; colours are `INK`, `FAINT` and `SERIES`.
        alt: what a screen reader says.

    """
    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that DejaVu lacks: the page's fonts draw the text
        figure = Figure(figsize=(width / 72, height / 72))
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        paint(axes)
        sink = io.StringIO()
        figure.savefig(
            sink,
            format="svg",
            transparent=True,
            bbox_inches="tight",
            pad_inches=0.02,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return _to_page(sink.getvalue(), alt)


_counter = iter(range(10**9))


def _to_page(svg: str, alt: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s(?:xmlns(?::xlink)?|version)="[^"]*"', "", svg).replace("xlink:href", "href")
    prefix = f"g{next(_counter)}"
    used = set(re.findall(r'(?:href="#|url\(#)([\w.-]+)', svg))
    svg = re.sub(
        r'\sid="([^"]*)"', lambda found: f' id="{prefix}{found[1]}"' if found[1] in used else "", svg
    )
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", svg)
    for index, colour in enumerate(SERIES, start=1):
        svg = svg.replace(colour, f"var(--c{index})")
    svg = svg.replace(INK, "currentColor").replace(FAINT, "var(--faint)")
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    svg = re.sub(r"(\d+\.\d)\d+", r"\1", svg)  # a tenth of a pixel is enough
    svg = re.sub(r"\s*\n\s*", " ", svg)
    svg = re.sub(r"> <", "><", svg).replace("<g></g>", "")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{_attribute(alt)}" ', 1)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
