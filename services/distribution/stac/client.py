"""What the endpoints of stac-fastapi answer with."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import attr
from fastapi import Query, Request, Response
from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticSerializationError, to_json
from stac_fastapi.extensions.filter.client import BaseFiltersClient
from stac_fastapi.types import stac
from stac_fastapi.types.core import BaseCoreClient
from stac_fastapi.types.search import APIRequest, BaseSearchPostRequest

from refsys.services.distribution.stac.collections import Collection, collection_json
from refsys.services.distribution.stac.errors import bad_request
from refsys.services.distribution.stac.fields import of_body, read
from refsys.services.distribution.stac.items import ALWAYS, SCHEME, Addresses, item_json
from refsys.services.distribution.stac.properties import queryables
from refsys.services.distribution.stac.repository import Items
from refsys.services.distribution.stac.search import Search, build, json_of

GEOJSON = "application/geo+json"
JSON = "application/json"

Json = dict[str, Any]
Link = Callable[[str], Json]


@attr.s
class CountGetRequest(APIRequest):
    """The parameter that asks for `numberMatched`."""

    count: Annotated[bool | None, Query(description="Whether to return numberMatched")] = attr.ib(default=None)


class CountPostRequest(BaseModel):
    """The member that asks for `numberMatched`."""

    count: bool | None = Field(None, description="Whether to return numberMatched")


class SearchBody(BaseSearchPostRequest):
    """The body of a search, which may be anything until it is checked."""

    @model_validator(mode="before")
    @classmethod
    def validate_spatial(cls, values: Any) -> Any:  # replaces the library's, which fails on what is no object
        """Leave the check of bbox and intersects to the search; take one collection's name for a list of it."""
        if isinstance(values, dict) and isinstance(values.get("collections"), str):
            return values | {"collections": [values["collections"]]}
        return values


