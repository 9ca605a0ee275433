"""Read pages of servers that users name: whatever they answer, it is bounded and its failure is a sentence."""

from typing import Any, Final

import httpx

from millrace_operator.errors import ObservationError

MOST_BYTES: Final = 4 * 1024 * 1024


async def read_page(client: httpx.AsyncClient, method: str, url: str, **request: Any) -> tuple[int, bytes]:
    """Answer status and body; raise ObservationError without an answer or if it is too long."""
    try:
        async with client.stream(method, url, **request) as response:
            body = b""
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    raise ObservationError(f"its answer is longer than {MOST_BYTES:,} bytes")
            return response.status_code, body
    except httpx.TimeoutException as error:
        raise ObservationError("no answer in time") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ObservationError(str(error) or type(error).__name__) from error
