"""Reading and writing records, corpora and embeddings."""
