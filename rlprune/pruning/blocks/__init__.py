"""Blocks that can be dropped: where they are, and networks without them."""
