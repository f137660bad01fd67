"""Searchers that do not learn, behind the same interface as the agents."""
