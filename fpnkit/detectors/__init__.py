"""Detectors cut at their feature pyramid. A new one implements `base.Detector` and gets a case in `build`."""
