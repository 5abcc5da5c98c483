"""What could not be found out, and why: never a crash, never a silent None."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


class Unknown(Exception):
    """A fact that can't be found out; the text is the reason in plain words."""


class Reasons:
    """Collects, for the fields of one part of the environment, why they are None.

    Args:
        part: the part's name, such as "machine"; a field's key is then "machine.governor".
        unknown: where key and reason are put.

    """

    def __init__(self, part: str, unknown: dict[str, str]) -> None:
        self._part = part
        self._unknown = unknown

    def find(
        self, field: str, read: Callable[[], T | None], otherwise: str = "nothing tells it here"
    ) -> T | None:
        """Read a field; whatever goes wrong gives None and a reason. `otherwise` is that of a plain None."""
        try:
            value = read()
        except Exception as error:
            value, otherwise = None, reason(error)
        if value is None:
            self.miss([field], otherwise)
        return value

    def miss(self, fields: Iterable[str], why: str) -> dict[str, None]:
        """Put down one reason for several fields; gives None for each."""
        names = list(fields)
        self._unknown.update({f"{self._part}.{name}": why for name in names})
        return dict.fromkeys(names)


def reason(error: Exception) -> str:
    """Say in one line why a fact is not known."""
    if isinstance(error, Unknown):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return f"{error.filename} is not there"
    text = error.strerror if isinstance(error, OSError) else str(error)
    line = next((line.strip() for line in (text or "").splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {printable(line)[:200]}" if line else type(error).__name__


def printable(text: str) -> str:
    """Escape what a file in UTF-8 can't hold: the undecodable bytes of names and variables."""
    return text.encode("utf-8", "backslashreplace").decode()
