"""One page about a run: what it ran, what it brought, what its teacher taught, and every question of it."""
