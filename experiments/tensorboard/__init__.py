"""What TensorBoard shows of a run: curves while it searches, and a summary at its end."""
