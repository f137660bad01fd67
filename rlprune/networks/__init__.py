"""A torch network as groups of channels: what it computes, how it is traced, loaded, cut and checked."""
