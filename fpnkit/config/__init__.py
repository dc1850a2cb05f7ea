"""Settings: their schema, loading with all problems at once, differences, and what makes two runs the same."""
