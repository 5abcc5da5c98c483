"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from torchgauge.errors import TorchgaugeError


def replace(target: Path, content: bytes, option: str = "-o") -> None:
    """Write a file; one that is there is replaced in one step.

    Args:
        target: the file.
        content: what it shall hold.
        option: where the user named it, for the message.

    Raises:
        TorchgaugeError: it can't be written; what was there is untouched.

    """
    try:
        if target.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        if target.exists() and not target.is_file():  # a device, a pipe: there is nothing to replace
            target.write_bytes(content)
            return
        target = target.resolve()  # a link stays one
        partial = target.with_name(f".{target.name[:200]}.{os.getpid()}")
        try:
            with partial.open("xb") as file:
                file.write(content)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise TorchgaugeError(
            f"{target}: can't be written: {reason}; choose another file with {option}"
        ) from None


def check_writable(target: Path, option: str) -> None:
    """Find out early whether `replace` will be able to write a file.

    Raises:
        TorchgaugeError: it won't.

    """
    problem = None
    if target.is_dir():
        problem = "it is a folder"
    elif target.exists() and not target.is_file():  # a device, a pipe
        problem = None if os.access(target, os.W_OK) else "it is not yours to write"
    elif not target.parent.is_dir():
        problem = f"there is no folder {target.parent}"
    elif not os.access(target.parent, os.W_OK):
        problem = f"the folder {target.parent} is not yours to write"
    if problem:
        raise TorchgaugeError(f"{target}: can't be written: {problem}; choose another file with {option}")
