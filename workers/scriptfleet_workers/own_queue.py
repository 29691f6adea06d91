"""Queues that one worker alone reads, as Celery consumes them: nothing about them is to be written to the server."""

from kombu.entity import Exchange, Queue


def own_queue(name: str) -> Queue:
    """Give the queue of this name."""
    nowhere = Exchange("", no_declare=True)  # type: ignore[no-untyped-call]
    return Queue(name, nowhere, routing_key=name, no_declare=True)  # type: ignore[no-untyped-call]
