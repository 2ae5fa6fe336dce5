"""What an application with an API does beside its requests, as long as it lives."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

PERIOD_SECONDS = 10.0


def repeating(act: Callable[[], None]) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Return a life span in which `act` is called again and again, in a thread; it raises nothing."""

    async def repeat() -> None:
        while True:
            await run_in_threadpool(act)
            await asyncio.sleep(PERIOD_SECONDS)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        repeated = asyncio.create_task(repeat())
        try:
            yield
        finally:
            repeated.cancel()

    return lifespan
