"""The HTTPS side of a process with an API."""

import ssl
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from refsys.services.common.logs import get_logger

CONNECTIONS = 10  # to the database, of a process with an API
REQUEST_LINE_BYTES = 128 * 1024
STOP_SECONDS = 25
LOOK_TICKS = 50  # of a tenth of a second, between two looks at the certificate

log = get_logger()


class Server(uvicorn.Server):
    """Shows a new certificate as soon as its file is replaced; connections that are open stay."""

    def __init__(self, config: uvicorn.Config, certificate: Path, key: Path) -> None:
        """The certificate is in `config` too, for the start."""
        super().__init__(config)
        self._files = certificate, key
        self._shown = certificate.stat().st_mtime_ns

    async def on_tick(self, counter: int) -> bool:
        """Look at the certificate now and then."""
        if counter % LOOK_TICKS == 0:
            self._look()
        return await super().on_tick(counter)

    def _look(self) -> None:
        certificate, key = self._files
        try:
            written = certificate.stat().st_mtime_ns
            if written != self._shown and self.config.ssl is not None:
                self.config.ssl.load_cert_chain(certificate, key)
                self._shown = written
                log.info("another certificate is shown", file=str(certificate))
        except (OSError, ssl.SSLError) as error:
            log.error("the certificate can't be read; the one before is still shown", reason=str(error))


def server(app: FastAPI, certificate: Path, key: Path, port: int) -> Server:
    """Return the HTTPS server of the application, to be run."""
    config = uvicorn.Config(
        app,
        host="0.0.0.0",  # noqa: S104 - the pod's network policies say who reaches it
        port=port,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        h11_max_incomplete_event_size=REQUEST_LINE_BYTES,
        timeout_graceful_shutdown=STOP_SECONDS,
        log_config=None,
        access_log=False,
        server_header=False,
    )
    return Server(config, certificate, key)
