"""Small networks, written the way people write them, on which finding and cutting groups is proven."""
