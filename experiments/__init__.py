"""Running things: configuration, run folders, reports and the command line."""
