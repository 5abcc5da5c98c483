"""Seconds, bytes and FLOP to text and back.

Times and rates use SI prefixes (1 kFLOP = 1000 FLOP), sizes use IEC prefixes (1 KiB = 1024 B), as
the field does: bandwidths are decimal (GB/s), buffers are binary (MiB).
"""

from __future__ import annotations

import math
import re

_SI = {
    "p": 1e-12,
    "n": 1e-9,
    "µ": 1e-6,
    "\N{GREEK SMALL LETTER MU}": 1e-6,  # the other µ, as keyboards and copied text have it
    "u": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
}
_IEC = {"": 1.0, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
_QUANTITY = re.compile(r"\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*(.*?)\s*")


def significant(value: float, digits: int = 3) -> str:
    """Write a number with `digits` significant digits and no exponent: 9.92, 12.3, 456, 1230."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    # 9.996 rounds to 10.00, one digit too many
    return f"{value:.{decimals - 1}f}" if decimals and abs(float(text)) >= 10 ** (digits - decimals) else text


def format_quantity(value: float | None, unit: str) -> str:
    """Write a value with the prefix that suits it: 9.92 µs, 216 GFLOP/s, 64 KiB; – for None.

    Args:
        value: in the base unit.
        unit: "s", "J", "W", "B", "B/s", "FLOP", "FLOP/s" or any other; only "B" takes IEC prefixes, and
            only the first three prefixes below 1. "1" is a number of things, which has neither unit nor
            prefix.

    """
    if value is None:
        return "–"
    if unit == "1" and math.isfinite(value):
        return f"{value:,.0f}" if value == round(value) else significant(value)
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    if unit == "B":
        prefix, scaled = _scaled(value, list(_IEC.items()))
        whole = value == round(value / _IEC[prefix]) * _IEC[prefix]
        return f"{scaled:.0f} {prefix}B" if whole else f"{significant(scaled)} {prefix}B"
    small = [("p", 1e-12), ("n", 1e-9), ("µ", 1e-6), ("m", 1e-3)] if unit in ("s", "J", "W") else []
    large = [] if unit == "s" else [("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12), ("P", 1e15)]
    prefix, scaled = _scaled(value, [*small, ("", 1.0), *large])
    return f"{significant(scaled)} {prefix}{unit}"


def parse_quantity(text: str, unit: str) -> float:
    """Read what `format_quantity` writes: "9.92 µs" with unit "s" is 9.92e-6.

    Raises:
        ValueError: the text is no number with that unit.

    """
    found = _QUANTITY.fullmatch(text)
    prefixes = _IEC | _SI if unit == "B" else _SI
    if found and found[2].endswith(unit):
        prefix = found[2].removesuffix(unit)
        if prefix in prefixes:
            return float(found[1]) * prefixes[prefix]
    raise ValueError(f"{text!r} is no quantity in {unit}; write it like {format_quantity(1.5e-6, unit)!r}")


def _scaled(value: float, steps: list[tuple[str, float]]) -> tuple[str, float]:
    """Choose the prefix, smallest first in `steps`, and give the value in it."""
    prefix, scale = steps[0]
    for name, step in steps[1:]:
        if abs(value) >= 0.9995 * step:  # with three digits it reads as 1.00 of the larger one
            prefix, scale = name, step
    scaled = value / scale
    return prefix, math.copysign(1.0, scaled) if 0.99949 < abs(scaled) < 1 else scaled
