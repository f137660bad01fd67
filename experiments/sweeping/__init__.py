"""Studies: many runs that differ in a few settings; what is missing is run, and nothing twice.

Nothing is imported here, so that a process can wait for its turn before it computes.
"""
