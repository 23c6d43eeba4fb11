"""What this machine and this installation offer, and what is broken or slow about them."""
