"""The command `python -m fpnkit.bitstream`: images into `.fpn` files, these into features, and what is in a file."""
