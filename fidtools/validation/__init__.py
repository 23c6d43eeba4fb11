"""Checks of data files before they are used: what is missing, repeated, cut, or shared between train and test."""
