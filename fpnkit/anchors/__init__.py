"""Rivals of codecs: image and video coders, for pictures and for features. A new one is a row in `catalogue`."""
