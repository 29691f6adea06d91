"""Orders from outside: to stop a job, by the control channel; to drain or cordon this worker, with its sign of life.

What the channel missed is told with the next renewal of the lease. On a fleet with a signing key only orders that are
signed with it, and are not old, are obeyed; the others are logged and counted.
"""

import logging
import threading
import time
from typing import Final, Protocol

import redis

from scriptfleet.errors import InvalidValue
from scriptfleet.queues.fleet import Told
from scriptfleet.queues.keys import Keys
from scriptfleet.queues.orders import ORDER_LIFE_SECONDS, Order, Verb
from scriptfleet_workers.tally import ORDERS_REFUSED, Tally

log = logging.getLogger("scriptfleet.orders")

_LISTEN_SECONDS: Final = 1.0


class Deeds(Protocol):
    """What can be ordered."""

    def stop_job(self, job_id: str) -> None:
        """End the run of a job if it is here."""

    def drain(self, grace_seconds: float | None) -> None:
        """Take no more jobs, let what runs finish for so long, then leave."""

    def cordon(self, is_cordoned: bool) -> None:
        """Take no more jobs, or take them again."""


class _Refused(Exception):
    """An order that is not obeyed, and why in a word."""

    def __init__(self, why: str, detail: str) -> None:
        self.why, self.detail = why, detail
        super().__init__(detail)


class Orders:
    """Reads, checks and obeys orders; one thread listens to the channel, on a connection of its own."""

    def __init__(
        self, client: redis.Redis, keys: Keys, name: str, signing_key: str, deeds: Deeds, tally: Tally
    ) -> None:
        self._client, self._channel = client, keys("control")
        self._name, self._key, self._deeds, self._tally = name, signing_key, deeds, tally
        self._joined_at = time.time()
        #: Texts that were seen already, and the moment of the order to cordon that stands.
        self._seen = {Verb.CORDON: "", Verb.DRAIN: ""}
        self._cordon_at: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="orders", daemon=True)

    def start(self) -> None:
        """Start listening."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        self._thread.join()

    def heed(self, told: Told) -> None:
        """Obey what a sign of life was answered."""
        self._heed_once(Verb.CORDON, told.cordon)
        self._heed_once(Verb.DRAIN, told.drain)

    def is_stop(self, text: bytes, job_id: str) -> bool:
        """Tell whether a job that is marked as cancelled was so by order; without a key every mark is one."""
        if not self._key:
            return True
        try:
            self._stop_order(text, job_id)
        except _Refused as fault:
            self._refuse(fault, text)
            return False
        return True

    def _heed_once(self, kind: Verb, text: str) -> None:
        if not text or text == self._seen[kind]:
            return
        self._seen[kind] = text
        try:
            order = self._own(text)
            self._obey_drain(order) if kind is Verb.DRAIN else self._obey_cordon(order)
        except _Refused as fault:
            self._refuse(fault, text)

    def _own(self, text: str) -> Order:
        order = self._read(text)
        if order.target != self._name:
            raise _Refused("target", f"it is for {order.target}")
        return order

    def _obey_drain(self, order: Order) -> None:
        self._refuse_old(order)
        if order.verb is not Verb.DRAIN:
            raise _Refused("verb", f"{order.verb} stands where an order to drain does")
        if order.at < self._joined_at:
            raise _Refused("replay", "it was given before this worker started")
        self._deeds.drain(order.grace_seconds)

    def _obey_cordon(self, order: Order) -> None:
        if order.verb not in (Verb.CORDON, Verb.UNCORDON):
            raise _Refused("verb", f"{order.verb} stands where an order to cordon does")
        if self._cordon_at is not None and order.at <= self._cordon_at:
            raise _Refused("replay", "a later one came before")
        # The first one that is found may have been given to a process of this name long before.
        if self._cordon_at is not None:
            self._refuse_old(order)
        self._cordon_at = order.at
        self._deeds.cordon(order.verb is Verb.CORDON)

    def _stop_order(self, text: bytes, job_id: str | None = None) -> Order:
        order = self._read(text)
        if order.verb is not Verb.STOP or job_id not in (None, order.target):
            raise _Refused("verb", f"it is to {order.verb} {order.target}")
        self._refuse_old(order)
        return order

    def _read(self, text: str | bytes) -> Order:
        try:
            return Order.read(text, self._key)
        except InvalidValue as fault:
            raise _Refused("signature" if "signed" in fault.expected else "form", str(fault)) from fault

    def _refuse_old(self, order: Order) -> None:
        # Without a key anybody can give new ones: only clocks that differ would be refused.
        if self._key and abs(order.age_seconds()) > ORDER_LIFE_SECONDS:
            raise _Refused(
                "replay", f"it is {order.age_seconds():.0f} s old, at most {ORDER_LIFE_SECONDS:g} s are taken"
            )

    def _refuse(self, fault: _Refused, text: str | bytes) -> None:
        self._tally.add(ORDERS_REFUSED, fault.why)
        log.warning("order_refused reason=%s detail=%s data=%r", fault.why, fault.detail, text[:200])

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except redis.RedisError as fault:
                log.warning("orders_interrupted reason=%s", fault)
                self._stop.wait(_LISTEN_SECONDS)
            except Exception:
                # The edge of the thread: without it nobody would be stopped by order any more.
                log.exception("orders_broke")
                self._stop.wait(_LISTEN_SECONDS)

    def _listen(self) -> None:
        with self._client.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(self._channel)
            while not self._stop.is_set():
                message = channel.get_message(timeout=_LISTEN_SECONDS)
                if message is not None:
                    self._obey(message["data"])

    def _obey(self, data: bytes) -> None:
        try:
            order = self._stop_order(data)
        except _Refused as fault:
            self._refuse(fault, data)
        else:
            self._deeds.stop_job(order.target)
