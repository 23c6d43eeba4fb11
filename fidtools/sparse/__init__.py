"""BM25: two engines with one interface, an index that is built once and reused, and the ranking of questions."""
