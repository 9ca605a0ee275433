"""Run the gateway: `millrace-gateway`."""

import sys
from types import FrameType
from typing import Final

import uvicorn

from millrace_gateway.app import Gateway, create_app
from millrace_gateway.errors import SettingsInvalid
from millrace_gateway.settings import Settings, read_settings
from millrace_worker.logs import configure_logging, get_logger

KEEP_ALIVE_SECONDS: Final = 75

log = get_logger(__name__)


class Server(uvicorn.Server):
    """Uvicorn that tells the gateway when it is to end, before it waits for what is in flight."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end."""
        self._gateway.drain_soon()
        super().handle_exit(sig, frame)


def main() -> None:
    """Read the settings and serve until told to stop."""
    try:
        settings = read_settings()
        configure_logging(level=settings.log_level, log_format=settings.log_format)
        gateway = Gateway(settings)
    except SettingsInvalid as error:
        sys.exit(f"millrace-gateway: {error}")
    _serve(settings, gateway)


def _serve(settings: Settings, gateway: Gateway) -> None:
    config = uvicorn.Config(
        create_app(gateway),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        # Addresses of callers are not looked at.
        proxy_headers=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        # Longer than clients and load balancers keep an idle connection: they end it, so no request meets its end.
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    log.info("the gateway begins", port=settings.port, models=sorted(settings.config.by_name))
    Server(config, gateway).run()


if __name__ == "__main__":
    main()
