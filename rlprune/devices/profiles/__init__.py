"""The device profile: a file that predicts the latency and the energy of any plan."""
