"""The Gymnasium environment in which an agent prunes one network."""
