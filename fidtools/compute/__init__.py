"""Devices, precision, ranks, batches and model names."""
