"""What every room may use and knows nothing of pruning: files, threads, progress, code of the user."""
