"""Settings: their precedence, one-line messages for invalid ones, and the default directory of the record."""

from pathlib import Path

import pytest

from elevator.__main__ import main
from elevator.cli.run_node import state_directory
from elevator.runtime.config import Config, ConfigError, load


def test_options_override_the_file_and_the_file_overrides_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text('id = 3\nfloors = 9\nnet-port = 4000\nstate_dir = "/var/lib/x"\nno_record = true\n')
    assert load({"floors": 6}, file) == Config(
        id=3, floors=6, net_port=4000, state_dir=Path("/var/lib/x"), no_record=True, port=15657
    )


@pytest.mark.rule("S2")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--id"),
        ({"id": 64}, "id must be 0..63, not 64"),
        ({"id": 1, "port": 0}, "port must be 1..65535"),
        ({"id": 1, "floors": 1}, "floors must be 2..64"),
        ({"id": 1, "net_port": 70000}, "net-port must be"),
        ({"id": 1, "group": ""}, "group must be"),
        ({"id": 1, "group": "../x"}, "group must be"),
        ({"id": 1, "group": "a" * 33}, "group must be"),
        ({"id": 1, "broadcast": "lab.example"}, "broadcast must be an IPv4 address"),
        ({"id": 1, "broadcast": "0.0.0.0"}, "broadcast must be a broadcast or multicast address, not '0.0.0.0'"),  # noqa: S104
        ({"id": 1, "broadcast": "240.0.0.1"}, "broadcast must be a broadcast or multicast address, not '240.0.0.1'"),
        ({"id": 1, "log_level": "loud"}, "log-level must be one of"),
        ({"id": 1, "host": "a\0b"}, "host must be a name or an address"),
        ({"id": 1, "host": ""}, "host must be a name or an address"),
        ({"id": 1, "state_dir": "a\0b"}, "state-dir must be a path"),
        ({"id": 1, "floor": 4}, "unknown setting floor"),
        ({"id": "1"}, "id: '1' is not of type int"),
        ({"id": True}, "id: True is not of type int"),
        ({"id": 1, "state_dir": 3}, "state_dir: 3 is not of type str"),
    ],
)
def test_invalid_or_missing_setting_is_reported_on_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(options, None)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"id = ", b"\xff", b"= 3"])
def test_malformed_toml_file_is_reported_on_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "node.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="is not TOML") as error:
        load({}, file)
    assert "\n" not in str(error.value)


@pytest.mark.rule("S2")
@pytest.mark.parametrize(
    "arguments",
    [
        ["--id", "x"],
        ["--id", "77"],
        ["--bogus"],
        ["--id", "1", "--config", "/does/not/exist"],
        ["--id", "1", "--state-dir", "/dev/null/x"],
        ["--id", "1", "--host", "a..b", "--no-record"],
        ["--id", "1", "--host", "x" * 300, "--no-record"],
        ["demolish"],
        ["doctor", "--bogus"],
        ["doctor", "--floors", "99"],
        [],
    ],
)
def test_bad_arguments_print_one_line_and_exit_with_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = int(stop.code or 0)
    assert status == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("elevator doctor: " if arguments[:1] == ["doctor"] else "elevator: ")


def test_default_record_directory_follows_the_xdg_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert state_directory(Config(id=2)) == Path("/state/elevator/lab-2")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/someone")
    assert state_directory(Config(id=2)) == Path("/home/someone/.local/state/elevator/lab-2")


def test_missing_home_directory_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", home)
    with pytest.raises(ConfigError, match="--state-dir"):
        state_directory(Config(id=2))
