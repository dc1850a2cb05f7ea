"""Looking inside the pyramid."""
