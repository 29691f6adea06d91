"""Celery's settings for jobs that run from milliseconds to days. Comments say why they differ."""

from typing import Any
from urllib.parse import urlsplit

from scriptfleet.config import Settings
from scriptfleet.queues.keys import Keys


def broker_url(url: str) -> str:
    """Give the address as Celery spells it: a socket's scheme is ``redis+socket``."""
    return f"redis+socket://{urlsplit(url).path}" if url.startswith("unix:") else url


def celery_config(settings: Settings) -> dict[str, Any]:
    """Give the configuration of the app."""
    return {
        "broker_url": broker_url(settings.broker_url()),
        "broker_transport_options": {
            "global_keyprefix": Keys(settings.namespace).celery_prefix,
            # Priorities and order are decided before a job is handed to Celery: one list a queue.
            "priority_steps": [0],
            # Messages are acknowledged at the claim, so this only ever meets one that was never claimed.
            "visibility_timeout": 30,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": 15,
            "health_check_interval": 10,
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
        },
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_pool_acquire_timeout": 10,
        "task_default_queue": "default",
        "task_acks_late": False,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "worker_pool": "scriptfleet_workers.pool:TaskPool",
        "worker_prefetch_multiplier": 1,
        # A worker takes a message only when a slot is free, so no job waits behind a long one.
        "worker_disable_prefetch": True,
        "worker_send_task_events": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": True,
        "worker_redirect_stdouts": False,
        "event_queue_expires": 60.0,
    }
