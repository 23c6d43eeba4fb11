"""Text encoders: transformers, and LSTMs or CNNs over word vectors."""
