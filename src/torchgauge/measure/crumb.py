"""What a measuring process leaves in a small file, so that its parent knows where and how it ended.

The file holds one of these words, the file that is being imported, or the Case under way as JSON.
"""

DONE = b"done"
"""All visits are over."""
STOPPED = b"stopped"
"""The rest is not wanted: a failure, and `-x`."""
REFUSED = b"refused"
INTERRUPTED = b"interrupted"
NOTHING = b""
"""Not yet begun, or there was nothing to measure (`-- --collect-only`)."""
ENDED = (DONE, STOPPED, REFUSED, INTERRUPTED)
IMPORTING = b"importing "
"""Stands before the name of the file."""
