"""Measuring coders: every image through real bytes, the detector's heads and the metrics."""
