"""Agents, saved policies and search baselines."""
