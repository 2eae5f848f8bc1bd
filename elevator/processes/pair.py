"""The supervisor of a process pair. Supervisor and worker each detect at once that the other is gone.

1. The worker runs the node, or `elevator serve-card`, and sends beats over a socketpair. At end of file, or after
   WORKER_TIMEOUT_S without a beat, the supervisor kills the worker. Once the worker is dead, the supervisor forks the
   next one from its own image. So two copies of a node never run at once.
2. A worker that loses its supervisor starts another by executing the program. A fork would copy the sockets and the
   state of a running node. The new supervisor adopts the worker by an inherited pidfd. A pidfd still identifies the
   worker after its death, when its pid may already belong to another process.
3. A worker sends a message before it ends on purpose, or if it cannot start. Then the supervisor ends too. But if a
   worker has run before, a later one that cannot start counts as crashed. So does a worker that ends without a message.
   After a crash, the next worker starts at once. Repeated crashes at startup delay it, by up to a second.
4. When the supervisor receives a termination signal, it sends SIGTERM to the worker. The worker then stops its motor
   and broadcasts that its car is out of service. Signals are blocked while a process starts, so none is lost.
5. A worker may pass the supervisor a copy of a descriptor (SCM_RIGHTS). When the worker is gone, the supervisor writes
   a final message to that copy. An I/O card does not notice that the worker is gone, so this message stops the motor.
6. If the supervisor itself was stalled (a suspended machine, a stopped process group), the worker's timeout restarts.

The node is down if both processes die at the same instant, or if one dies while the other is stopped. Then the other
nodes take over its hall calls. If both are dead, systemd starts the node again if it is a service (build/).
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

WORKER_TIMEOUT_S = 0.5
ANSWER_S = 1.0
"""The minimum time between two answers to beats. The worker waits longer for an answer (SUPERVISOR_TIMEOUT_MS)."""
END_S = 2.0
"""How long a worker may take to end on request. After that, the supervisor kills it."""
STEADY_S, STEADY_KILLED_S = 0.5, 0.05
"""A worker that ran for at least STEADY_S did not crash at startup. If SIGKILL ended the worker, STEADY_KILLED_S is
enough, because the cause was probably outside the worker."""
BACKOFF_S, BACKOFF_MAX_S = 0.02, 1.0

KILLED = "was killed by SIGKILL"

log = logging.getLogger("elevator")


class Worker(NamedTuple):
    """The supervisor's handles on a worker: its pidfd, and the socket to it."""

    pidfd: int
    link: socket.socket


Work = Callable[[Link], int]
"""Runs the node, or `elevator serve-card`. Returns the exit status: 0 if it ended on request, nonzero if it could not
start."""


def supervise(
    work: Work,
    adopted: Worker | None = None,
    inherited: Collection[int] = (),
    final_message: bytes = b"",
    extra_arguments: Sequence[str] = (),
) -> int:
    """Keep a worker running until one ends on purpose or a termination signal arrives.

    Return the exit status: 0, or 2 if a worker cannot start and no earlier one has run. If *adopted* is given, it is
    the first worker. Workers and later supervisors inherit the descriptors *inherited*. Later supervisors also get
    *extra_arguments*. When a worker is gone, the supervisor writes *final_message* to the descriptor that it holds for
    this worker, if any.
    """
    rename("elevator:pair")
    gc.freeze()  # Workers share the memory of loaded objects as long as their garbage collector skips them.
    signals = Signals()
    crashes = 0
    loss, start_failure = Condition(), Condition()
    ever_ran = adopted is not None
    while adopted or signals.received is None:
        try:
            worker = adopted or start(work, inherited, extra_arguments)
        except OSError as error:
            crashes += 1
            if failure := start_failure.feed(clock_ms(), failed=True):
                log.error("cannot start a worker (%s); retrying%s", error.strerror, failure.note)
            select.select([signals.socket], [], [], backoff_s(crashes))
            continue
        was_adopted, adopted = adopted is not None, None
        started_at = time.monotonic()
        for condition in (start_failure, loss):
            condition.feed(clock_ms(), failed=False)
        last, how = watch(worker, signals, final_message)
        if last == ENDS:
            break
        if last == REFUSES and not ever_ran:
            return 2
        ran_s = time.monotonic() - started_at
        ever_ran = ever_ran or last == BEAT
        crashes = 1 if ran_s >= (STEADY_KILLED_S if how == KILLED else STEADY_S) else crashes + 1
        pause_s = backoff_s(crashes)
        if lost := loss.feed(clock_ms(), failed=True):
            ran = "" if was_adopted else f" after {ran_s:.1f} s"  # An adopted worker ran longer than that.
            pause = f" in {pause_s:.2f} s" * (pause_s > 0) + lost.note
            log.warning("the worker %s%s; starting another%s", how, ran, pause)
        select.select([signals.socket], [], [], pause_s)
    return 0


def clock_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def backoff_s(crashes: int) -> float:
    """Return the delay before the next start after *crashes* consecutive crashes or failed forks."""
    return 0.0 if crashes == 1 else min(BACKOFF_S * 2.0 ** min(crashes - 2, 30), BACKOFF_MAX_S)


