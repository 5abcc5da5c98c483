"""From pytest items to cases: which devices and dtypes, what the `gauge` mark narrows, and stable ids."""

from __future__ import annotations

import math
import numbers
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import device
from torchgauge.measure.budget import BUDGETS, ORDER, Budget
from torchgauge.record.schema import Case, Scalar

DEFAULT_DTYPES = ["float32", "float64", "bfloat16", "float16"]
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
"""What Python's own text of an object ends with; it changes from process to process."""
_MARK_KEYS = {"dtypes", "devices", "quick", "budget", "precision"}


@dataclass(frozen=True)
class Selection:
    """What the options ask for. `dtypes` is None for the budget's own choice."""

    devices: list[str]
    dtypes: list[str] | None
    budget: Budget


def choose_dtypes(spec: str | None, devices: Iterable[str]) -> list[str] | None:
    """Turn `--dtype` into names: None without it, every name for `all`.

    Raises:
        TorchgaugeError: a name that is no dtype, or that none of the devices can do.

    """
    if spec is None:
        return None
    names = list(dict.fromkeys(name.strip() for name in spec.split(",")))
    if names in (["all"], list(device.DTYPES)):  # a stored run says `all` in full
        return list(device.DTYPES)
    for name in names:
        if name not in device.DTYPES:
            raise TorchgaugeError(f"unknown dtype {name!r}; choose from {', '.join(device.DTYPES)}, or all")
        reasons = [device.why_not(place, name) for place in devices]
        if all(reasons):
            raise TorchgaugeError(f"dtype {name!r} can't be measured: {reasons[0]}")
    return names


def parametrize(metafunc: pytest.Metafunc, selection: Selection) -> None:
    """Give a benchmark its `device` and `dtype`, where it asks for them and does not set them itself."""
    own: set[str] = set()
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
        own.update(name.strip() for name in (names.split(",") if isinstance(names, str) else names))
    if "device" in metafunc.fixturenames and "device" not in own:
        metafunc.parametrize(
            "device", [pytest.param(torch.device(name), id=name) for name in selection.devices]
        )
    if "dtype" in metafunc.fixturenames and "dtype" not in own:
        marks = [
            _checked(mark, metafunc.definition.nodeid) for mark in metafunc.definition.iter_markers("gauge")
        ]
        metafunc.parametrize("dtype", _dtype_params(marks, selection))


def _dtype_params(marks: list[pytest.Mark], selection: Selection) -> list[Any]:
    offered = _closest(marks, "dtypes", DEFAULT_DTYPES)
    if selection.dtypes is not None:
        # `all` means all that a benchmark offers; a name asked for that it lacks becomes a skip
        every = selection.dtypes == list(device.DTYPES)
        names = offered if every else list(selection.dtypes)
    else:
        quick = _closest(marks, "quick", offered[:1])
        rest = [] if selection.budget.dtypes == 1 else offered[: selection.budget.dtypes]
        names = list(dict.fromkeys([*quick, *rest]))
    params = []
    for name in names:
        extra: list[Any] = []
        if name not in offered:
            extra.append(pytest.mark.skip(reason=f"offers {', '.join(offered)}, not {name}"))
        if name == "tf32":
            extra.append(pytest.mark.gauge(precision="tf32"))
        params.append(pytest.param(device.torch_dtype(name), id=name, marks=extra))
    return params


def outside_budget(item: pytest.Item, budget: Budget) -> bool:
    """Whether one of the item's marks puts it into a larger budget than this one."""
    wanted = [mark.kwargs.get("budget", ORDER[0]) for mark in _marks(item)]
    return any(ORDER.index(name) > ORDER.index(budget.name) for name in wanted)


def skip_reason(item: pytest.Item, case: Case) -> str | None:
    """Give the reason if the item's marks keep it off its device, or its device can't do its dtype."""
    for mark in _marks(item):
        allowed = mark.kwargs.get("devices")
        if allowed is not None and not any(_is_kind(case.device, kind) for kind in allowed):
            return f"measured on {' or '.join(allowed)} only"
    return device.why_not(case.device, "tf32") if case.dtype == "tf32" else None


def case_of(item: pytest.Function) -> Case:
    """Build an item's Case. Its id is `group/name[device,dtype,param=value,…]` and must never change."""
    params: dict[str, Any] = dict(item.callspec.params) if hasattr(item, "callspec") else {}
    place = str(params.pop("device", "cpu"))
    dtype = params.pop("dtype", None)
    dtype_name = None if dtype is None else _text(dtype)
    if any(mark.kwargs.get("precision") == "tf32" for mark in _marks(item)):
        dtype_name = "tf32"
    scalars = {key: _scalar(value) for key, value in params.items()}
    group = _text(item.path.stem).removeprefix("bench_").removeprefix("test_")
    function = _text(getattr(item, "originalname", None) or item.name)
    name = function.removeprefix("bench_").removeprefix("test_")
    if item.cls is not None:
        name = f"{item.cls.__name__}.{name}"
    parts = [
        place,
        *([dtype_name] if dtype_name else []),
        *(f"{key}={value}" for key, value in scalars.items()),
    ]
    return Case(
        id=f"{group}/{name}[{','.join(parts)}]",
        group=group,
        name=name,
        device=place,
        dtype=dtype_name,
        params=scalars,
    )


def _marks(item: pytest.Item) -> list[pytest.Mark]:
    return [_checked(mark, item.nodeid) for mark in item.iter_markers("gauge")]


def _checked(mark: pytest.Mark, where: str) -> pytest.Mark:
    unknown = set(mark.kwargs) - _MARK_KEYS
    if unknown or mark.args:
        raise TorchgaugeError(
            f"{where}: the gauge mark takes dtypes=, devices=, quick= and budget=, "
            f"not {', '.join(sorted(unknown)) or 'positional arguments'}"
        )
    if mark.kwargs.get("budget", ORDER[0]) not in BUDGETS:
        raise TorchgaugeError(f"{where}: unknown budget {mark.kwargs['budget']!r}; say {', '.join(ORDER)}")
    for name in [*mark.kwargs.get("dtypes", []), *mark.kwargs.get("quick", [])]:
        if name not in device.DTYPES:
            raise TorchgaugeError(f"{where}: unknown dtype {name!r}; choose from {', '.join(device.DTYPES)}")
    return mark


def _closest(marks: list[pytest.Mark], key: str, default: list[str]) -> list[str]:
    return next((list(mark.kwargs[key]) for mark in marks if key in mark.kwargs), default)


def _is_kind(place: str, kind: str) -> bool:
    return place != "cpu" if kind == "accelerator" else place == kind or place.partition(":")[0] == kind


def _scalar(value: Any) -> Scalar:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):  # NumPy's too
        number = int(value)
        return number if -(2**63) <= number < 2**63 else hex(number)[:200]  # no JSON reader keeps more
    if isinstance(value, numbers.Real):
        real = float(value)
        return real if math.isfinite(real) else str(real)  # JSON has no infinity
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if not isinstance(value, str):
        value = getattr(value, "__name__", None) or _ADDRESS.sub("", str(value))
    return "".join(sign for sign in str(value) if unicodedata.category(sign)[0] != "C")[:200]
