"""The CADIP as an ASGI application, with the errors, log lines and probes of the PRIP."""

from fastapi import FastAPI

from refsys.services.cadip.api import router
from refsys.services.common.operations import Health
from refsys.services.distribution.app import AccessLog, watch
from refsys.services.distribution.auth import Authenticator
from refsys.services.distribution.delivery.entities import Entities
from refsys.services.distribution.download import Downloads
from refsys.services.distribution.limits import Limits
from refsys.services.distribution.responses import handle_errors


def create_app(
    entities: Entities, downloads: Downloads, authenticator: Authenticator, public_url: str, health: Health
) -> FastAPI:
    """Return the application over its parts; `public_url` is the address that clients know."""
    app = FastAPI(title="CADIP", docs_url=None, redoc_url=None, openapi_url=None, lifespan=watch(entities, health))
    app.state.entities = entities
    app.state.downloads = downloads
    app.state.authenticator = authenticator
    app.state.public_url = public_url.rstrip("/")
    app.include_router(router)
    handle_errors(app)
    app.add_middleware(Limits)
    app.add_middleware(AccessLog)
    return app
