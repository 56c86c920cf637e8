"""The supervisor: starts the parts of the stack in order, brings back what dies, stops all in order."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FrameType

from runtime.process_exit import leave
from runtime.settings import Settings, SettingsError, load_settings
from runtime.stack import launch, ports, sandbox
from runtime.stack.caretaker import Caretaker
from runtime.stack.errors import StackError
from runtime.stack.home import Home
from runtime.stack.locks import FileLock, is_held
from runtime.stack.postgres import EmbeddedPostgres
from runtime.stack.process import Child, exit_words, stop_leftovers
from runtime.stack.state import Phase, ProcessRef, StackState, read_state, write_state
from runtime.stack.temporal_server import server_command, server_environment

TICK_SECONDS = 0.1
USERS_LOOK_SECONDS = 0.3
POSTGRES_LOOK_SECONDS = 1.0
POSTGRES_QUERY_SECONDS = 10.0
READY_DEADLINE_SECONDS = 90.0
DEATHS_BEFORE_READY = 3
TEMPORAL_PORT_ATTEMPTS = 3

Say = Callable[[str], None]


class AlreadyRunning(StackError):
    """Another supervisor has this home."""


class _StopRequested(Exception):
    pass


class Supervisor:
    """One life of the stack in one home. `run` returns once it was asked to stop and all has stopped."""

    def __init__(
        self,
        settings: Settings,
        *,
        on_demand: bool,
        say: Say,
        on_ready: Callable[[StackState], None] | None = None,
    ) -> None:
        self.settings = settings
        self.home = Home(settings.home)
        self._on_demand = on_demand
        self._say = say
        self._on_ready = on_ready
        self._stop_asked = threading.Event()
        self._closing = FileLock(self.home.users_lock)
        self._look_for_users_at = 0.0
        self._caretaker = Caretaker(self.home)
        self._writing = threading.Lock()
        self._postgres: EmbeddedPostgres | None = None
        self._look_at_postgres_at = 0.0
        self._query_postgres_at = 0.0
        self._temporal: Child | None = None
        self._sandbox: Child | None = None
        self._api: Child | None = None
        self._api_socket: socket.socket | None = None
        self._workers: list[Child] = []
        self._was_ready = False
        self._ready_by = 0.0
        self._deaths = 0
        self.state = StackState(
            supervisor=ProcessRef.of_this("supervisor"),
            on_demand=on_demand,
            namespace=settings.temporal_namespace,
        )

    def run(self) -> None:
        """Run until SIGINT or SIGTERM or, on demand, until nobody uses the stack.

        Raises AlreadyRunning, or StackError when a part cannot be started; by then all has been stopped.
        """
        try:
            self.home.prepare()
        except OSError as error:
            raise StackError(f"MASTHEAD_HOME {self.home.root} cannot be used: {error}") from error
        with FileLock(self.home.stack_lock) as lock:
            if not lock.try_exclusive():
                raise AlreadyRunning(f"a stack is already running in {self.home.root}")
            signals = [signal.SIGINT, signal.SIGTERM]
            if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is under nohup
                signals.append(signal.SIGHUP)
            before = {number: signal.signal(number, self._on_signal) for number in signals}
            try:
                self._supervise()
            except _StopRequested:
                self._enter(Phase.STOPPING)
            except StackError as error:
                self._event("failed", str(error).split("\n", 1)[0])
                self._enter(Phase.FAILED, str(error))
                raise
            except BaseException as error:
                self._enter(Phase.FAILED, f"{type(error).__name__}: {error}")
                raise
            finally:
                self._stop()
                for number, handler in before.items():
                    signal.signal(number, handler)
                self._closing.release()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop_asked.set()

    # --- start ---

    def _supervise(self) -> None:
        old = read_state(self.home)
        self._enter(Phase.STARTING, "starting")
        for mark in self.home.run.glob("*.ready"):
            mark.unlink(missing_ok=True)
        if old is not None:
            for ref in stop_leftovers(old.children):
                self._event(
                    "leftover stopped", f"{ref.name} (process {ref.pid}), left by a supervisor that died"
                )
        self._start_servers()
        self._enter(Phase.READY)
        while True:
            self._check_stop()
            self._start_clients_if_wanted()
            self._watch_children()
            self._caretaker.watch(self.state.children)
            self._watch_postgres()
            self._watch_readiness()
            time.sleep(TICK_SECONDS)

    def _start_servers(self) -> None:
        with ThreadPoolExecutor(3, thread_name_prefix="start") as pool:
            parts = {
                "Postgres": pool.submit(self._start_database),
                "Temporal": pool.submit(self._start_temporal),
                "the connections": pool.submit(self._start_sandbox),
            }
            missing: list[str] = []
            while any(not part.done() for part in parts.values()):
                if (now := [name for name, part in parts.items() if not part.done()]) != missing:
                    missing = now
                    self._enter(Phase.STARTING, "waiting for " + " and ".join(missing))
                self._check_stop()
                time.sleep(TICK_SECONDS / 2)
        for part in parts.values():
            part.result()

    def _start_database(self) -> None:
        if (url := self.settings.database_url) is None:
            self._postgres = EmbeddedPostgres(self.home.postgres)
            url = self._postgres.start()
        else:
            launch.check_external_database(url)
        launch.migrate(url)
        launch.ensure_bootstrap_key(url, self.home)
        self.state.database_url = url

    def _start_temporal(self) -> None:
        if (address := self.settings.temporal_address) is None:
            address = self._start_temporal_server()
        launch.prepare_temporal(
            address, self.settings.temporal_namespace, self.settings.retention_days, deadline_seconds=30
        )
        self.state.temporal_address = address

    def _start_temporal_server(self) -> str:
        """Start the server until both its ports answer (it listens on the UI's last, and dies if it cannot);
        returns its address. Between our choice of a port and the server's use of it somebody else may take it:
        then another one is chosen."""
        refused: frozenset[int] = frozenset()
        for attempt in range(1, TEMPORAL_PORT_ATTEMPTS + 1):
            port = ports.choose_port(self.settings.temporal_port, refused)
            ui_port = ports.choose_port(self.settings.temporal_ui_port, refused | {port})
            refused |= {port, ui_port}
            child = self._temporal = Child(
                self.home,
                "temporal",
                server_command(
                    self.home.temporal_file,
                    port=port,
                    ui_port=ui_port,
                    namespace=self.settings.temporal_namespace,
                ),
                server_environment(),
            )
            child.start()
            self._write()
            deadline = time.monotonic() + 30
            while child.running and time.monotonic() < deadline and not self._stop_asked.is_set():
                if ports.answers(port) and ports.answers(ui_port) and child.running:
                    self.state.temporal_ui = f"http://{ports.LOOPBACK}:{ui_port}"
                    return f"{ports.LOOPBACK}:{port}"
                time.sleep(0.05)
            if child.running or attempt == TEMPORAL_PORT_ATTEMPTS or self._stop_asked.is_set():
                break
        log = self.home.log("temporal")
        raise StackError(f"the Temporal server does not start\n{log}:\n{self.home.log_tail('temporal')}")

    def _start_sandbox(self) -> None:
        """Check the connections, and start the stand-ins that they point to."""
        self.state.sandbox_url = self.settings.sandbox_url
        if not (connectors := sandbox.stand_ins_needed(self.settings)):
            return
        port = ports.choose_port(self.settings.sandbox_port)
        command = sandbox.sandbox_command(port, connectors)
        env = launch.child_environment(self.settings, self.state)
        self._sandbox = Child(self.home, "sandbox", command, env)
        self._sandbox.start()
        self._write()
        if not sandbox.listens(self._sandbox, port, self._stop_asked):
            log = self.home.log("sandbox")
            raise StackError(f"the sandbox does not start\n{log}:\n{self.home.log_tail('sandbox')}")
        self.state.sandbox_url = sandbox.sandbox_url(port)
        sandbox.check_connections(self.settings, self.state.sandbox_url)

    def _start_clients_if_wanted(self) -> None:
        """Start workers and API; on demand only once a command says that it needs them."""
        if self._api is not None or (self._on_demand and not is_held(self.home.workers_lock)):
            return
        # The supervisor keeps the listening socket: while the API restarts, callers wait and are not refused.
        self._api_socket = ports.listener(self.settings.api_port)
        self.state.api_url = f"http://{ports.LOOPBACK}:{self._api_socket.getsockname()[1]}"
        env = launch.child_environment(self.settings, self.state)
        descriptor = self._api_socket.fileno()
        self._api = Child(
            self.home, "api", launch.api_command(descriptor), env, pass_descriptors=[descriptor]
        )
        self._workers = [
            Child(self.home, f"worker-{number}", launch.worker_command(), env)
            for number in range(1, self.settings.workers + 1)
        ]
        for child in (*self._workers, self._api):
            child.start()
        self._ready_by = time.monotonic() + READY_DEADLINE_SECONDS
        self._enter(Phase.READY, "starting workers and API" if self._workers else "starting the API")

    # --- watch ---

    def _check_stop(self) -> None:
        if self._stop_asked.is_set():
            raise _StopRequested
        if self._on_demand and time.monotonic() >= self._look_for_users_at:
            self._look_for_users_at = time.monotonic() + USERS_LOOK_SECONDS
            # Kept until all has stopped: a command that comes now waits for the end and starts its own.
            if self._closing.try_exclusive():
                self._stop_asked.set()
                raise _StopRequested

    def _watch_children(self) -> None:
        for child in self._children():
            pid = child.pid
            if (code := child.poll()) is not None:
                if pid is not None:
                    self.home.ready_mark(pid).unlink(missing_ok=True)
                self._event(
                    "died",
                    f"{child.name} ended ({exit_words(code)}); it is started again. Log: {self.home.log(child.name)}",
                    child=child.name,
                    exit=code,
                )
                self._deaths += 1
                if not self._was_ready and self._api is not None and self._deaths >= DEATHS_BEFORE_READY:
                    raise StackError(
                        f"{child.name} does not start ({exit_words(code)})\n"
                        f"{self.home.log(child.name)}:\n{self.home.log_tail(child.name)}"
                    )
            elif pid is None and child.due:
                child.start()
                self._event("started", f"{child.name} started again (process {child.pid})", child=child.name)
                self._write()

    def _watch_postgres(self) -> None:
        postgres, now = self._postgres, time.monotonic()
        if postgres is None or now < self._look_at_postgres_at:
            return
        self._look_at_postgres_at = now + POSTGRES_LOOK_SECONDS
        if not postgres.alive:
            self._event("died", f"Postgres ended; it is started again. Log: {postgres.log}", child="postgres")
            try:
                postgres.start()
            except StackError as error:
                self._event("failed", str(error), child="postgres")
                self._look_at_postgres_at = time.monotonic() + 5
                return
            self._event("started", "Postgres started again", child="postgres")
            self._write()
        elif now >= self._query_postgres_at:
            self._query_postgres_at = now + POSTGRES_QUERY_SECONDS
            if (problem := postgres.ping()) is not None:
                self._event("silent", f"Postgres does not answer: {problem}", child="postgres")

    def _watch_readiness(self) -> None:
        if self._api is None or self.state.api_url is None:
            return
        ready = self._api.running and all(
            worker.pid is not None and self.home.ready_mark(worker.pid).exists() for worker in self._workers
        )
        if ready and not self.state.workers_ready:
            ready, said = launch.api_health(self.state.api_url)
            if not ready:
                self.state.message = f"waiting for the API: {said}"
        if ready != self.state.workers_ready:
            self.state.workers_ready = ready
            self._enter(Phase.READY, "" if ready else "workers or API are coming back")
        if ready and not self._was_ready:
            self._was_ready = True
            if self._on_ready is not None:
                self._on_ready(self.state)
        if not self._was_ready and time.monotonic() > self._ready_by:
            raise StackError(
                f"workers and API were not ready within {READY_DEADLINE_SECONDS:g} s "
                f"({self.state.message}); see {self.home.logs}"
            )

    # --- stop ---

    def _stop(self) -> None:
        for group, seconds in (
            (self._api_group(), 5.0),
            (self._workers, 20.0),
            ([*self._sandbox_group(), *self._temporal_group()], 10.0),
        ):
            for child in group:
                child.ask_to_stop()
            for child in group:
                child.wait_stopped(seconds)
        if self._postgres is not None:
            self._postgres.stop()
        if self._api_socket is not None:
            self._api_socket.close()
        self._caretaker.dismiss()
        for mark in self.home.run.glob("*.ready"):
            mark.unlink(missing_ok=True)
        self.state.children = []
        if self.state.phase is not Phase.FAILED:
            self.home.state_file.unlink(missing_ok=True)

    def _api_group(self) -> list[Child]:
        return [self._api] if self._api is not None else []

    def _temporal_group(self) -> list[Child]:
        return [self._temporal] if self._temporal is not None else []

    def _sandbox_group(self) -> list[Child]:
        return [self._sandbox] if self._sandbox is not None else []

    # --- telling ---

    def _children(self) -> list[Child]:
        return [*self._temporal_group(), *self._sandbox_group(), *self._workers, *self._api_group()]

    def _enter(self, phase: Phase, message: str = "") -> None:
        self.state.phase, self.state.message = phase, message
        self._write()

    def _write(self) -> None:
        with self._writing:  # the servers are started by threads of their own
            refs = [child.ref for child in self._children()]
            if self._postgres is not None:
                refs.append(self._postgres.ref)
            self.state.children = [ref for ref in refs if ref is not None]
            self._caretaker.watch(self.state.children)
            write_state(self.home, self.state)

    def _event(self, kind: str, message: str, **more: str | int) -> None:
        with suppress(OSError):  # the terminal may have gone
            self._say(message)
        self.home.note(kind, message, **more)


def main() -> int:
    """The supervisor that a command starts for itself: it ends when no command uses the stack any more."""
    try:
        Supervisor(load_settings(), on_demand=True, say=lambda line: print(line, file=sys.stderr)).run()  # noqa: T201
    except AlreadyRunning:
        return 0
    except (StackError, SettingsError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    leave(main())
