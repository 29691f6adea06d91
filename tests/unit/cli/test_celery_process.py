import pytest

from scriptfleet.cli.celery_process import worker_command
from scriptfleet.errors import InvalidValue


def test_a_worker_is_celerys_own_program_with_our_app() -> None:
    command = worker_command("default, nightly", 3, "big", "info")

    assert command[1:6] == ["-m", "celery", "--app", "scriptfleet_workers.app", "worker"]
    said = dict(zip(command[6::2], command[7::2], strict=False))
    assert (said["--queues"], said["--concurrency"], said["--hostname"]) == ("default,nightly", "3", "big@%h")


@pytest.mark.parametrize(("queues", "name"), [("a,,b", "w"), ("", "w"), ("a b", "w"), ("a", "w@host"), ("a", "-x")])
def test_names_that_celery_would_misread_are_refused(queues: str, name: str) -> None:
    with pytest.raises(InvalidValue):
        worker_command(queues, 1, name, "info")
