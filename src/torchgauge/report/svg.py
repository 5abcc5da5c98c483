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
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Stand-ins that no drawing uses by chance; `_to_page` makes them the page's CSS variables.
INK = "#010203"
FAINT = "#040506"
SERIES = tuple(f"#0a0b{index:02x}" for index in range(1, 9))
"""Colours of series: Okabe and Ito's, which the colour-blind can tell apart (the page's --c1 … --c8)."""

IDENT = "panel-"
"""What the ids in a drawing begin with."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
"""Marks of series, so that colour is never alone in telling them apart."""

MOST_SERIES = len(SERIES)

_SETTINGS: dict[Any, Any] = {
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
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
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


def draw(
    width: float,
    height: float,
    paint: Callable[[Axes], None],
    alt: str,
    *,
    left: float = 56,
    right: float = 14,
) -> str:
    """Draw one pair of axes and give it as an `<svg>` element.

    Its ids begin with `IDENT`, which a page that has several drawings replaces in each.

    Args:
        width: in CSS pixels.
        height: in CSS pixels.
        paint: puts the data on the axes; colours are `INK`, `FAINT` and `SERIES`.
        alt: what a screen reader says.
        left: room for the labels of the y axis, in CSS pixels.
        right: room beside the axes, in CSS pixels.

    """
    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that DejaVu lacks: the page's fonts draw the text
        figure = Figure(figsize=(width / 72, height / 72))
        FigureCanvasSVG(figure)
        axes = figure.add_axes(
            (left / width, 36 / height, (width - left - right) / width, (height - 44) / height)
        )
        axes.patch.set_visible(False)
        figure.patch.set_visible(False)
        paint(axes)
        sink = io.StringIO()
        figure.savefig(sink, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _to_page(sink.getvalue(), alt)


def _to_page(svg: str, alt: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|<clipPath.*?</clipPath>|<!--.*?-->",
        "",
        svg,
        flags=re.DOTALL,
    )
    svg = svg.replace("xlink:href", "href")
    used = set(re.findall(r'href="#([\w.-]+)', svg))
    svg = re.sub(r"<[^>]*>", lambda tag: _lean(tag[0], used), svg)
    svg = re.sub(r"\s*\n\s*", "", svg)
    empty = re.compile(r"<(g|defs)></\1>|<g ?/>")
    while empty.search(svg):
        svg = empty.sub("", svg)
    svg = re.sub(r'(width|height)="([\d.]+)pt"', r'\1="\2"', svg, count=2)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{_attribute(alt)}" ', 1)


_DEFAULTS = re.compile(
    r"font: (?P<size>[\d.]+)px [^;\"]*|(?:font-family|stroke-linecap|stroke-linejoin): [^;\"]*;?"
)


def _lean(tag: str, used: set[str]) -> str:
    """Leave out of one tag what a page does not need, and give it the page's colours."""
    tag = re.sub(
        r'\s(?:(?:xmlns(?::xlink)?|version|clip-path)="[^"]*"|transform="rotate\(-?0 [^"]*")', "", tag
    )
    tag = re.sub(r'\sid="([^"]*)"', lambda found: f' id="{IDENT}{found[1]}"' if found[1] in used else "", tag)
    tag = tag.replace('href="#', f'href="#{IDENT}')
    tag = _DEFAULTS.sub(lambda found: f"font-size: {found['size']}px" if found["size"] else "", tag)
    for index, colour in enumerate(SERIES, start=1):
        tag = tag.replace(colour, f"var(--c{index})")
    tag = tag.replace(INK, "currentColor").replace(FAINT, "var(--faint)")
    tag = re.sub(r"(\d+\.\d)\d+", r"\1", tag)  # a tenth of a pixel is enough
    return re.sub(r"\s+", " ", tag)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
