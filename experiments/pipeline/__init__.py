"""The steps of a run: prepare, search, choose, deliver, measure, report."""
