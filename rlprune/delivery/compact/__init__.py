"""Networks as compact files: weights packed into bytes, and the file that holds them."""
