"""What was decided, and the network that it makes: decisions, plan files, tensors of a plan."""
