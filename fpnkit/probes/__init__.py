"""Probes: small heads for other tasks, trained on uncompressed features, that tell what a codec made for one detector
leaves for others (Alain & Bengio 2016, arXiv:1610.01644).

A new one is an entry in `tasks.PROBES`: a map over the finest level's places, a loss, and a score.
"""
