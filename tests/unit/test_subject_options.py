"""The arguments of `exam` and `demo` that say how to start the controllers."""

from pathlib import Path

import pytest

from elevator.cli.arguments import Arguments, integer
from elevator.cli.subject_options import add_options, split, subject
from elevator.exam.setup import BadCommand, Subject, prepare_launch


def parse(*argv: str) -> Subject:
    parser = Arguments()
    parser.add_argument("--cars", type=integer(1, 64), default=2)
    add_options(parser)
    options, command = split([*argv])
    return subject(parser.parse_args(options), command)


def test_arguments_are_split_at_the_first_double_dash() -> None:
    assert split(["--cars", "2", "--", "run", "--", "-x"]) == (["--cars", "2"], ["run", "--", "-x"])
    assert split(["--cars", "2"]) == (["--cars", "2"], [])


def test_each_controller_gets_the_values_of_its_car(tmp_path: Path) -> None:
    options = ("--first-id", "5", "--port", "9000", "--per-car", "role=Master,Backup", "--env", "ID={id}", "--own-dir")
    shown = parse(*options, "--", "run", "{id}:{port}", "{role}", "{cars}x{floors}", "{dir}", "{other}")
    for car, role in enumerate(("Master", "Backup")):
        started = prepare_launch(shown, car, 2, 4, tmp_path, None)
        own = str(tmp_path / f"car-{car}")
        assert started.command == ["run", f"{5 + car}:{9000 + car}", role, "2x4", own, "{other}"]
        assert started.environment["ID"] == str(5 + car)
        assert started.directory == own
        assert Path(own).is_dir()


def test_relative_path_to_a_program_is_made_absolute(tmp_path: Path) -> None:
    assert prepare_launch(parse("--", "./run"), 0, 2, 4, tmp_path, None).command == [str(Path.cwd() / "run")]
    assert prepare_launch(parse("--", "run"), 0, 2, 4, tmp_path, None).command == ["run"]


def test_per_car_option_with_too_few_values_is_refused() -> None:
    with pytest.raises(BadCommand, match="--per-car role needs 3 values"):
        parse("--cars", "3", "--per-car", "role=Master,Backup", "--", "run")
