"""Image sets, and the cache of a detector's features."""
