"""From any torch network to groups that were shown to be right: acceptance, discovery, soundness."""
