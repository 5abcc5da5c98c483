"""The read side: run files as tidy frames, and from there to statistics and other tools.

Nothing in this package imports torch or `torchgauge.measure`: a run made on a GPU machine is read
anywhere.
"""
