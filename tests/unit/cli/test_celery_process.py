import pytest

from scriptfleet.cli.celery_process import worker_command
from scriptfleet.errors import InvalidValue


def test_a_worker_is_started_with_what_the_verb_was_told() -> None:
    command = worker_command("default, nightly", 3, "big", "info")

    assert command[1:3] == ["-m", "scriptfleet_workers"]
    said = dict(zip(command[3::2], command[4::2], strict=True))
    assert (said["--queues"], said["--concurrency"], said["--hostname"]) == ("default,nightly", "3", "big@%h")


@pytest.mark.parametrize(("queues", "name"), [("a,,b", "w"), ("", "w"), ("a b", "w"), ("a", "w@host"), ("a", "-x")])
def test_names_that_celery_would_misread_are_refused(queues: str, name: str) -> None:
    with pytest.raises(InvalidValue):
        worker_command(queues, 1, name, "info")
