"""Training of a pruned network, and pruning by thresholds while it trains."""
