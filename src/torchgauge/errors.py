"""Errors that a person can act on: one line that names the cause and the cure."""


class TorchgaugeError(Exception):
    """Something that the user has to mend; the command prints it as one line and exits with 2."""
