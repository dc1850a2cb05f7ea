"""What every room uses and none owns: files, locks, times, text, HTML, records, signals, redaction. Without torch."""
