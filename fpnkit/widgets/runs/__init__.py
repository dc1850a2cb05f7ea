"""Finding, comparing and tidying runs."""
