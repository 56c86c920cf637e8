"""The telemetry of one process, put together from its settings: its log, what it counts, its endpoint, its traces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from prometheus_client import REGISTRY, CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.registry import Collector
from temporalio.client import Interceptor
from temporalio.runtime import Runtime

from connectors.sdk.redaction import learn
from runtime.settings import Settings
from runtime.telemetry.listener import Answers, Listener
from runtime.telemetry.logs import configure_logging
from runtime.telemetry.readiness import Check, asked
from runtime.telemetry.sdk_runtime import SdkRuntime, sdk_runtime
from runtime.telemetry.traces import tracing

disable_created_metrics()  # type: ignore[no-untyped-call]  # a line for each series, which nobody asks for


@dataclass(frozen=True)
class Telemetry:
    """What a process connects to Temporal with, and how it lets itself be watched."""

    sdk: SdkRuntime
    endpoint: tuple[str, int] | None
    interceptors: list[Interceptor] = field(default_factory=list)

    @property
    def runtime(self) -> Runtime:
        """For every Temporal client of the process."""
        return self.sdk.runtime

    @contextmanager
    def listening(self, checks: Mapping[str, Check], *more: Collector) -> Iterator[str | None]:
        """Serve metrics (of the process, the core library, and `more`) and readiness by `checks` until the end. Gives
        the address, as HOST:PORT; None where it is off. Raises NoPort."""
        if self.endpoint is None:
            yield None
            return
        own = CollectorRegistry()
        for each in more:
            own.register(each)

        def metrics() -> bytes:
            return generate_latest(REGISTRY) + generate_latest(own) + self.sdk.exposition()

        listener = Listener(*self.endpoint, Answers(metrics, lambda: asked(checks)))
        try:
            yield listener.address
        finally:
            listener.close()


@contextmanager
def running_telemetry(settings: Settings, part: str) -> Iterator[Telemetry]:
    """The telemetry of this process, `part` of the hub (worker, api). Logs are as `settings` say from now on."""
    _learn_secrets(settings)
    configure_logging(settings.log_format, settings.log_level)
    with ExitStack() as stack:
        interceptors: list[Interceptor] = []
        if settings.traces_endpoint is not None:
            interceptors = stack.enter_context(tracing(part, settings.traces_endpoint))
        sdk = sdk_runtime(metrics=settings.metrics_endpoint is not None)
        yield Telemetry(sdk, settings.metrics_endpoint, interceptors)


def _learn_secrets(settings: Settings) -> None:
    """What settings hold that may stand in no line."""
    if settings.secret_key is not None:
        learn(*(key.strip() for key in settings.secret_key.split(",")))
    if settings.database_url is not None:
        url = urlsplit(settings.database_url)
        # A password that is a name would take that name out of every line.
        if url.password is not None and url.password not in (url.username, url.path.strip("/"), "masthead"):
            learn(url.password, unquote(url.password))
