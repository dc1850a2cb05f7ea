"""The analysis of trained codecs: tables, the figures it shows, and a page."""
