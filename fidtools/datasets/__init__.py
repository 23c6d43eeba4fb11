"""The data sets of the papers: fetched, checked, and written as passages and train, dev and test questions."""
