"""What became of a comparison, for people and for machines: every form is made of one A/B file."""
