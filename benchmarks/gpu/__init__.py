"""The sections of benchmarks/gpu.sh."""
