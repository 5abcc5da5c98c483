"""Two sides of a comparison, measured in turns by pairs of fresh processes."""
