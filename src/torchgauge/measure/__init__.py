"""The measuring side: all that imports torch. It never imports pandas and never reads a report."""
