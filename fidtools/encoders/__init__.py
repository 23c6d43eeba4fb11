"""Text encoders: transformers, and small ones over words."""
