"""Fleet citizenship: Celery app and pool, claims, heartbeat, reports. Stands on the platform; needs no database."""
