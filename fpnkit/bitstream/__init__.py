"""The command `python -m fpnkit.bitstream`: encode images to `.fpn` files, decode these, and inspect them."""
