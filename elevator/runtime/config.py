"""The settings of a node. Command-line options override the configuration file, which overrides the defaults."""

import ipaddress
import os
import stat
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cattrs
from attrs import Attribute, field, fields, frozen
from attrs.validators import optional

from elevator.core.model import MAX_CARS, MAX_FLOORS, Assigner, Park
from elevator.hardware.io_card import FLOORS, SPEED
from elevator.net.broadcast import BROADCAST
from elevator.net.seal import KEY_BYTES, KEYS_MAX, NO_KEY
from elevator.net.wire import GROUP_LENGTH_MAX
from elevator.storage.strict import strict_converter

KEY_FILE_BYTES_MAX = 4096
CREDENTIAL = "elevator.key"
"""Name of the systemd credential (systemd.exec(5)) that holds the key; see build/elevator.service."""
LOG_LEVELS = ("debug", "info", "warning", "error")


class ConfigError(Exception):
    """A setting is missing, invalid or cannot be used. The message is for the user."""


def option(setting: str) -> str:
    """Return the name of the command-line option for *setting*, without the leading dashes."""
    return setting.replace("_", "-")


def between(low: int, high: int) -> Any:
    """Return a validator for integers from *low* to *high*."""

    def check(_: object, attribute: "Attribute[int]", value: int) -> None:
        if not low <= value <= high:
            raise ValueError(f"{option(attribute.name)} must be {low}..{high}, not {value}")

    return check


def name(_: object, attribute: "Attribute[str]", value: str) -> None:
    if (
        not 0 < len(value.encode()) <= GROUP_LENGTH_MAX
        or not all(c.isalnum() or c in "-_." for c in value)
        or value[0] == "."
    ):
        allowed = f"1..{GROUP_LENGTH_MAX} bytes of letters, digits, '-', '_' and '.', without '.' at the start"
        raise ValueError(f"{option(attribute.name)} must be {allowed}, not {value!r}")


def destination(_: object, attribute: "Attribute[str]", value: str) -> None:
    """Check that *value* is an IPv4 address to which datagrams can be sent."""
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        raise ValueError(f"{option(attribute.name)} must be an IPv4 address, not {value!r}") from None
    if address.is_unspecified or (address.is_reserved and value != BROADCAST):
        raise ValueError(f"{option(attribute.name)} must be a broadcast or multicast address, not {value!r}")


def host_name(_: object, attribute: "Attribute[str]", value: str) -> None:
    if not value.isprintable() or not value:
        raise ValueError(f"{option(attribute.name)} must be a name or an address, not {value!r}")


def path(_: object, attribute: "Attribute[Path]", value: Path) -> None:
    if "\0" in str(value):
        raise ValueError(f"{option(attribute.name)} must be a path without null bytes, not {str(value)!r}")


def one_of(values: Iterable[str]) -> Any:
    """Return a validator for strings in *values*."""
    allowed = list(values)

    def check(_: object, attribute: "Attribute[str]", value: str) -> None:
        if value not in allowed:
            raise ValueError(f"{option(attribute.name)} must be one of {', '.join(allowed)}, not {value!r}")

    return check


@frozen
class Config:
    """The settings of one node. Each is also a command-line option and a key of the configuration file."""

    id: int = field(validator=between(0, MAX_CARS - 1))
    host: str = field(default="127.0.0.1", validator=host_name)
    port: int = field(default=15657, validator=between(1, 65535))
    serial: Path | None = field(default=None, validator=optional(path))
    """Serial port of the I/O card; "auto": find the only card. None: use an elevator server."""
    speed: int = field(default=SPEED, validator=between(1, 255))
    """Motor speed to set on an I/O card, 1..255 without a unit."""
    floors: int = field(default=4, validator=between(2, MAX_FLOORS))
    group: str = field(default="lab", validator=name)
    net_port: int = field(default=20145, validator=between(1, 65535))
    broadcast: str | None = field(default=None, validator=optional(destination))
    """IPv4 address to broadcast to, or a multicast group. None: broadcast on every network interface."""
    key_file: Path | None = field(default=None, validator=optional(path))
    """File with the group's key, and a second key while the group changes keys. None: use the systemd credential
    CREDENTIAL, or no key if there is none."""
    state_dir: Path | None = field(default=None, validator=optional(path))
    """Directory of the record. None: elevator/<group>-<id> in $XDG_STATE_HOME, or else in ~/.local/state."""
    no_record: bool = False
    no_pair: bool = False
    assigner: str = field(default=Assigner.PLAN.value, validator=one_of(Assigner))
    park: str = field(default=Park.SPREAD.value, validator=one_of(Park))
    log_level: str = field(default="info", validator=one_of(LOG_LEVELS))


