"""Search by inner product: exact (the default) and by FAISS, within documents, and fusion of ranked lists."""
