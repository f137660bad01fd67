"""Scripts that measure the figures the documentation reports."""
