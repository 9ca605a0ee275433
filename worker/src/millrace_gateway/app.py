"""The process: what it is made of, how it begins and ends, and the FastAPI app around it."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Any, Final

import httpx
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from millrace_gateway import admin
from millrace_gateway.admission import Admission
from millrace_gateway.answers import Answers
from millrace_gateway.auth import Auth, Keys
from millrace_gateway.cache import Cache
from millrace_gateway.errors import GatewayError, RequestInvalid
from millrace_gateway.measuring import Measuring
from millrace_gateway.metrics import Metrics
from millrace_gateway.oidc import Tokens
from millrace_gateway.pipelining import Pipelined
from millrace_gateway.predictor import Predictor
from millrace_gateway.protocol.signatures import Signatures
from millrace_gateway.publish import Broker
from millrace_gateway.routes import health, inference, predictions
from millrace_gateway.routes.shown import error_body, error_response, json_response
from millrace_gateway.settings import Settings
from millrace_gateway.shortcut import Shortcut
from millrace_gateway.store import Store
from millrace_worker.clock import seconds_since_epoch
from millrace_worker.logs import get_logger

STATE_TIMEOUT_SECONDS: Final = 5.0
CACHE_TIMEOUT_SECONDS: Final = 0.25
EVICTIONS_SECONDS: Final = 10.0

log = get_logger(__name__)


class Gateway:
    """Everything that requests work with."""

    def __init__(self, settings: Settings, *, now: Callable[[], float] = seconds_since_epoch) -> None:
        config = settings.config
        self.settings = settings
        self.now = now
        self.metrics = Metrics()
        self.http = httpx.AsyncClient(timeout=5.0)
        self.broker = Broker(settings.broker_url.get_secret_value())
        self.state = _redis(settings.redis_url.get_secret_value(), STATE_TIMEOUT_SECONDS)
        # Whoever listens may hear nothing for a long time.
        self._listening = _redis(settings.redis_url.get_secret_value(), None)
        self._cache = (
            _redis(settings.cache_url.get_secret_value(), CACHE_TIMEOUT_SECONDS) if settings.cache_url else None
        )
        state = Pipelined(self.state)
        channel = f"millrace:answers:{socket.gethostname()}-{secrets.token_hex(4)}"
        self.store = Store(state, ttl_seconds=config.answer_ttl_seconds)
        self.answers = Answers(self._listening, self.store, channel=channel)
        self.admission = Admission(state, config.queues, now=now)
        oidc = config.auth.oidc if config.auth.mode == "oidc" else None
        self.auth = Auth(config.auth, Keys(settings.gateway_keys_file), Tokens(oidc, self.http) if oidc else None)
        self.predictor = Predictor(
            config=config,
            store=self.store,
            cache=Cache(Pipelined(self._cache) if self._cache else None, state, self.metrics),
            answers=self.answers,
            admission=self.admission,
            broker=self.broker,
            metrics=self.metrics,
            now=now,
        )
        self.signatures = Signatures(config, state, self.predictor)
        self._loop: asyncio.AbstractEventLoop | None = None

    def drain_soon(self) -> None:
        """Begin to end; may be called by a signal handler."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.predictor.drain)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run what goes on beside requests; at the end, publish what was accepted before the connections close."""
        self._loop = asyncio.get_running_loop()
        parts: list[Callable[[], Awaitable[None]]] = [
            self.broker.run,
            self.answers.run,
            self.answers.look,
            self.admission.run,
            self._count_evictions,
        ]
        tasks = [asyncio.create_task(_for_ever(part)) for part in parts]
        try:
            yield
        finally:
            await self.predictor.gatherer.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.broker.close()
            await self.http.aclose()
            for client in (self.state, self._listening, self._cache):
                if client is not None:
                    await client.aclose()

    async def _count_evictions(self) -> None:
        while self._cache is not None:
            try:
                self.metrics.evicted(int((await self._cache.info("stats"))["evicted_keys"]))
            except (RedisError, OSError, TimeoutError) as error:
                log.debug("the cache does not say what it evicted", error=type(error).__name__)
            await asyncio.sleep(EVICTIONS_SECONDS)


def create_app(gateway: Gateway) -> FastAPI:
    """Make the app around a gateway."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with gateway.running():
            yield

    app = FastAPI(
        title="Millrace gateway",
        version=metadata.version("millrace-worker"),
        description="Predictions of single records: submitted, awaited, cached; and the Open Inference Protocol.",
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.gateway = gateway
    for router in (predictions.router, inference.router, admin.router, health.router):
        app.include_router(router)
    # The last that is added is the outermost.
    app.add_middleware(Shortcut, submit=predictions.submit, refuse=_gateway_error)
    app.add_middleware(Measuring, metrics=gateway.metrics)
    app.add_exception_handler(GatewayError, _gateway_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected_error)
    return app


async def _for_ever(part: Callable[[], Awaitable[None]]) -> None:
    """Run a part that goes on beside requests; a defect in it is logged, and it begins anew."""
    while True:
        try:
            await part()
        except Exception:
            log.exception("a part of the gateway ended unexpectedly; it begins anew", part=part.__qualname__)
            await asyncio.sleep(1.0)
        else:
            return


def _redis(url: str, timeout_seconds: float | None) -> Redis:
    return Redis.from_url(
        url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds or STATE_TIMEOUT_SECONDS,
        socket_keepalive=True,
        # Once: a connection that broke while nobody used it is made anew without an error.
        retry=Retry(NoBackoff(), 1),
    )


async def _gateway_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)  # noqa: S101 - it is registered for these
    request.app.state.gateway.metrics.refusals.labels(error.code).inc()
    return error_response(error, path=request.url.path)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for these
    problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {_plain(each['msg'])}" for each in error.errors())
    return await _gateway_error(request, RequestInvalid(problems))


def _plain(message: str) -> str:
    """Leave out pydantic's own word for a sentence of ours."""
    return message.removeprefix("Value error, ")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these
    code = {404: "NotFound", 405: "MethodNotAllowed"}.get(error.status_code, "RequestInvalid")
    body = error_body(code, f"{request.method} {request.url.path}: {error.detail}", path=request.url.path)
    return json_response(body, status=error.status_code, headers=dict(error.headers or {}))


async def _unexpected_error(request: Request, error: Exception) -> Response:
    log.error("a request ended unexpectedly", path=request.url.path, error=type(error).__name__, exc_info=error)
    body: Any = error_body("InternalError", "a defect of the gateway; its log has the details", path=request.url.path)
    return json_response(body, status=500)