@attr.s
class StacClient(BaseCoreClient):
    """The core endpoints, over the published products."""

    items: Items = attr.ib(kw_only=True)
    addresses: Addresses = attr.ib(kw_only=True)

    def landing_page(self, **kwargs: Any) -> stac.LandingPage:
        """Return the landing page, which tells how to authenticate."""
        page: Any = super().landing_page(**kwargs)
        page["stac_extensions"] = [ALWAYS[-1]]
        page["auth:schemes"] = {SCHEME: self.addresses.scheme}
        return page  # type: ignore[no-any-return]

    def all_collections(self, **_: Any) -> Any:
        """Return the collections that hold products."""
        found = [self._collection(each) for each in self.items.collections()]
        url = self.addresses.stac
        links = [_link("self", JSON, f"{url}/collections"), _link("root", JSON, f"{url}/")]
        return _answer({"collections": found, "links": links, "numberReturned": len(found)}, JSON)

    def get_collection(self, collection_id: str, **_: Any) -> Any:
        """Return one collection."""
        return _answer(self._collection(self.items.collection(collection_id)), JSON)

    def get_item(self, item_id: str, collection_id: str, **_: Any) -> Any:
        """Return one item."""
        return _answer(item_json(self.items.item(collection_id, item_id), self.addresses), GEOJSON)

    def get_search(self, **parameters: Any) -> Any:  # type: ignore[override]  # all arrive by name
        """Return a page of a search by query parameters."""
        request: Request = parameters.pop("request")
        return self._page(_read(parameters), self._get_link(request), [self._self_link(request)])

    def item_collection(self, collection_id: str, **parameters: Any) -> Any:  # type: ignore[override]
        """Return a page of the items of one collection."""
        request: Request = parameters.pop("request")
        collection = self.items.collection(collection_id)
        own = f"{self.addresses.stac}/collections/{collection.id}"
        search = _read(parameters | {"collections": [collection.id]})
        links = [self._self_link(request), _link("collection", JSON, own)]
        return self._page(search, self._get_link(request), links)

    def post_search(self, search_request: BaseSearchPostRequest, **_: Any) -> Any:
        """Return a page of a search by a JSON body."""
        body = _sent(search_request)
        address = f"{self.addresses.stac}/search"

        def following(token: str) -> Json:
            link = _link("next", GEOJSON, address)
            return link | {"method": "POST", "body": body | {"token": token}, "merge": False}

        fields = body.get("fields")
        if fields is None and "fields" in body:
            raise bad_request("fields", "is null: give include, exclude or leave it out")
        search = build(
            collections=body.get("collections"),
            ids=body.get("ids"),
            bbox=body.get("bbox"),
            intersects=body.get("intersects"),
            datetime=body.get("datetime"),
            filter_expr=body.get("filter"),
            filter_crs=body.get("filter-crs"),
            sortby=[("-" if key["direction"] == "desc" else "+") + key["field"] for key in body.get("sortby") or ()],
            fields=None if fields is None else of_body(fields),
            limit=body.get("limit"),
            token=body.get("token"),
            count=body.get("count"),
        )
        return self._page(search, following, [_link("self", GEOJSON, address)])

    def _page(self, search: Search, following: Link, links: list[Json]) -> Response:
        page = self.items.search(search)
        features = [item_json(row, self.addresses) for row in page.rows]
        if search.fields is not None:
            features = [search.fields.apply(feature) for feature in features]
        body: Json = {"type": "FeatureCollection", "features": features}
        body["links"] = [*links, _link("root", JSON, f"{self.addresses.stac}/")]
        if page.next is not None:
            body["links"].append(following(page.next))
        body["numberReturned"] = len(features)
        if page.matched is not None:
            body["numberMatched"] = page.matched
        return _answer(body, GEOJSON)

    def _self_link(self, request: Request) -> Json:
        query = f"?{urlencode(request.query_params.multi_items())}" if request.query_params else ""
        return _link("self", GEOJSON, self.addresses.stac + quote(request.url.path) + query)

    def _get_link(self, request: Request) -> Link:
        kept = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
        address = self.addresses.stac + quote(request.url.path)

        def following(token: str) -> Json:
            return _link("next", GEOJSON, f"{address}?{urlencode([*kept, ('token', token)])}") | {"method": "GET"}

        return following

    def _collection(self, collection: Collection) -> Json:
        return collection_json(collection, self.addresses.stac)


@attr.s
class QueryablesClient(BaseFiltersClient):
    """The queryables: the same for each collection."""

    items: Items = attr.ib(kw_only=True)
    addresses: Addresses = attr.ib(kw_only=True)

    def get_queryables(self, collection_id: str | None = None, **_: Any) -> Any:
        """Return the queryables of all items, or of a collection that exists."""
        path = ""
        if collection_id is not None:
            path = f"/collections/{self.items.collection(collection_id).id}"
        return _answer(queryables(f"{self.addresses.stac}{path}/queryables"), "application/schema+json")


def _read(parameters: Json) -> Search:
    """Return the search of query parameters, as stac-fastapi hands them over."""
    intersects, fields = parameters.pop("intersects", None), parameters.pop("fields", None)
    names: Sequence[str] = fields or ()
    return build(
        **parameters,
        intersects=json_of("intersects", intersects) if intersects else None,
        fields=read(names),
    )


def _sent(request: BaseSearchPostRequest) -> Json:
    """Return a body as it was sent; 400 if it cannot be given back in the link to the next page."""
    try:
        body: Json = request.model_dump(mode="json", by_alias=True, exclude_unset=True)
        to_json(body)
    except (PydanticSerializationError, RecursionError, ValueError) as error:
        raise bad_request("body", "has text that is not Unicode, or is nested too deeply") from error
    return body


def _link(rel: str, kind: str, href: str) -> Json:
    return {"rel": rel, "type": kind, "href": href}


def _answer(body: object, kind: str) -> Response:
    # Rust's serialiser: a page of a thousand items in milliseconds, past the models of the framework.
    return Response(to_json(body), media_type=kind)
