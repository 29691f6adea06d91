"""The fleet in one terminal: its home, its server of Redis's kind, its processes, and the demo."""
