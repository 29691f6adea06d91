"""Executors, one file a kind."""
