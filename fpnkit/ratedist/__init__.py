"""Rate and accuracy: reading points, joining them to curves, comparing and judging them. Files only, without torch."""
