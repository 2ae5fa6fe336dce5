"""The HTTP endpoints: tus 1.0 (creation, expiration, termination) by tuspyserver, and the fate of uploads."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import ColumnElement
from tuspyserver import create_tus_router

from refsys.services.common.logs import get_logger
from refsys.services.common.names import InvalidNameError
from refsys.services.distribution.auth import OPERATOR, Authenticator, require
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.ingestor.fate import fates
from refsys.services.ingestor.rules import InvalidChecksumError, announced_checksum, auxiliary_name
from refsys.services.ingestor.storage import Volume
from refsys.services.ingestor.tables import RECEIVING, REFUSED, Upload
from refsys.services.ingestor.uploads import EXPIRES, Uploads

USER = "ingestor-user"
PREFIX = "/ingestor/v1/uploads"

log = get_logger()
TUS = "1.0.0"
EXTENSIONS = "creation,expiration,termination"
PAGE = 100
PAGE_LIMIT = 1000

user = require(USER)


def router(uploads: Uploads, volume: Volume) -> APIRouter:
    """Return all endpoints; those that tell of the uploads come before those of tus."""
    every = APIRouter()
    every.include_router(_status(uploads))
    tus = create_tus_router(
        prefix=PREFIX,
        files_dir=str(uploads.settings.folder),
        max_size=uploads.settings.max_bytes,
        days_to_keep=EXPIRES.days,
        pre_create_dep=_creation(uploads),  # type: ignore[arg-type]  # it awaits what is awaitable
        file_dep=_place,  # type: ignore[arg-type]  # it takes an answer
        storage=volume,
    )
    # First of all dependencies: tuspyserver takes the bytes of a PATCH before it asks for its own `auth`.
    every.include_router(tus, dependencies=[Depends(_guard(uploads, volume))])
    return every


def _guard(uploads: Uploads, volume: Volume) -> Callable[[Request], Awaitable[None]]:
    """Return the dependency that lets only the uploader in, with requests that are within the offered extensions."""

    async def guard(request: Request) -> None:
        identity = await user(request)
        _offered(request)
        if "uuid" not in request.path_params:
            return
        uid = request.path_params["uuid"]
        row = await run_in_threadpool(uploads.find, uid)
        if row is None or row["user_name"] != identity.name or uid != str(row["id"]):
            raise _not_found()
        if row["state"] == REFUSED:
            raise ODataError(410, "Gone", f"the upload was refused: {row['reason']}")
        if request.method == "DELETE" and row["state"] != RECEIVING:
            raise ODataError(409, "Complete", "the upload is complete and can't be withdrawn any more")
        if request.method == "DELETE" and volume.is_writing(uid):
            raise ODataError(423, "Locked", "bytes of this upload are still coming in: end that request first")

    return guard


def _offered(request: Request) -> None:
    headers = request.headers
    if request.method != "OPTIONS" and headers.get("Tus-Resumable") != TUS:
        raise ODataError(412, "Version", f"send the header Tus-Resumable: {TUS}", {"Tus-Version": TUS})
    if "Upload-Concat" in headers or "Upload-Defer-Length" in headers:
        raise ODataError(400, "NotOffered", f"extensions of tus that are offered: {EXTENSIONS}")
    body = headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers
    if request.method == "POST" and body:
        raise ODataError(400, "NotOffered", "creation takes no body: send the bytes by PATCH")
    if request.method == "PATCH" and headers.get("Content-Type") != "application/offset+octet-stream":
        raise ODataError(415, "MediaType", "send the bytes as Content-Type: application/offset+octet-stream")


def _creation(uploads: Uploads) -> Callable[[Request], Callable[[dict[str, str], dict[str, Any]], Awaitable[None]]]:
    """Return the dependency that makes what tuspyserver calls before it creates an upload."""

    def dependency(request: Request) -> Callable[[dict[str, str], dict[str, Any]], Awaitable[None]]:
        async def create(metadata: dict[str, str], info: dict[str, Any]) -> None:
            try:
                name = auxiliary_name(metadata.get("filename", ""))
                checksum = announced_checksum(metadata.get("checksum", ""))
            except InvalidNameError as error:
                log.warning("upload refused", user=request.state.user, reason=str(error))
                raise ODataError(400, "InvalidName", str(error), target="filename") from error
            except InvalidChecksumError as error:
                raise ODataError(400, "InvalidChecksum", str(error), target="checksum") from error
            size, limit = info["size"], uploads.settings.max_bytes
            if size is None or size < 1:
                raise ODataError(400, "InvalidLength", "Upload-Length is 1 or more bytes", target="Upload-Length")
            if size > limit:
                message = f"the file has {size} bytes, {limit} are allowed"
                raise ODataError(413, "TooLarge", message, target="Upload-Length")
            made = await run_in_threadpool(uploads.create, request.state.user, name, size, checksum)
            request.state.upload = str(made)

        return create

    return dependency


def _place(request: Request) -> Callable[[dict[str, str]], dict[str, str | None]]:
    """Return what tells tuspyserver the identifier of the upload that it creates."""
    return lambda _: {"uid": getattr(request.state, "upload", None)}


def _status(uploads: Uploads) -> APIRouter:
    status = APIRouter(prefix=PREFIX)

    @status.options("")
    @status.options("/")
    def options() -> Response:
        """Return what of tus is offered."""
        limit = str(uploads.settings.max_bytes)
        headers = {"Tus-Resumable": TUS, "Tus-Version": TUS, "Tus-Extension": EXTENSIONS, "Tus-Max-Size": limit}
        return Response(status_code=204, headers=headers)

    @status.get("", dependencies=[Depends(user)])
    def mine(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT)] = PAGE,
        skip: Annotated[int, Query(ge=0, le=100_000)] = 0,
    ) -> dict[str, Any]:
        """Return the caller's uploads, the newest first."""
        return {"uploads": fates(uploads.engine, Upload.user_name == request.state.user, limit=limit, skip=skip)}

    @status.get("/{uuid}/status")
    async def fate(uuid: str, request: Request) -> dict[str, Any]:
        """Return what became of an upload, to its uploader and to operators."""
        authenticator: Authenticator = request.app.state.authenticator
        identity = await authenticator.identify(request)
        request.state.user = identity.name
        if not identity.roles & {USER, OPERATOR}:
            raise ODataError(403, "Forbidden", f"user {identity.name} lacks the role {USER}: ask the operator for it")
        row = await run_in_threadpool(uploads.find, uuid)
        if row is None or (row["user_name"] != identity.name and OPERATOR not in identity.roles):
            raise _not_found()
        condition: ColumnElement[bool] = Upload.id == row["id"]
        found = await run_in_threadpool(fates, uploads.engine, condition, limit=1)
        if not found:  # forgotten since
            raise _not_found()
        return found[0]

    return status


def _not_found() -> ODataError:
    return ODataError(404, "NotFound", "there is no such upload")
