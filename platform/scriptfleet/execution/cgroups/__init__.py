"""Control groups, where the machine lets us have them: the kernel accounts and limits a run's whole tree."""
