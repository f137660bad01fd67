"""What may be decided about a network: choices, the space of all of them, and the scope that a user states."""
