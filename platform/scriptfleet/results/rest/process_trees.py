"""The processes of a run: as they are, told by its worker while somebody asks; as they were, by the store."""

from typing import Self

from pydantic import BaseModel, Field

from scriptfleet.config import NoFleet
from scriptfleet.domain.process_tree import ProcessTree
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly
from scriptfleet.results.rest.parts import RestParts
from scriptfleet.storage.run_store import RunRow


class ProcessView(BaseModel):
    """One process."""

    pid: int
    parent_pid: int = Field(description="That of the script's own process is of the engine's.")
    command: str = Field(description="What it was started as, on one line, cut, with secrets as `***`; never trusted.")
    cpu_seconds: float = Field(description="Its own, not that of its children.")
    memory_mb: float = Field(description="Resident, MiB.")
    age_seconds: float


class ProcessTreeView(BaseModel):
    """The processes of a run at one moment: the script's own first, then by memory."""

    run_id: str
    is_live: bool = Field(description="Whether this is how they are, not how they were when they were most.")
    seconds: float | None = Field(
        description="The moment, since the run's start; null when there is no picture: the run was short, or its "
        "worker has not told yet (ask again in a second), or is an older one."
    )
    count: int | None = Field(description="How many there were.")
    is_cut: bool = Field(description="Whether there were more than are named: those are the largest.")
    processes: list[ProcessView]

    @classmethod
    def of(cls, run: RunRow, tree: ProcessTree | None) -> Self:
        """Give the view of a tree, or of none."""
        named = [ProcessView.model_validate(one._asdict()) for one in tree.processes] if tree else []
        return cls(
            run_id=run.run_id,
            is_live=run.outcome is None,
            seconds=tree.seconds if tree else None,
            count=tree.count if tree else None,
            is_cut=tree is not None and tree.count > len(named),
            processes=named,
        )


class ProcessTrees:
    """Finds them. Raises StoreUnreachable, BrokerUnreachable."""

    def __init__(self, parts: RestParts) -> None:
        self._parts = parts

    def of(self, run: RunRow) -> ProcessTreeView:
        """Give those of a run."""
        if run.outcome is not None:
            return ProcessTreeView.of(run, self._parts.runs.process_tree(run.run_id))
        return ProcessTreeView.of(run, live_tree(self._parts.client.broker, run))


def live_tree(broker: Broker, run: RunRow) -> ProcessTree | None:
    """Give what a run's worker told lately of its processes, and have it go on telling. Raises BrokerUnreachable."""
    try:
        with told_plainly(broker.url):
            broker.close_looks.look(run.job_id)
            found = broker.close_looks.processes(run.run_id)
    except NoFleet:
        return None
    return None if found is None else ProcessTree.from_dict(found)
