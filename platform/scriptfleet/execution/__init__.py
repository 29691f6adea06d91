"""The engine: runs one job on this machine, watches it and tells what it cost. Knows neither Celery, Redis nor SQL."""
