"""Text encoders: transformers, LSTMs or CNNs over word vectors, and averages of token vectors."""
