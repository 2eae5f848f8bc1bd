"""Key files: new ones are private. A file that other users can access is refused, except a systemd credential."""

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest
from lab import PROGRAM

from elevator.cli.keygen import main
from elevator.net.seal import KEYS_MAX, NO_KEY
from elevator.runtime.config import CREDENTIAL, Config, ConfigError, key_file, read_keys

LINE = "0f" * 32 + "\n"


def written(file: Path, text: str, mode: int = 0o600) -> Path:
    file.write_text(text)
    file.chmod(mode)
    return file


def test_new_key_is_private_and_unique(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        for name in "ab":
            assert main([str(tmp_path / name)]) == 0
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    first, second = read_keys(tmp_path / "a"), read_keys(tmp_path / "b")
    assert len(first) == len(second) == 1
    assert first != second


def test_group_without_a_key_file_has_no_key() -> None:
    assert read_keys(None) == (NO_KEY,)


def test_keygen_fails_on_one_line_if_it_cannot_create_the_file_and_never_overwrites_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path / "key", LINE)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for target in (file, tmp_path / "link", tmp_path / "no" / "key", tmp_path):
        with pytest.raises(SystemExit) as exit_:
            main([str(target)])
        assert exit_.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert file.read_text() == LINE
    assert not (tmp_path / "elsewhere").exists()


def test_keygen_leaves_no_file_if_the_key_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("elevator.cli.keygen.os.fsync", full)
    with pytest.raises(SystemExit) as exit_:
        main([str(tmp_path / "key")])
    assert exit_.value.code == 2
    assert "No space left on device" in capsys.readouterr().err
    assert not (tmp_path / "key").exists()


def test_keys_are_read_in_file_order(tmp_path: Path) -> None:
    both = written(tmp_path / "both", "aa" * 32 + "\n" + LINE, 0o400)
    assert read_keys(both) == (b"\xaa" * 32, b"\x0f" * 32)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
def test_key_file_that_other_users_can_access_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match=f"other users can access .* .mode {mode:04o}.: run chmod 600"):
        read_keys(written(tmp_path / "key", LINE, mode))


@pytest.mark.parametrize(
    "text", ["", "\n", "key", LINE[:-3], LINE[:-1] + "ff", "xx" * 32, "é" * 64, LINE * 3, LINE * 99]
)
def test_malformed_key_file_is_reported_on_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="elevator keygen") as error:
        read_keys(written(tmp_path / "key", text))
    assert "\n" not in str(error.value)
    assert KEYS_MAX == 2


def test_key_file_that_is_missing_or_not_a_regular_file_is_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for file in (tmp_path / "pipe", tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigError, match="key file") as error:
            read_keys(file)
        assert "\n" not in str(error.value)


def test_systemd_credential_is_used_if_no_key_file_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unkeyed, keyed = Config(id=1), Config(id=1, key_file=tmp_path / "key")
    assert key_file(unkeyed) is None
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert key_file(unkeyed) is None, "the credentials of a service need not include a key"
    credential = written(tmp_path / CREDENTIAL, LINE, 0o440)
    assert read_keys(key_file(unkeyed)) == (b"\x0f" * 32,), "the mode of a credential is not checked"
    assert key_file(keyed) == tmp_path / "key"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(ConfigError, match="other users can access"):
        read_keys(credential)


@pytest.mark.parametrize("command", [["--id", "1", "--no-record"], ["doctor", "--no-record"], ["watch", "--json"]])
def test_node_doctor_and_watch_refuse_a_key_file_that_other_users_can_access(
    tmp_path: Path, command: list[str]
) -> None:
    file = written(tmp_path / "key", LINE, 0o644)
    done = subprocess.run(
        [*PROGRAM, *command, "--key-file", str(file)], capture_output=True, text=True, timeout=40, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
    assert f"other users can access key file {file} (mode 0644): run chmod 600 on it" in done.stderr
