"""Statistics of features, latents, errors and detections, as tables."""