converter = strict_converter(int, str, bool, detailed=True)
converter.register_structure_hook(Path, lambda value, _: Path(converter.structure(value, str)))


def load(options: Mapping[str, object], file: Path | None) -> Config:
    """Return the settings from the TOML *file*, if any, overridden by the command-line *options*.

    Raise ConfigError if the file cannot be read, or if a setting is missing, unknown or invalid.
    """
    settings = {**(read(file) if file else {}), **options}
    if "id" not in settings:
        raise ConfigError("no node id: give this node a number of its own, 0..63, with --id")
    try:
        config = converter.structure(settings, Config)
    except cattrs.BaseValidationError as error:
        messages = cattrs.transform_error(error, format_exception=lambda exc, _: describe(exc))
        raise ConfigError("; ".join(map(rearrange, messages))) from None
    if config.serial is not None and config.floors != FLOORS:
        raise ConfigError(f"floors must be {FLOORS} with an I/O card, not {config.floors}")
    return config


def read(file: Path) -> dict[str, object]:
    try:
        return {key.replace("-", "_"): value for key, value in tomllib.loads(file.read_text("utf-8")).items()}
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}".replace("\n", " ")) from None


def key_file(settings: Config) -> Path | None:
    """Return the configured key file, else the systemd credential, else None."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if settings.key_file is None and credentials and (file := Path(credentials) / CREDENTIAL).exists():
        return file
    return settings.key_file


def read_keys(file: Path | None) -> tuple[bytes, ...]:
    """Return the keys in *file*, or only NO_KEY if it is None. The node seals with the first key.

    Each line is a key of KEY_BYTES bytes in hexadecimal. Raise ConfigError for any other file, and for a file that
    other users can access, because they may know its keys. The mode of a systemd credential is not checked: its
    directory is private, but its access control list makes the mode look as if the group had access.
    """
    if file is None:
        return (NO_KEY,)
    is_credential = os.environ.get("CREDENTIALS_DIRECTORY") == str(file.parent)
    try:
        # O_NONBLOCK: opening a pipe must not wait for a writer.
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:  # noqa: PTH123  a descriptor
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError(f"key file {file} is not a regular file")
            if status.st_mode & 0o077 and not is_credential:
                mode = stat.S_IMODE(status.st_mode)
                raise ConfigError(f"other users can access key file {file} (mode {mode:04o}): run chmod 600 on it")
            text = opened.read(KEY_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"cannot read key file {file}: {error.strerror}") from None
    lines = text.split()
    advice = "create a new file with elevator keygen"
    if len(text) > KEY_FILE_BYTES_MAX or not 0 < len(lines) <= KEYS_MAX:
        raise ConfigError(f"key file {file} must contain one or two keys, one per line: {advice}")
    try:
        keys = tuple(bytes.fromhex(line.decode("ascii")) for line in lines)
    except ValueError:
        keys = ()
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise ConfigError(f"each key in {file} must be {2 * KEY_BYTES} hexadecimal digits: {advice}")
    return keys


def describe(error: BaseException) -> str:
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        known = ", ".join(attribute.name for attribute in fields(Config))
        return f"unknown setting {', '.join(sorted(error.extra_fields))}: use one of {known}"
    return str(error)


def rearrange(message: str) -> str:
    """Turn a message of cattrs, "problem @ $.setting" or "problem @ $", into "setting: problem" or "problem"."""
    problem, _, setting = message.partition(" @ $")
    return f"{setting.lstrip('.')}: {problem}" if setting else problem
