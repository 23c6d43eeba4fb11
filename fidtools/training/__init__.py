"""The training loop, its resumable run folder and experiment trackers."""
