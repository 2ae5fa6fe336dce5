"""The STAC API as an ASGI application, built with stac-fastapi; every address but its description needs a token."""

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import Histogram
from stac_fastapi.api.app import StacApi
from stac_fastapi.api.models import ItemCollectionUri, create_get_request_model, create_post_request_model
from stac_fastapi.extensions.fields import FieldsConformanceClasses, FieldsExtension
from stac_fastapi.extensions.filter import FilterConformanceClasses, FilterExtension
from stac_fastapi.extensions.pagination import TokenPaginationExtension
from stac_fastapi.extensions.sort import SortConformanceClasses, SortExtension
from stac_fastapi.types.config import ApiSettings
from stac_fastapi.types.extension import ApiExtension
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from refsys.services.common.operations import Health
from refsys.services.distribution.app import AccessLog, watch
from refsys.services.distribution.auth import USER, Authenticator, require
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.stac import errors
from refsys.services.distribution.stac.client import (
    CountGetRequest,
    CountPostRequest,
    QueryablesClient,
    SearchBody,
    StacClient,
)
from refsys.services.distribution.stac.collections import STAC_VERSION
from refsys.services.distribution.stac.items import Addresses
from refsys.services.distribution.stac.middleware import BodyLimit, PublicAddress
from refsys.services.distribution.stac.repository import Items

TITLE = "Copernicus Reference System STAC API"
DESCRIPTION = "The published products of the Copernicus Reference System; read only."
VERSION = "1.0.0"
REQUESTS = Histogram(
    "refsys_stac_request_seconds",
    "Seconds until the answer is sent, by route and status",
    ["route", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_CQL2 = FilterConformanceClasses
FILTERS: list[str] = [
    _CQL2.FILTER,
    _CQL2.SEARCH,
    _CQL2.ITEMS,
    _CQL2.CQL2_TEXT,
    _CQL2.CQL2_JSON,
    _CQL2.BASIC_CQL2,
    _CQL2.ADVANCED_COMPARISON_OPERATORS,
    _CQL2.CASE_INSENSITIVE_COMPARISON,
    _CQL2.BASIC_SPATIAL_FUNCTIONS,
    _CQL2.BASIC_SPATIAL_FUNCTIONS_PLUS,
    _CQL2.SPATIAL_FUNCTIONS,
    _CQL2.TEMPORAL_FUNCTIONS,
    _CQL2.PROPERTY_PROPERTY,
]


class _Count(ApiExtension):
    """The request to count all matches."""

    GET = CountGetRequest
    POST = CountPostRequest

    def register(self, app: FastAPI) -> None:
        """Nothing: it only adds a parameter."""


def create_app(items: Items, authenticator: Authenticator, addresses: Addresses, health: Health) -> FastAPI:
    """Return the application over its parts."""
    extensions = _extensions(items, addresses)
    settings = ApiSettings(
        stac_fastapi_title=TITLE,
        stac_fastapi_description=DESCRIPTION,
        stac_fastapi_version=VERSION,
        stac_fastapi_landing_id="refsys",
        enable_response_models=False,
    )
    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=VERSION,
        openapi_url=settings.openapi_url,
        docs_url=settings.docs_url,
        redoc_url=None,
        dependencies=[Depends(require(USER))],
        lifespan=watch(items, health),
    )
    app.state.authenticator = authenticator
    StacApi(
        settings=settings,
        app=app,
        client=StacClient(items=items, addresses=addresses, landing_page_id="refsys"),
        extensions=extensions,
        stac_version=STAC_VERSION,
        search_get_request_model=create_get_request_model(extensions),
        search_post_request_model=create_post_request_model(extensions, base_model=SearchBody),
        items_get_request_model=create_get_request_model(extensions, base_model=ItemCollectionUri),
        middlewares=_middlewares(addresses),
    )
    for error, handler in (
        (ODataError, errors.known_error),
        (HTTPException, errors.http_error),
        (RequestValidationError, errors.invalid_request),
        (Exception, errors.unexpected),
    ):
        app.add_exception_handler(error, handler)
    return app


def _extensions(items: Items, addresses: Addresses) -> list[ApiExtension]:
    return [
        FilterExtension(client=QueryablesClient(items=items, addresses=addresses), conformance_classes=FILTERS),
        SortExtension(
            conformance_classes=[SortConformanceClasses.ITEM_SEARCH_SORT, SortConformanceClasses.FEATURES_SORT]
        ),
        FieldsExtension(conformance_classes=[FieldsConformanceClasses.SEARCH, FieldsConformanceClasses.ITEMS]),
        TokenPaginationExtension(),
        _Count(),
    ]


def _middlewares(addresses: Addresses) -> list[Middleware]:
    """Return the middlewares, innermost first."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["GET", "POST", "OPTIONS"],
        allow_headers=["Content-Type", "Authorization"],
        max_age=600,
    )
    return [Middleware(BodyLimit), cors, Middleware(PublicAddress, addresses.stac), Middleware(AccessLog, REQUESTS)]
