"""Celery's settings for jobs that run from milliseconds to days. Comments say why they differ."""

from typing import Any
from urllib.parse import quote

from redis.connection import parse_url

from scriptfleet.config import Settings
from scriptfleet.queues.keys import Keys
from scriptfleet.queues.sentinel import SentinelAddress, is_sentinel, parse_sentinel_url


def broker_url(url: str) -> str:
    """Give the address as Celery spells it.

    That of a socket is ``redis+socket://:PASSWORD@/PATH?virtual_host=DB``; each Sentinel has an address of its own.
    """
    if is_sentinel(url):
        return _sentinel_urls(parse_sentinel_url(url))
    if not url.startswith("unix:"):
        return url
    said = parse_url(url)
    user, password = quote(said.get("username") or "", safe=""), quote(said.get("password") or "", safe="")
    login = f"{user}:{password}@" if password else ""
    database = f"?virtual_host={said['db']}" if said.get("db") else ""
    return f"redis+socket://{login}{quote(said['path'])}{database}"


def _sentinel_urls(address: SentinelAddress) -> str:
    user, password = (quote(address.options.get(name) or "", safe="") for name in ("username", "password"))
    login = f"{user}:{password}@" if password else ""
    database = address.options.get("db", 0)
    hosts = (f"[{host}]" if ":" in host else host for host, _ in address.sentinels)
    ports = (port for _, port in address.sentinels)
    return ";".join(f"sentinel://{login}{host}:{port}/{database}" for host, port in zip(hosts, ports, strict=True))


def _of_sentinel(url: str) -> dict[str, Any]:
    """Give what Celery needs to be told beside the addresses of Sentinels; nothing for other addresses."""
    if not is_sentinel(url):
        return {}
    address = parse_sentinel_url(url)
    asked_by: dict[str, Any] = {"socket_timeout": 3, "socket_connect_timeout": 3, **address.sentinel_options}
    if address.is_encrypted:
        asked_by |= {"ssl": True, **address.tls}
    return {"master_name": address.master, "sentinel_kwargs": asked_by}


def _encryption(url: str) -> dict[str, Any] | None:
    """Give the options of encryption; those of a single server stand in its address already."""
    if not is_sentinel(url) or not parse_sentinel_url(url).is_encrypted:
        return None
    # Celery takes an empty mapping for no encryption.
    return {"ssl_cert_reqs": "required", **parse_sentinel_url(url).tls}


def celery_config(settings: Settings) -> dict[str, Any]:
    """Give the configuration of the app."""
    url = settings.broker_url()
    return {
        "broker_url": broker_url(url),
        "broker_use_ssl": _encryption(url),
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
            **_of_sentinel(url),
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
        # A worker takes a message only when a slot is free (see intake.py), so no job waits behind a long one.
        "worker_disable_prefetch": True,
        "worker_send_task_events": True,
        # Who can write to the broker could give orders this way, and nobody can sign them.
        "worker_enable_remote_control": not settings.signing_key or settings.allow_celery_control,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": True,
        "worker_redirect_stdouts": False,
        "event_queue_expires": 60.0,
    }
