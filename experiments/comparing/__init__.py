"""Finished runs side by side: means over seeds, paired differences, the common front."""
