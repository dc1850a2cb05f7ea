"""Starting, finding, watching and stopping trainings. A new place to run is a subclass of `protocol.Launch`."""
