"""Runs as text and pages for people: terminal, Markdown, HTML.

Each renderer shows the same `tables.Table`s and the same `overview.Overview`; none of them works
anything out by itself. Nothing in this package imports torch or `torchgauge.measure`.
"""
