"""The process pair: a supervisor and the worker that it forked. Each notices at once when the other is gone.

1. The worker runs the node and beats over a socketpair. End of file or SILENCE_S without a beat mean a worker that is
   dead or hangs: the supervisor kills it, waits until it is gone for certain, and forks the next one, which has
   everything loaded. So there are never two copies of one node.
2. A worker that has lost its supervisor starts another, by executing the program anew: a fork would carry the sockets
   and the state of a running node. The new supervisor adopts the worker by its pidfd, which it inherits: so it replaces
   the worker also if that has gone meanwhile, and never takes another process for it.
3. A worker says when it ends on purpose, or cannot start. Anything else is a crash. Its successor starts at once; but
   when workers crash at their start one after the other, ever later, up to a second.
4. A signal to end goes to the worker, which stops its motor and takes leave of the others. One that comes while a
   process is being made waits until that can take it.
5. A worker may have its supervisor hold a copy of a descriptor, by SCM_RIGHTS, and write the worker's last words there
   when it is gone: where nobody else would notice, as on a serial line, that stops the motor.
6. Time in which the supervisor itself stood still (a suspended machine, a stopped process group) is not counted.

Not survived: both killed at the same instant, or one while the other is stopped and not yet known to be. The group
takes over then, and init starts the pair anew.
"""

import fcntl
import gc
import logging
import os
import select
import signal
import socket
import termios
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, suppress
from typing import NamedTuple, NoReturn

from elevator.core.log_damping import Condition
from elevator.processes.child import Signals, fork, rename
from elevator.processes.worker_link import BEAT, DROP, ENDS, REFUSES, Link

SILENCE_S = 0.5
END_S = 2.0
"""How long a worker may take to end when it is asked to."""
STEADY_S, SHOT_S = 0.5, 0.05
"""A worker that has lived for so long has not crashed at its start; one that was killed from outside, for so long."""
BACKOFF_S, BACKOFF_MAX_S = 0.02, 1.0

SHOT = "was ended by SIGKILL"

log = logging.getLogger("elevator")


class Worker(NamedTuple):
    """A worker as its supervisor sees it."""

    pidfd: int
    link: socket.socket


Work = Callable[[Link], int]
"""Runs the node; returns the exit status: 0 when it was told to end, else it could not start."""


def supervise(
    work: Work,
    adopted: Worker | None = None,
    inherited: Collection[int] = (),
    final_message: bytes = b"",
    extra_arguments: Sequence[str] = (),
) -> int:
    """Keep one worker running until it ends on purpose or a signal comes; return the exit status.

    *inherited* are descriptors that every worker and every supervisor holds, *extra_arguments* arguments
    that every later supervisor is given. *final_message* is written to the descriptor that a dead worker had held.
    """
    rename("elevator:pair")
    gc.freeze()  # What is loaded is there for good; workers that do not look through it share its memory.
    signals = Signals()
    crashes = 0
    loss, refusal = Condition(), Condition()
    ever_ran = adopted is not None
    while adopted or signals.received is None:
        try:
            worker = adopted or start(work, inherited, extra_arguments)
        except OSError as error:
            crashes += 1
            if refused := refusal.feed(clock_ms(), failed=True):
                log.error("cannot start a worker (%s); trying again every second%s", error.strerror, refused.note)
            select.select([signals.socket], [], [], backoff_s(crashes))
            continue
        adopted = None
        started_at = time.monotonic()
        for condition in (refusal, loss):
            condition.feed(clock_ms(), failed=False)
        word, how = watch(worker, signals, final_message)
        if word == ENDS:
            break
        if word == REFUSES and not ever_ran:
            return 2
        lived_s = time.monotonic() - started_at
        ever_ran = ever_ran or word == BEAT
        crashes = 1 if lived_s >= (SHOT_S if how == SHOT else STEADY_S) else crashes + 1
        pause_s = backoff_s(crashes)
        if lost := loss.feed(clock_ms(), failed=True):
            pause = f" in {pause_s:.2f} s" * (pause_s > 0) + lost.note
            log.error("the worker %s after %.1f s; another starts%s", how, lived_s, pause)
        select.select([signals.socket], [], [], pause_s)
    return 0


def clock_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def backoff_s(crashes: int) -> float:
    """Return how long to wait after so many *crashes* one after the other."""
    return 0.0 if crashes == 1 else min(BACKOFF_S * 2.0 ** min(crashes - 2, 30), BACKOFF_MAX_S)


