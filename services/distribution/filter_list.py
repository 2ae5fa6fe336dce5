"""The body of the action `Products/OData.CSC.FilterList`: `{"FilterProducts": [{"Name": "…"}]}` (PRIP ICD)."""

from typing import Annotated

from fastapi import Request
from pydantic import AfterValidator, BaseModel, Field, ValidationError

from refsys.services.distribution.odata.errors import ODataError

BODY_BYTES = 2**20
NAMES = 1000


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("NUL cannot be in a name")
    return text


class ProductName(BaseModel):
    """The name of one product."""

    name: Annotated[str, Field(alias="Name", max_length=1024), AfterValidator(_storable)]


class FilterList(BaseModel):
    """The parameter of the action."""

    products: list[ProductName] = Field(alias="FilterProducts", max_length=NAMES)


async def read_names(request: Request) -> set[str]:
    """Return the names in the body of a request.

    Raises:
        ODataError: 400 that names what is wrong with the body, 413 for more than `BODY_BYTES`.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            message = f"the body has more than {BODY_BYTES} bytes: ask for at most {NAMES} names at a time"
            raise ODataError(413, "BodyTooLarge", message, target="FilterProducts")
    try:
        return {each.name for each in FilterList.model_validate_json(bytes(body)).products}
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = "/".join(map(str, problem["loc"])) or "body"
        message = f'{where}: {problem["msg"]}; give {{"FilterProducts": [{{"Name": "…"}}]}}, at most {NAMES} names'
        raise ODataError(400, "InvalidBody", message, target="FilterProducts") from error
