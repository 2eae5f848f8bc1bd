"""The settings of `elevator sim`: command-line arguments and the file `simulator.con`."""

import os
import socket
from argparse import Namespace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevator.building.keyboard import Keys
from elevator.cli import simulator_options as module
from elevator.cli.simulator_options import FILE_MAX, keys_of, options

FILE = """\
simulator.con

--travelTimeBetweenFloors_ms    1500
--TRAVELTIMEPASSINGFLOOR_MS     300   // a comment
--btnDepressedTime_ms           250
--numFloors             6           // Minimum: 2, maximum: 9
--port                  15000
--light_off             .
--light_on              #
--key_ordersUp          12345
--key_stopButton        ?
--key_obstruction       -
--stopMotorOnDisconnect false
"""


DEFAULTS = {"port": 15657, "cars": 1, "numfloors": 4, "travel_ms": 2000, "light_on": "*"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of simulator.con in the working directory. The file does not exist yet."""
    here, program = tmp_path / "here", tmp_path / "program"
    for folder in (here, program):
        folder.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv(module.STARTED, str(program / "elevator"))
    return here / "simulator.con"


@pytest.fixture
def program_file(file: Path) -> Path:
    """Return the path of simulator.con in the program's directory."""
    return file.parents[1] / "program" / "simulator.con"


def settings(*argv: str) -> Namespace:
    """Return the settings from *argv* and the file; fail if `options` reports a mistake in them."""
    arguments, lines = options(argv)
    assert lines == []
    return arguments


def ignored(*argv: str) -> list[str]:
    return options(argv)[1]


def test_arguments_override_the_file(file: Path) -> None:
    file.write_text(FILE)
    parsed = settings("--PORT", "15001", "--cars=3")
    assert (parsed.port, parsed.cars, parsed.numfloors) == (15001, 3, 6)
    assert (parsed.travel_ms, parsed.passing_ms, parsed.press_ms) == (1500, 300, 250)
    assert (parsed.light_off, parsed.light_on, parsed.stop_on_disconnect) == (".", "#", False)
    assert keys_of(parsed) == Keys(up="12345", stop="?")


def test_defaults_match_the_course_simulator(file: Path) -> None:
    parsed = settings()
    assert {name: getattr(parsed, name) for name in DEFAULTS} == DEFAULTS
    assert (parsed.headless, parsed.web) == (False, None)
    assert (parsed.passing_ms, parsed.press_ms, parsed.stop_on_disconnect) == (500, 200, True)
    assert (parsed.light_off, keys_of(parsed)) == ("-", Keys())


@pytest.mark.parametrize(
    ("web", "place"),
    [
        (["--web"], ("127.0.0.1", 15780)),
        (["--web", "80"], ("127.0.0.1", 80)),
        (["--web", "0.0.0.0:8080"], ("0.0.0.0", 8080)),  # noqa: S104  # only parsed
        (["--web", "--headless"], ("127.0.0.1", 15780)),
    ],
)
def test_web_option_sets_the_address_of_the_page(file: Path, web: list[str], place: tuple[str, int]) -> None:
    assert settings(*web).web == place


@pytest.mark.parametrize(
    "content",
    [
        b"--port 15000\n--numFloors 6\n--light_on -",
        b"simulator.con\r\n\r\n--port\t15000\r\n--numFloors 6 // six\r\n--light_on -\r\n",
        b"\xef\xbb\xbf--port 15000\n--numFloors=6\n--light_on=-",
        b"\n\nMy simulator\n--PORT\n\n15000 --NUMFLOORS\n// between\n6\n--LIGHT_ON\n-",
        b"--port 15000 --numFloors 6 --light_on -//",
        b"--port 1 --port=15000 --floors 6 // \xe5tte etasjer, not UTF-8\n --light_On -",
    ],
)
def test_layout_of_the_file_does_not_matter(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    parsed = settings()
    assert (parsed.port, parsed.numfloors, parsed.light_on) == (15000, 6, "-")


NOT_A_PORT = "is not a whole number from 0 to 65535"


@pytest.mark.parametrize(
    ("content", "listed"),
    [
        ("--port 70000", f"--port: '70000' {NOT_A_PORT}"),
        ("--port -1", f"--port: '-1' {NOT_A_PORT}"),
        ("--port=", f"--port: '' {NOT_A_PORT}"),
        ("--port \u0663", f"--port: '\u0663' {NOT_A_PORT}"),
        ("--light_on #\n--port", "--port: expected one argument"),
        ("--port --cars 1", "--port: expected one argument"),
        ("--colour blue --wait 3 s\n--verbose", "--colour blue; --wait 3 s; --verbose"),
        ("--port 15657 2", "2"),
        ("title\nport 15000", "port 15000"),
        ("-port 15000", "-port 15000"),
        ("--help", "--help"),
        ("-h --headless=no", "--headless: ignored explicit argument 'no'; -h"),
        ("--key_stopButton pp", "--key_stopButton: 'pp' is not 1 visible character"),
        ("--light_on \x07", "--light_on: '\\x07' is not 1 visible character"),
        ("--stopMotorOnDisconnect maybe", "--stopMotorOnDisconnect: 'maybe' is neither true nor false"),
        ("--numfloors 1", "--numfloors/--floors: '1' is not a whole number from 2 to 64"),
        ("--travelTimeBetweenFloors_ms 0", "--travelTimeBetweenFloors_ms 0"),
        ("--TRAVELtimePassingFloor_ms=000", "--travelTimePassingFloor_ms 000"),
        (
            "--travelTimeBetweenFloors_ms -5",
            "--travelTimeBetweenFloors_ms: '-5' is not a whole number from 1 to 3600000",
        ),
        (
            "--a 1 --b 2 --c 3 --d 4 --e 5 --f 6 --g 7 --h 8 --i 9 --j",
            "--a 1; --b 2; --c 3; --d 4; --e 5; --f 6; --g 7; --h 8; and 2 more",
        ),
        (
            "--a 1 --b 2 --c 3 --d 4 --e 5 --f 6 --g 7 --h 8 --light_on ab",
            "--light_on: 'ab' is not 1 visible character; --a 1; --b 2; --c 3; --d 4; --e 5; --f 6; --g 7; and 1 more",
        ),
        ("--" + "x" * 1000, "--" + "x" * 75 + "..."),
        ("--\x1b[31m", "--?[31m"),
    ],
)
def test_unknown_words_and_bad_values_in_the_file_are_listed_and_ignored(file: Path, content: str, listed: str) -> None:
    file.write_text(content)
    parsed, lines = options([])
    assert lines == [f"simulator.con: ignored {listed}"]
    assert {name: getattr(parsed, name) for name in DEFAULTS} == DEFAULTS | (
        {"light_on": "#"} if "#" in content else {}
    )


def test_bad_value_does_not_affect_the_rest_of_the_file(file: Path) -> None:
    file.write_text("--numFloors 6\n--port x\n--light_on #\n--numFloors six")
    parsed, lines = options([])
    assert (parsed.numfloors, parsed.port, parsed.light_on) == (6, 15657, "#")
    assert len(lines) == 1
    assert options(["--port", "15000"])[0].port == 15000


@pytest.mark.parametrize("byte", [b"\xe6", b"\xff"])
def test_value_that_is_not_utf_8_is_ignored(file: Path, byte: bytes) -> None:
    file.write_bytes(b"--light_on " + byte + b"\n--port 15000")
    parsed, lines = options([])
    assert (parsed.light_on, parsed.port) == ("*", 15000)
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"--port 1 " * FILE_MAX, "longer than 65536 bytes"),
        ("--port 1".encode("utf-16"), "contains null bytes; save it as UTF-8 text"),
        (b"\x7fELF\x02\x01\x01\0\0--port 1", "contains null bytes; save it as UTF-8 text"),
    ],
)
def test_binary_and_oversized_files_are_ignored_with_a_reason(file: Path, content: bytes, why: str) -> None:
    file.write_bytes(content)
    parsed, lines = options([])
    assert (parsed.port, lines) == (15657, [f"simulator.con: ignored all of it ({why})"])


