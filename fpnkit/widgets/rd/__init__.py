"""Rate and accuracy of runs and anchors."""
