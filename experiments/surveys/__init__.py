"""What can be told before anything is searched: of a network, of this machine, and how fast networks are on it."""
