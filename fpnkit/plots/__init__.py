"""Plot functions: data in, Axes out, with the title and how to read the figure."""
