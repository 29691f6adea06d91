import json
import stat
from pathlib import Path

import pytest

from scriptfleet.cli.embedded.home import HomeInUse, held
from scriptfleet.config import FLEET_FILE, load_settings


def test_a_home_is_held_once(tmp_path: Path) -> None:
    with held(tmp_path / "home") as home:
        home.write_fleet_file({"pid": 1, "redis_url": "unix:///x"})

        with pytest.raises(HomeInUse, match="process 1"), held(tmp_path / "home"):
            pass


def test_other_terminals_find_the_fleet_while_it_is_up_and_not_afterwards(tmp_path: Path) -> None:
    surroundings = {"SCRIPTFLEET_HOME": str(tmp_path)}

    with held(tmp_path) as home:
        home.write_fleet_file({"pid": 1, "redis_url": "unix:///x"})
        assert load_settings(surroundings).redis_url == "unix:///x"

    assert load_settings(surroundings).redis_url == ""


def test_only_the_owner_may_look_into_a_home(tmp_path: Path) -> None:
    with held(tmp_path / "home") as home:
        home.write_fleet_file({"pid": 1})

        modes = [
            stat.S_IMODE(path.stat().st_mode) for path in (home.folder, home.redis_folder, home.folder / FLEET_FILE)
        ]
        assert modes == [0o700, 0o700, 0o600]


def test_what_a_killed_fleet_left_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / FLEET_FILE).write_text(json.dumps({"pid": 1, "redis_url": "unix:///gone"}))

    with held(tmp_path):
        assert not (tmp_path / FLEET_FILE).exists()


def test_the_socket_of_a_deep_home_lies_elsewhere_in_a_private_folder(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)

    with held(deep) as home, home.socket_path() as socket:
        assert len(str(socket)) <= 100
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
