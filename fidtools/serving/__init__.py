"""Questions asked one at a time: a page, an HTTP interface for programs, and the same search in the terminal."""
