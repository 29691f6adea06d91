"""Watching runs: readings of a process tree while it runs."""
