"""The training loop for codecs and detectors, their losses, and checkpoints to resume from."""
