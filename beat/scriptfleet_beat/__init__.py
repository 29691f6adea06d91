"""Celery beat over the store: schedules live in the database, any number of beats may run."""
