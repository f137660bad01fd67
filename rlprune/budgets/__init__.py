"""The limits that a user states, and the walk that keeps them."""
