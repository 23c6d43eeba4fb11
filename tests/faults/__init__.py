"""Kinds of faults, each tried on all commands that the program has: a new command is born with these tests."""
