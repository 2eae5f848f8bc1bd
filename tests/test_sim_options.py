"""What `elevator sim` is told, by arguments and by the well-known simulator's file."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevator.sim.options import Keys, keys_of, options

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


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "simulator.con"


def test_the_file_is_read_and_arguments_come_before_it(file: Path) -> None:
    file.write_text(FILE)
    told = options(["--PORT", "15001", "--cars=3"])
    assert (told.port, told.cars, told.numfloors) == (15001, 3, 6)
    assert (told.travel_ms, told.passing_ms, told.press_ms) == (1500, 300, 250)
    assert (told.light_off, told.light_on, told.stop_on_disconnect) == (".", "#", False)
    assert keys_of(told) == Keys(up="12345", stop="?")


def test_without_a_file_there_are_the_well_known_defaults(file: Path) -> None:
    told = options([])
    assert (told.port, told.cars, told.numfloors, told.headless, told.web) == (15657, 1, 4, False, None)
    assert (told.travel_ms, told.passing_ms, told.press_ms, told.stop_on_disconnect) == (2000, 500, 200, True)
    assert (told.light_off, told.light_on, keys_of(told)) == ("-", "*", Keys())


@pytest.mark.parametrize(
    ("web", "place"),
    [
        (["--web"], ("127.0.0.1", 15780)),
        (["--web", "80"], ("127.0.0.1", 80)),
        (["--web", "0.0.0.0:8080"], ("0.0.0.0", 8080)),  # noqa: S104  # what it is told
    ],
)
def test_where_the_page_is(file: Path, web: list[str], place: tuple[str, int]) -> None:
    assert options(web).web == place


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("--port 70000", "argument --port: '70000' is not a whole number from 0 to 65535"),
        ("--colour blue", "unrecognized arguments: --colour=blue"),
        ("\n\n--port 1 2", "line 3: '--port 1 2' is not '--name value'"),
        ("--key_stopButton pp", "argument --key_stopButton: 'pp' is not 1 character, each different"),
        ("--key_ordersUp qqw", "argument --key_ordersUp: 'qqw' is not 1 to 64 characters, each different"),
        ("--stopMotorOnDisconnect maybe", "argument --stopMotorOnDisconnect: 'maybe' is neither true nor false"),
        ("x" * 100_000, "too long for what it should be"),
    ],
)
def test_a_bad_file_gets_one_line_that_names_it(
    file: Path, capsys: pytest.CaptureFixture[str], content: str, complaint: str
) -> None:
    file.write_text(content)
    with pytest.raises(SystemExit) as exit_:
        options([])
    assert exit_.value.code == 2
    assert capsys.readouterr().err == f"elevator sim: simulator.con: {complaint}\n"


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--key_stopButton", "q"], "key 'q' has two meanings"),
        (["--web", "x"], "argument --web: 'x' is not [HOST:]PORT"),
        (["--web", ":99999"], "argument --web: ':99999' is not [HOST:]PORT"),
        (["--light_on", " "], "argument --light_on: ' ' is not 1 character, each different"),
    ],
)
def test_bad_arguments(file: Path, capsys: pytest.CaptureFixture[str], argv: list[str], complaint: str) -> None:
    with pytest.raises(SystemExit) as exit_:
        options(argv)
    assert exit_.value.code == 2
    assert capsys.readouterr().err == f"elevator sim: {complaint}\n"


def test_a_file_that_may_not_be_read_is_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(b"\xff\xfe--port 1")
    assert options([]).port == 15657  # no line of it begins with "--"
    file.write_bytes(b"--port \xff")
    with pytest.raises(SystemExit):
        options([])
    assert capsys.readouterr().err.count("\n") == 1


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=5))
def test_no_arguments_break_it(argv: list[str]) -> None:
    try:
        options([each for each in argv if "h" not in each])
    except SystemExit as exit_:
        assert exit_.code in (0, 2)  # noqa: PT017  # either way is right
