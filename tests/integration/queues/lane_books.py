"""Whether the books of flow control agree with each other and with the jobs: what must hold after every script."""

import json
from collections import defaultdict
from typing import Any

from scriptfleet.queues.client import Broker


class LaneBooks:
    """Reads all keys of one broker's flow control."""

    def __init__(self, broker: Broker) -> None:
        self._redis, self._keys = broker.redis, broker.keys
        self._names = {key.decode().removeprefix(self._keys.prefix) for key in broker.redis.keys(self._keys("*"))}
        self.jobs = {name.removeprefix("job:"): self._hash(name) for name in self._names if name.startswith("job:")}
        self.queues = {name.decode() for name in broker.redis.smembers(self._keys("queues"))}

    def check(self) -> None:
        """Fail where they do not agree."""
        for queue in self.queues:
            self._check_lanes(queue)
        self._check_held()
        self._check_placed()
        self._check_no_room_is_left()

    def standing(self, queue: str) -> dict[str, list[str]]:
        """Give the jobs in line, by lane."""
        plain, start = f"ready:{queue}", f"ready:{queue}:"
        lanes = {"" if name == plain else name.removeprefix(start) for name in self._names if self._is_of(name, plain)}
        return {lane: self._zset(plain + (f":{lane}" if lane else "")) for lane in lanes}

    def parked(self, queue: str) -> dict[str, str]:
        """Give the gates that lanes are parked at."""
        return self._hash(f"parked:{queue}")

    def open(self, queue: str) -> dict[str, list[str]]:
        """Give the open lanes, by group."""
        plain, start = f"open:{queue}", f"open:{queue}:"
        groups = {"" if name == plain else name.removeprefix(start) for name in self._names if self._is_of(name, plain)}
        return {group: self._zset(plain + (f":{group}" if group else "")) for group in groups}

    def held(self, gate: str) -> set[str]:
        """Give the jobs that hold a key; of a rate those that have not started."""
        if gate.startswith("c:"):
            return {member.decode() for member in self._redis.smembers(self._keys("held", gate))}
        found = self._redis.zrangebyscore(self._keys("held", gate), "+inf", "+inf")
        return {member.decode() for member in found}

    def _check_lanes(self, queue: str) -> None:
        standing, parked, opened = self.standing(queue), self.parked(queue), self.open(queue)
        for lane, ids in standing.items():
            assert {self.jobs[job_id]["state"] for job_id in ids} == {"queued"}
            assert {self.jobs[job_id].get("lane", "") for job_id in ids} == {lane}
        listed = [lane for lanes in opened.values() for lane in lanes]
        assert sorted(listed + list(parked)) == sorted(standing), queue
        assert all(asked(lane).get("g", "") == group for group, lanes in opened.items() for lane in lanes)
        assert sorted(self._zset(f"groups:{queue}")) == sorted(opened)
        members = {member.decode() for member in self._redis.smembers(self._keys("lanes", queue))}
        assert members == standing.keys() - {""}
        in_lanes = sum(len(ids) for lane, ids in standing.items() if lane)
        assert int(self._hash(f"queue:{queue}").get("in_lanes", 0)) == in_lanes
        self._check_gates(queue, parked)

    def _check_gates(self, queue: str, parked: dict[str, str]) -> None:
        at_gate: dict[str, set[str]] = defaultdict(set)
        for lane, gate in parked.items():
            at_gate[gate].add(lane)
        start = f"parked:{queue}:"
        found = {name.removeprefix(start): set(self._zset(name)) for name in self._names if name.startswith(start)}
        assert found == dict(at_gate)
        for name in self._names:
            if name.startswith("parked_in:"):
                gate = name.removeprefix("parked_in:")
                assert (queue in self._members(name)) == (gate in at_gate), (queue, gate)

    def _check_held(self) -> None:
        holders: dict[str, set[str]] = defaultdict(set)
        for job_id, job in self.jobs.items():
            wanted, is_sent = asked(job.get("lane", "")), self._is_sent(job_id, job)
            if "c" in wanted and (is_sent or job["state"] == "running"):
                holders[f"c:{wanted['c']}"].add(job_id)
            if "r" in wanted and is_sent:
                holders[f"r:{wanted['r']}"].add(job_id)
        gates = {name.removeprefix("held:") for name in self._names if name.startswith("held:")}
        assert {gate: self.held(gate) for gate in gates if self.held(gate)} == dict(holders)

    def _check_placed(self) -> None:
        placed = {
            (job_id, name.removeprefix("placed:"))
            for name in self._names
            if name.startswith("placed:")
            for job_id in self._zset(name)
        }
        assert placed == {(job_id, job["placed"]) for job_id, job in self.jobs.items() if "placed" in job}
        for job_id, _ in placed:
            job = self.jobs[job_id]
            assert job["state"] == "running" or self._is_sent(job_id, job)

    def _check_no_room_is_left(self) -> None:
        """Where a concurrency key has room, no lane is parked at it without one of its lanes open beside it."""
        for queue in self.queues:
            opened = [asked(lane).get("c") for lanes in self.open(queue).values() for lane in lanes]
            for gate in set(self.parked(queue).values()):
                most = self._redis.get(self._keys("bounds", gate))
                if gate.startswith("c:") and len(self.held(gate)) < int(most or 0):
                    assert gate[2:] in opened, (queue, gate)

    def _is_sent(self, job_id: str, job: dict[str, str]) -> bool:
        return self._redis.zscore(self._keys("admitted", job["queue"]), job_id) is not None

    def _is_of(self, name: str, plain: str) -> bool:
        return name == plain or name.startswith(f"{plain}:")

    def _zset(self, name: str) -> list[str]:
        return [member.decode() for member in self._redis.zrange(self._keys.prefix + name, 0, -1)]

    def _members(self, name: str) -> set[str]:
        return {member.decode() for member in self._redis.smembers(self._keys.prefix + name)}

    def _hash(self, name: str) -> dict[str, str]:
        found = self._redis.hgetall(self._keys.prefix + name)
        return {key.decode(): value.decode() for key, value in found.items()}


def asked(lane: str) -> dict[str, Any]:
    """Give what jobs of the lane ask for."""
    return dict(json.loads(lane)) if lane else {}
