"""Commands are loaded one by one: every one is found, and none loads the others."""

import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest
import typer

from workers.cli import COMMANDS, GROUPS, Commands, app

LOADED = """
import sys
from workers.cli import app
try:
    app(["queues", "--help"])
finally:
    print(*sys.modules)
"""


@pytest.mark.parametrize("name", Commands())
def test_a_command_is_found_by_its_name_and_says_what_it_does(name: str) -> None:
    command = Commands()[name]

    assert command.name == name
    assert command.help


@pytest.mark.parametrize("module", sorted(set(COMMANDS.values())))
def test_what_a_module_registers_is_a_command(module: str) -> None:
    part = typer.Typer()
    import_module(f"workers.cli.{module}").register(part)

    registered = {info.name for info in part.registered_commands}

    assert registered == {name for name, place in COMMANDS.items() if place == module}


def test_a_command_that_does_not_exist_is_refused_with_what_may_be_meant() -> None:
    group: Any = typer.main.get_command(app)

    with pytest.raises(Exception, match="Did you mean 'queues'"):
        group.main(["queue"], standalone_mode=False)


def test_a_command_loads_no_other_command_and_nothing_of_what_does_the_work() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )

    loaded = set(answer.stdout.splitlines()[-1].split())

    assert "workers.cli.queues" in loaded
    assert not {f"workers.cli.{name}" for name in GROUPS.keys() - {"queues"}} & loaded
    assert not {"workers.cli.operations", "workers.actors", "workers.child", "redis"} & loaded
