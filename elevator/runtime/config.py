"""Every setting of a node, one frozen value: flags come before the configuration file, the file before the defaults."""

import ipaddress
import os
import stat
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import cattrs
from attrs import Attribute, field, fields, frozen
from attrs.validators import optional

from elevator.core.model import MAX_CARS, MAX_FLOORS, Assigner, Park
from elevator.hardware.io_card import FLOORS, SPEED
from elevator.net.seal import KEY_BYTES, KEYS_MAX, NO_KEY
from elevator.net.wire import GROUP_LENGTH_MAX, strict

KEY_FILE_MAX = 4096
"""Longest key file that is read, in bytes."""
CREDENTIAL = "elevator.key"
"""Name of the key file as a credential of systemd (systemd.exec(5)); build/elevator.service asks for it."""
LOG_LEVELS = ("debug", "info", "warning", "error")


class ConfigError(Exception):
    """A setting cannot be used; the message is one line for the user."""


def flag(setting: str) -> str:
    """Name a *setting* as its flag does."""
    return setting.replace("_", "-")


def between(low: int, high: int) -> Any:
    """Make a validator for *low* .. *high*, both included."""

    def check(_: object, attribute: "Attribute[int]", value: int) -> None:
        if not low <= value <= high:
            raise ValueError(f"{flag(attribute.name)} must be {low}..{high}, not {value}")

    return check


def name(_: object, attribute: "Attribute[str]", value: str) -> None:
    if not 0 < len(value) <= GROUP_LENGTH_MAX or not all(c.isalnum() or c in "-_." for c in value) or value[0] == ".":
        allowed = f"1..{GROUP_LENGTH_MAX} letters, digits, '-', '_' or '.'"
        raise ValueError(f"{flag(attribute.name)} must be {allowed}, not {value!r}")


def ipv4(_: object, attribute: "Attribute[str]", value: str) -> None:
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        raise ValueError(f"{flag(attribute.name)} must be an IPv4 address, not {value!r}") from None


def host_name(_: object, attribute: "Attribute[str]", value: str) -> None:
    if not value.isprintable() or not value:
        raise ValueError(f"{flag(attribute.name)} must be a name or an address, not {value!r}")


def path(_: object, attribute: "Attribute[Path]", value: Path) -> None:
    if "\0" in str(value):
        raise ValueError(f"{flag(attribute.name)} must be a path, not {str(value)!r}")


def level(_: object, attribute: "Attribute[str]", value: str) -> None:
    if value not in LOG_LEVELS:
        raise ValueError(f"{flag(attribute.name)} must be one of {', '.join(LOG_LEVELS)}, not {value!r}")


def one_of(names: type[StrEnum]) -> Any:
    """Make a validator for the values of an enumeration."""

    def check(_: object, attribute: "Attribute[str]", value: str) -> None:
        if value not in list(names):
            raise ValueError(f"{flag(attribute.name)} must be one of {', '.join(names)}, not {value!r}")

    return check


@frozen
class Config:
    """The settings of one node. Their names are those of the flags and of the keys in the configuration file."""

    id: int = field(validator=between(0, MAX_CARS - 1))
    host: str = field(default="127.0.0.1", validator=host_name)
    port: int = field(default=15657, validator=between(1, 65535))
    serial: Path | None = field(default=None, validator=optional(path))
    """The port of an I/O card, which then takes the place of the elevator server; "auto": the only one there is."""
    speed: int = field(default=SPEED, validator=between(1, 255))
    """Of an I/O card's motor."""
    floors: int = field(default=4, validator=between(2, MAX_FLOORS))
    group: str = field(default="lab", validator=name)
    net_port: int = field(default=20145, validator=between(1, 65535))
    broadcast: str | None = field(default=None, validator=optional(ipv4))
    """Where to broadcast; None: by every interface."""
    key_file: Path | None = field(default=None, validator=optional(path))
    """The group's key, and perhaps the one that it had or will have; None: it has none."""
    state_dir: Path | None = field(default=None, validator=optional(path))
    """Where the record is kept; None: $XDG_STATE_HOME/elevator/<group>-<id>."""
    no_record: bool = False
    no_pair: bool = False
    assigner: str = field(default=Assigner.PLAN.value, validator=one_of(Assigner))
    park: str = field(default=Park.SPREAD.value, validator=one_of(Park))
    log_level: str = field(default="info", validator=level)


