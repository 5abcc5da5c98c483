"""Errors that a person can act on: one line that names the cause and the cure."""

LONGEST = 2000
"""Characters of a message that are shown."""


class TorchgaugeError(Exception):
    """Something that the user has to mend; the command prints it as one line and exits with 2."""


def one_line(message: str) -> str:
    """Write a message on one line that a terminal shows and does not obey, whatever it quotes."""
    text = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in message[: 2 * LONGEST])
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
