"""A lab bench for compressing the feature pyramids of object detectors."""

__version__ = "0.1.0"
