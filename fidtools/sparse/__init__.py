"""BM25: two engines behind one Protocol, an index that is built once and kept, and the ranking of questions."""
