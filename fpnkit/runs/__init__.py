"""Run directories: write, list, query, compare and tidy them, and read their evaluations. Without torch."""
