"""Every key in Redis, once. `N` is the namespace; the braces keep all keys in one slot of a cluster.

| key | type | what |
| --- | --- | --- |
| {N}:job:<id> | hash | a job: spec, sig, state, rev, attempt, claim, worker, … (fields in lua/job.lua) |
| {N}:ready:<queue> | zset | jobs that wait and ask for nothing; score = submit time less a head start by priority, ms |
| {N}:ready:<queue>:<lane> | zset | the same of another lane; its name is what its jobs ask for (lua/lanes.lua) |
| {N}:lanes:<queue> | set | lanes that have jobs, but for that of jobs that ask for nothing |
| {N}:open:<queue>, {N}:open:<queue>:<group> | zset | lanes whose first job may go as far as is known; score = its own |
| {N}:groups:<queue> | zset | groups with open lanes ('' for none); score = virtual time: jobs served |
| {N}:queue:<queue> | hash | paused (since when, ms), present (its virtual time), in_lanes (jobs in lanes) |
| {N}:parked:<queue> | hash | the gate at which each lane waits that is not open |
| {N}:parked:<queue>:<gate> | zset | lanes at a gate, c:<key>, r:<key> or p (lua/gates.lua); score = since when, ms |
| {N}:parked_in:<gate> | set | queues that have lanes at the gate |
| {N}:bounds:<gate> | string | limit of a concurrency key, or jobs and ms of a rate key; as submitted last, for a week |
| {N}:held:c:<key> | set | jobs that hold a concurrency key: with Celery, or running |
| {N}:held:r:<key> | zset | starts within a rate's window: claims, score = when, ms; jobs with Celery at +inf |
| {N}:rates_due | zset | rates that are used up; score = when the next start leaves the window, ms |
| {N}:placed:<worker> | zset | jobs placed with a worker, there or running; score = MiB that they asked for |
| {N}:admitted:<queue> | zset | jobs whose message is with Celery, not yet claimed; score = when admitted, ms |
| {N}:running:<queue> | set | jobs of the queue that run |
| {N}:window:<queue> | string | how many may be admitted at once; set by the workers' ticks |
| {N}:delayed | zset | jobs not due yet; score = when due, ms |
| {N}:expiring | zset | jobs that expire; score = when, ms |
| {N}:dead | zset | jobs that ended badly with no attempts left; score = when they are known no more, ms |
| {N}:leases | zset | running jobs; score = when the lease ends, ms |
| {N}:queues | set | names of queues ever used |
| {N}:marked:group:<group> | set | jobs of a group that have not ended |
| {N}:marked:label:<name>=<value> | set | jobs with a label that have not ended |
| {N}:idem:<key> | hash | idempotency key: id and hash of the spec it stands for |
| {N}:blob:<sha256> | string | compressed bytes of a script or bundle; lives for a week after its job was last due |
| {N}:output:<run id> | stream | live output of a run; capped; gone some hours after its end |
| {N}:live | hash | last reading of each running run, JSON by job id |
| {N}:looked_at:<job id> | string | there while somebody looks closely at a running job, for some seconds |
| {N}:processes:<run id> | string | process tree of a run that is looked at closely, JSON; gone after some seconds |
| {N}:events | stream | facts on their way to the store; read by group, deleted after the commit |
| {N}:events:dead | stream | facts that no store could take, with the reason |
| {N}:epoch | hash | id of this server's memory, made once and lost when it is wiped; whether that is restored |
| {N}:workers | zset | worker names; score = last sign of life, ms |
| {N}:worker:<name> | hash | what a worker says of itself |
| {N}:orders:<name> | hash | orders to a worker: cordon (the last, or its end) and drain |
| {N}:spent:<hour> | set | signed jobs that have ended, by the hour until which their signatures are good |
| {N}:fullness | string | how much of its memory limit the server used a moment ago, percent |
| {N}:celery:* |  | Celery's own keys: the lists of messages, bindings, events, remote control |
| {N}:confirmed | string | written before each wait for replicas, so that there is something to wait for |
| {N}:done:<id> | pubsub | told when a job ends |
| {N}:control | pubsub | told to all workers: an order to stop a job |
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of keys in one namespace."""

    namespace: str

    @property
    def prefix(self) -> str:
        """First part of every key; the Lua scripts build theirs from it."""
        return f"{{{self.namespace}}}:"

    @property
    def celery_prefix(self) -> str:
        """Prefix that Celery puts before its own keys."""
        return f"{self.prefix}celery:"

    def __call__(self, *parts: str) -> str:
        """Give the key made of these parts, such as keys("job", job_id)."""
        return self.prefix + ":".join(parts)