def start(work: Work, inherited: Collection[int], extra_arguments: Sequence[str]) -> Worker:
    """Fork a worker; raise OSError if that fails."""
    with ExitStack() as opened:
        ours, theirs = map(opened.enter_context, socket.socketpair())
        own_pidfd = os.pidfd_open(os.getpid())
        opened.callback(os.close, own_pidfd)
        pid = fork("elevator:worker", {theirs.fileno(), own_pidfd, *inherited})
        if pid == 0:
            run_worker(work, Link(theirs, own_pidfd, inherited, extra_arguments))
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:  # Without a pidfd, the supervisor cannot watch the worker.
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        return Worker(pidfd, socket.socket(fileno=ours.detach()))


def adopt(text: str) -> tuple[Worker, list[int]]:
    """Return the worker and the inherited descriptors that *text*, the value of `--adopt`, names.

    Raise ValueError if *text* is invalid or a descriptor is not open.
    """
    pidfd, link, *inherited = map(int, text.split(","))
    try:
        for descriptor in (pidfd, link, *inherited):
            os.set_inheritable(descriptor, False)
        with suppress(ProcessLookupError):  # The worker died in the meantime. `watch` detects this.
            signal.pidfd_send_signal(pidfd, 0)
        return Worker(pidfd, socket.socket(fileno=link)), inherited
    except (OSError, OverflowError) as error:
        raise ValueError(f"no worker to adopt: {error}") from None


def run_worker(work: Work, link: Link) -> NoReturn:
    """Run *work* in the worker process, then send ENDS or REFUSES, and exit.

    If *work* raises an exception, log it and exit.
    """
    status = 1
    try:
        status = work(link)
        link.send(REFUSES if status else ENDS)
    except OSError as error:  # The machine lacks memory or descriptors; the next worker may get them.
        log.error(
            "a system call of the worker failed (%s); restarting it", error, exc_info=log.isEnabledFor(logging.DEBUG)
        )
    except BaseException:  # The worker must not return into the supervisor's code.
        log.exception("internal error")
    finally:
        os._exit(status)


def watch(worker: Worker, signals: Signals, final_message: bytes) -> tuple[bytes, str]:
    """Wait until *worker* ends or hangs; then make sure that it is dead. Return its last message and how it ended.

    While it runs, answer its beats. On a termination signal, tell it to end. The last message is empty if there was
    none. It counts as ENDS once the worker has been told to end or has sent ENDS. When the worker is dead, write
    *final_message* to the descriptor that it has passed, if any.
    """
    worker.link.setblocking(False)
    held: list[int] = []
    last, hung, is_ending = b"", False, False
    now = answer_at = time.monotonic()
    deadline = now + WORKER_TIMEOUT_S
    while not hung:
        timeout_s = max(deadline - now, 0)
        watched: list[socket.socket | int] = [worker.link, worker.pidfd, signals.socket]
        readable, _, _ = select.select(watched, [], [], timeout_s)
        has_stalled = time.monotonic() > now + timeout_s + WORKER_TIMEOUT_S / 2
        now = time.monotonic()
        if signals.received is not None and not is_ending:
            is_ending, deadline = True, now + END_S
            send_signal(worker, signal.SIGTERM)
        if signals.socket in readable:
            signals.drain()
        if worker.link in readable:
            received = receive(worker.link, held)
            if not received:
                break
            last = received[-1:]
            if last == ENDS and not is_ending:  # The worker itself received a signal.
                is_ending, deadline = True, now + END_S
            deadline = deadline if is_ending else now + WORKER_TIMEOUT_S
            if now >= answer_at:
                answer_at = now + ANSWER_S
                with suppress(OSError):  # The worker may be gone already, but its message counts.
                    worker.link.send(BEAT)
        elif worker.pidfd in readable:
            break
        elif has_stalled:
            deadline = now + WORKER_TIMEOUT_S
        hung = now >= deadline
    send_signal(worker, signal.SIGKILL)
    select.select([worker.pidfd], [], [])
    for descriptor in held:
        with suppress(OSError):  # The device is gone or does not accept the message.
            os.set_blocking(descriptor, False)
            os.write(descriptor, final_message)
        with suppress(OSError):  # The device is gone.
            fcntl.ioctl(descriptor, termios.TIOCNXCL)  # The next worker must be able to open the device.
        os.close(descriptor)
    how = how_it_ended(worker.pidfd)
    os.close(worker.pidfd)
    worker.link.close()
    return ENDS if is_ending else last, "hung" if hung else how


def receive(link: socket.socket, held: list[int]) -> bytes:
    """Receive bytes from the worker, and update *held*: the descriptor that the worker has last passed, if any.

    Return the bytes received: BEAT if there were none, empty at end of file and after an error.
    """
    try:
        # The kernel ends a read at the byte that carries a descriptor, so a DROP in the same read was sent earlier.
        received, descriptors, _, _ = socket.recv_fds(link, 4096, 1)
        if DROP in received or descriptors:
            while held:
                os.close(held.pop())
            held += descriptors
    except BlockingIOError:
        return BEAT  # A spurious wakeup; the connection is still open.
    except OSError:
        return b""
    return received


def send_signal(worker: Worker, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(worker.pidfd, number)


def how_it_ended(pidfd: int) -> str:
    """Reap a process that has ended, and describe how it ended. The kernel reports the details only for a child."""
    try:
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except ChildProcessError:
        return "ended"
    assert ended is not None, "the process has not ended yet"
    if ended.si_code == os.CLD_EXITED:
        return f"ended with status {ended.si_status}"
    return KILLED if ended.si_status == signal.SIGKILL else f"was killed by {signal.Signals(ended.si_status).name}"
