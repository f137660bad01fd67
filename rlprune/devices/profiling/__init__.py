"""Measures a device and fits a profile to what was measured."""
