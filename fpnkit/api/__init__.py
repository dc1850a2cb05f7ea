"""What `import fpnkit` gives: runs, detectors, codecs, commands and figures for scripts and notebooks.

The names stand in `fpnkit/__init__.py`, which imports each on first use.
"""
