"""Latency of layers that compute in int8, and of the conversions between them."""