def start(work: Work, inherited: Collection[int], extra_arguments: Sequence[str]) -> Worker:
    """Fork a worker; raise OSError if that cannot be."""
    with ExitStack() as opened:
        ours, theirs = map(opened.enter_context, socket.socketpair())
        itself = os.pidfd_open(os.getpid())
        opened.callback(os.close, itself)
        pid = fork("elevator:worker", {theirs.fileno(), itself, *inherited})
        if pid == 0:
            run(work, Link(theirs, itself, inherited, extra_arguments))
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:  # Then nobody could watch it.
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        return Worker(pidfd, socket.socket(fileno=ours.detach()))


def adopt(text: str) -> tuple[Worker, list[int]]:
    """Read the argument that `Link` gives to a new supervisor; raise ValueError if it did not come from there."""
    pidfd, link, *inherited = map(int, text.split(","))
    try:
        for descriptor in (pidfd, link, *inherited):
            os.set_inheritable(descriptor, False)
        with suppress(ProcessLookupError):  # It has gone meanwhile.
            signal.pidfd_send_signal(pidfd, 0)
        return Worker(pidfd, socket.socket(fileno=link)), inherited
    except (OSError, OverflowError) as error:
        raise ValueError(f"nothing to adopt: {error}") from None


def run(work: Work, link: Link) -> NoReturn:
    """Be the worker."""
    status = 1
    try:
        status = work(link)
        link.send(REFUSES if status else ENDS)
    except OSError as error:  # The machine lacks something: memory, descriptors. It may have it again.
        log.critical("cannot go on: %s", error, exc_info=log.isEnabledFor(logging.DEBUG))
    except BaseException:  # Whatever it is, the next worker goes on; this one must not return.
        log.critical("a mistake in this program:", exc_info=True)
    finally:
        os._exit(status)


def watch(worker: Worker, signals: Signals, final_message: bytes) -> tuple[bytes, str]:
    """Wait until *worker* has ended or must be; leave it dead. Return its last word and how it ended."""
    worker.link.setblocking(False)
    held: list[int] = []
    word, hung, ending = b"", False, False
    now = time.monotonic()
    deadline = now + SILENCE_S
    while not hung:
        patience_s = max(deadline - now, 0)
        watched: list[socket.socket | int] = [worker.link, worker.pidfd, signals.socket]
        readable, _, _ = select.select(watched, [], [], patience_s)
        overslept = time.monotonic() > now + patience_s + SILENCE_S / 2
        now = time.monotonic()
        if signals.received is not None and not ending:
            ending, deadline = True, now + END_S
            tell(worker, signal.SIGTERM)
        if signals.socket in readable:
            signals.drain()
        if worker.link in readable:
            said = hear(worker.link, held)
            if not said:
                break
            word = said[-1:]
            if word == ENDS and not ending:  # It was told so by somebody else.
                ending, deadline = True, now + END_S
            deadline = deadline if ending else now + SILENCE_S
        elif worker.pidfd in readable:
            break
        elif overslept:
            deadline = now + SILENCE_S
        hung = now >= deadline
    tell(worker, signal.SIGKILL)
    select.select([worker.pidfd], [], [])
    for descriptor in held:
        with suppress(OSError):  # it is gone too, or takes nothing
            os.set_blocking(descriptor, False)
            os.write(descriptor, final_message)
        with suppress(OSError):  # it is gone too
            fcntl.ioctl(descriptor, termios.TIOCNXCL)  # The next worker must be able to open it.
        os.close(descriptor)
    how = cause(worker.pidfd)
    if hung:
        how = "hung"
    os.close(worker.pidfd)
    worker.link.close()
    return ENDS if ending else word, how


def hear(link: socket.socket, held: list[int]) -> bytes:
    """Take what the worker has said, and answer; return nothing when it has hung up. *held* is what it wants held."""
    try:
        # The kernel ends a read with the byte that a descriptor came with: what is dropped in it came before.
        said, descriptors, _, _ = socket.recv_fds(link, 4096, 1)
        if DROP in said or descriptors:
            while held:
                os.close(held.pop())
            held += descriptors
    except BlockingIOError:
        return BEAT  # there was nothing after all, but it has not hung up
    except OSError:
        return b""
    with suppress(OSError):  # It does not read, or has just hung up: what it said counts.
        link.send(BEAT)
    return said


def tell(worker: Worker, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(worker.pidfd, number)


def cause(pidfd: int) -> str:
    """Say how a process that has ended did; a process that is not a child of ours has no status for us."""
    try:
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except ChildProcessError:
        return "was lost"
    assert ended is not None, "it was waited for"
    if ended.si_code == os.CLD_EXITED:
        return f"ended with status {ended.si_status}"
    return SHOT if ended.si_status == signal.SIGKILL else f"was ended by {signal.Signals(ended.si_status).name}"
