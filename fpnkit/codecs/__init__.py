"""Codecs for pyramids; only here compressai is used.

A new codec is a file, a section in `config.schema`, a case in `build` and a number in `container.CODECS`.
"""