converter = strict(int, str, bool, detailed=True)
converter.register_structure_hook(Path, lambda value, _: Path(converter.structure(value, str)))


def load(flags: Mapping[str, object], file: Path | None) -> Config:
    """Join *flags* (only those that were given) with the TOML *file*; raise ConfigError."""
    settings = {**(read(file) if file else {}), **flags}
    if "id" not in settings:
        raise ConfigError("which node is this? Give it a number of its own, 0..63, with --id")
    try:
        config = converter.structure(settings, Config)
    except cattrs.BaseValidationError as error:
        problems = cattrs.transform_error(error, format_exception=lambda exc, _: problem(exc))
        raise ConfigError("; ".join(map(plain, problems))) from None
    if config.serial is not None and config.floors != FLOORS:
        raise ConfigError(f"an I/O card has {FLOORS} floors: floors must be {FLOORS} with serial, not {config.floors}")
    return config


def read(file: Path) -> dict[str, object]:
    try:
        return {key.replace("-", "_"): value for key, value in tomllib.loads(file.read_text("utf-8")).items()}
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}".replace("\n", " ")) from None


def key_file(settings: Config) -> Path | None:
    """Return where the group's keys are: what *settings* say or, without, a credential that systemd hands over."""
    passed_on = os.environ.get("CREDENTIALS_DIRECTORY")
    if settings.key_file is None and passed_on and (file := Path(passed_on) / CREDENTIAL).exists():
        return file
    return settings.key_file


def read_keys(file: Path | None) -> tuple[bytes, ...]:
    """Return the keys in *file*, the one to seal with first; NO_KEY without a file. Raise ConfigError.

    A key is a line of KEY_BYTES bytes in hexadecimal. A file that others may read is refused: its key is not a secret.
    Of a credential the mode does not tell: where systemd lets the service's user read it by an access control list,
    that looks like a group that may. It is in a directory for that user alone.
    """
    if file is None:
        return (NO_KEY,)
    is_credential = os.environ.get("CREDENTIALS_DIRECTORY") == str(file.parent)
    try:
        # Not waiting: it might be a pipe that nobody writes to.
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:  # noqa: PTH123  by number
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError(f"key file {file} is not a file")
            if status.st_mode & 0o077 and not is_credential:
                mode = stat.S_IMODE(status.st_mode)
                raise ConfigError(f"key file {file} is open to others (mode {mode:04o}): chmod 600 it")
            text = opened.read(KEY_FILE_MAX + 1)
    except OSError as error:
        raise ConfigError(f"cannot read key file {file}: {error.strerror}") from None
    lines = text.split()
    if len(text) > KEY_FILE_MAX or not 0 < len(lines) <= KEYS_MAX:
        raise ConfigError(f"key file {file} must have one key, or two, each in a line: make one with elevator keygen")
    try:
        keys = tuple(bytes.fromhex(line.decode("ascii")) for line in lines)
    except ValueError:
        keys = ()
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise ConfigError(f"a key in {file} is not {2 * KEY_BYTES} hexadecimal digits: make one with elevator keygen")
    return keys


def problem(error: BaseException) -> str:
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        known = ", ".join(attribute.name for attribute in fields(Config))
        return f"unknown setting {', '.join(sorted(error.extra_fields))} (known are {known})"
    return str(error)


def plain(text: str) -> str:
    """Turn cattrs' "what @ $.where" into "where: what"."""
    what, _, where = text.partition(" @ $")
    return f"{where.lstrip('.')}: {what}" if where else what
