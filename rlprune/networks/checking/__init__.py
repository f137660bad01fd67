"""Whether a pruned network computes what it should: the dense reference and the comparison with it."""
