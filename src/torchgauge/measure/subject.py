"""What is measured: a callable with its arguments, and the tightest loop CPython allows around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import Any, Literal

Loop = Callable[[], None]


@dataclass(frozen=True)
class Subject:
    """A call. `prepare` makes fresh positional arguments, untimed, for each block or each call."""

    fn: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[], tuple[Any, ...]] | None = None
    each: Literal["block", "call"] = "block"

    def call(self) -> Callable[[], Any]:
        """Make one call, its arguments prepared here; it gives the function's result."""
        args = self.args if self.prepare is None else self.prepare()
        return partial(self.fn, *args, **self.kwargs)

    def block(self, loops: int) -> Loop:
        """Make a block of `loops` back-to-back calls; arguments are prepared here, before it is timed."""
        fn = partial(self.fn, **self.kwargs) if self.kwargs else self.fn
        if self.prepare is not None and self.each == "call":
            return partial(_each, fn, [self.prepare() for _ in range(loops)])
        args = self.args if self.prepare is None else self.prepare()
        loop = _LOOPS[len(args)] if len(args) < len(_LOOPS) else _loop_any
        return partial(loop, fn, args, repeat(None, loops))


def kept(subject: Subject, result: Any) -> Callable[[], Any]:
    """Keep a call's result for later, unless that would change what later calls do.

    A result that holds an autograd graph keeps parts of it alive that the next call would have to make
    anew: a forward pass was 4 % shorter for it. Such a result is dropped, and when it is asked for another
    call is made. The caller must not hold it either.

    Args:
        subject: what was called.
        result: what it gave; tensors are looked for in tuples, lists and dicts.

    """
    if _holds_graph(result):
        return lambda: subject.call()()
    return lambda: result


def _holds_graph(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_graph, value.values()))
    if isinstance(value, (tuple, list)):
        return any(map(_holds_graph, value))
    return getattr(value, "grad_fn", None) is not None


def nothing() -> None:
    """Do nothing; a loop around it is the empty loop."""


# One loop per number of arguments: `fn(a, b)` costs less than `fn(*args)`, and for calls of well
# under a microsecond the difference shows.


def _loop_0(fn: Callable[..., Any], _args: tuple[Any, ...], times: repeat[None]) -> None:
    for _ in times:
        fn()


def _loop_1(fn: Callable[..., Any], args: tuple[Any, ...], times: repeat[None]) -> None:
    (a,) = args
    for _ in times:
        fn(a)


def _loop_2(fn: Callable[..., Any], args: tuple[Any, ...], times: repeat[None]) -> None:
    a, b = args
    for _ in times:
        fn(a, b)


def _loop_3(fn: Callable[..., Any], args: tuple[Any, ...], times: repeat[None]) -> None:
    a, b, c = args
    for _ in times:
        fn(a, b, c)


def _loop_any(fn: Callable[..., Any], args: tuple[Any, ...], times: repeat[None]) -> None:
    for _ in times:
        fn(*args)


def _each(fn: Callable[..., Any], states: list[tuple[Any, ...]]) -> None:
    for state in states:
        fn(*state)


_LOOPS = (_loop_0, _loop_1, _loop_2, _loop_3)