@pytest.mark.parametrize("kind", ["directory", "pipe", "socket", "device"])
def test_only_a_regular_file_is_read(file: Path, kind: str) -> None:
    match kind:
        case "directory":
            file.mkdir()
        case "pipe":
            os.mkfifo(file)
        case "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(file.name)
        case _:
            file.symlink_to("/dev/zero")
    assert ignored() == ["simulator.con: ignored all of it (not a regular file)"]


def test_unreadable_file_is_ignored_with_a_reason(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("--port 1")

    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    # A file mode is not enough, because root can read any file and may run the tests.
    monkeypatch.setattr(Path, "open", refuse)
    assert ignored() == ["simulator.con: ignored all of it (Permission denied)"]


def test_missing_and_empty_files_print_nothing(file: Path) -> None:
    file.symlink_to("nowhere")
    assert ignored() == []
    file.unlink()
    file.write_text("")
    assert ignored() == []


# The place of the file


def test_file_in_the_program_directory_is_read(program_file: Path) -> None:
    program_file.write_text("--port 15000 --nix")
    parsed, lines = options([])
    assert parsed.port == 15000
    assert lines == [f"{program_file}: ignored --nix"]


def test_file_in_the_working_directory_replaces_the_one_in_the_program_directory(
    file: Path, program_file: Path
) -> None:
    file.write_text("--port 15000")
    program_file.write_text("--port 15001 --cars 2")
    parsed = settings()
    assert (parsed.port, parsed.cars) == (15000, 1)


def test_program_directory_is_found_through_a_symbolic_link(
    program_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program_file.write_text("--port 15000")
    monkeypatch.delenv(module.STARTED)
    (tmp_path / "link").symlink_to(program_file.parent / "elevator")
    monkeypatch.setattr("sys.argv", [str(tmp_path / "link")])
    assert settings().port == 15000


# Arguments


@pytest.mark.parametrize(
    ("argv", "listed"),
    [
        (["--nonsense"], "--nonsense"),
        (["3"], "3"),
        (["--colour", "blue", "3", "--randomStart=false"], "--colour blue 3; --randomStart=false"),
        (["--travelTimeBetweenFloors_ms", "0"], "--travelTimeBetweenFloors_ms 0"),
        (["--headless", "now"], "now"),
        ([""], "''"),
        (["a\nb\x1b"], "a?b?"),
        ([os.fsdecode(b"\xff")], "?"),
    ],
)
def test_ignored_arguments_are_reported(file: Path, argv: list[str], listed: str) -> None:
    parsed, lines = options([*argv, "--port", "15000"])
    assert lines == [f"ignored {listed}"]
    assert (parsed.port, parsed.travel_ms) == (15000, 2000)


def test_press_duration_0_on_the_command_line_does_not_override_the_file(file: Path) -> None:
    file.write_text("--btnDepressedTime_ms 250")
    assert options(["--btnDepressedTime_ms", "0"])[0].press_ms == 250


def test_mistakes_in_the_file_and_in_the_arguments_are_reported_on_separate_lines(file: Path) -> None:
    file.write_text("--colour blue")
    assert ignored("--colour", "red") == ["simulator.con: ignored --colour blue", "ignored --colour red"]


@pytest.mark.parametrize(
    ("argv", "keys"), [(["--key_stopButton", "q"], "q"), (["--key_ordersUp", "AAB", "--key_moveUp", "-"], "- A")]
)
def test_keys_with_several_functions_are_reported(file: Path, argv: list[str], keys: str) -> None:
    assert ignored(*argv) == [f"keys with more than one function: {keys}"]


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--port", "x"], f"argument --port: 'x' {NOT_A_PORT}"),
        (["--port"], "argument --port: expected one argument"),
        (["--web", "x"], "argument --web: 'x' is not [HOST:]PORT"),
        (["--web", ":99999"], "argument --web: ':99999' is not [HOST:]PORT"),
        (["--light_on", " "], "argument --light_on: ' ' is not 1 visible character"),
        (["--cars", "0", "--nonsense"], "argument --cars: '0' is not a whole number from 1 to 64"),
    ],
)
def test_bad_arguments_print_one_line_and_exit_with_status_2(
    file: Path, capsys: pytest.CaptureFixture[str], argv: list[str], complaint: str
) -> None:
    with pytest.raises(SystemExit) as exit_:
        options(argv)
    assert exit_.value.code == 2
    assert capsys.readouterr().err == f"elevator sim: {complaint}\n"


@pytest.mark.parametrize("name", ["-h", "--help", "--HELP"])
def test_help_lists_the_options(file: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    with pytest.raises(SystemExit) as exit_:
        options(["--nonsense", name])
    assert exit_.value.code == 0
    output = capsys.readouterr().out
    assert all(option in output for option in ("-h, --help", "--numfloors", "--web", "--key_moveInbounds"))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=5))
def test_random_arguments_are_parsed_or_rejected(argv: list[str]) -> None:
    try:
        _, lines = options([each for each in argv if "h" not in each])
        assert all(line.isprintable() for line in lines)
    except SystemExit as exit_:
        assert exit_.code in (0, 2)  # noqa: PT017  # Both outcomes are correct.
