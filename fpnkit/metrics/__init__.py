"""Rate, distortion, average precision with intervals, and Bjontegaard deltas."""
