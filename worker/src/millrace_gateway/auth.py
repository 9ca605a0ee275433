"""Who asks, and what they may do: API keys by their SHA-256, tokens of an OpenID Connect issuer, or nobody at all.

A key stands in the keys file only as its hash, and is compared with each hash in the same time whether or not it fits.
The file is read again when it changes, so a key that is rotated needs no restart.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.requests import Request

from millrace_gateway.errors import Forbidden, SettingsInvalid, Unauthenticated
from millrace_gateway.oidc import Tokens
from millrace_gateway.settings import AuthSettings
from millrace_worker.logs import get_logger

LOOK_SECONDS: Final = 5.0

Scope = Literal["predict", "admin"]

log = get_logger(__name__)


class Key(BaseModel):
    """One entry of the keys file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    scopes: frozenset[Scope] = frozenset({"predict"})


_KEYS: Final = TypeAdapter(list[Key])


class Keys:
    """The keys of a file that may change."""

    def __init__(self, file: Path | None, *, clock: Callable[[], float] = monotonic) -> None:
        self._file = file
        self._clock = clock
        self._looked_at = clock()
        self._stamp = self._changed_at()
        self._keys: Sequence[Key] = self._read() if file else ()

    def find(self, presented: str) -> Key | None:
        """Answer the entry of a key, or None."""
        self._look()
        digest = hashlib.sha256(presented.encode()).hexdigest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found

    def _look(self) -> None:
        if self._file is None or self._clock() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = self._clock()
        stamp = self._changed_at()
        if stamp == self._stamp:
            return
        try:
            self._keys = self._read()
        except SettingsInvalid as error:
            log.error("the keys file cannot be read; the keys from before stay good", error=str(error))  # noqa: TRY400 - no trace needed
        else:
            self._stamp = stamp
            log.info("keys read anew", count=len(self._keys))

    def _changed_at(self) -> float | None:
        try:
            return self._file.stat().st_mtime if self._file else None
        except OSError:
            return None

    def _read(self) -> Sequence[Key]:
        assert self._file is not None  # noqa: S101 - both callers have looked
        try:
            return _KEYS.validate_json(self._file.read_bytes())
        except OSError as error:
            raise SettingsInvalid(f"MILLRACE_GATEWAY_KEYS_FILE cannot be read: {error}") from error
        except ValidationError as error:
            places = ", ".join(sorted({".".join(map(str, each["loc"])) for each in error.errors(include_input=False)}))
            # The cause would show what stands there instead of a hash, maybe a key.
            raise SettingsInvalid(
                f"{self._file} must be a JSON list of {{name, sha256, scopes}}; wrong: {places or 'the whole'}"
            ) from None


class Auth:
    """Decides for each request."""

    def __init__(self, settings: AuthSettings, keys: Keys, tokens: Tokens | None) -> None:
        self._settings = settings
        self._keys = keys
        self._tokens = tokens

    async def scopes(self, request: Request) -> frozenset[Scope]:
        """Answer what this caller may do, or raise Unauthenticated."""
        if self._settings.mode == "none":
            return frozenset({"predict", "admin"})
        presented = _presented(request)
        if not presented:
            raise Unauthenticated("send an API key as X-API-Key or as Authorization: Bearer")
        key = self._keys.find(presented)
        if key is not None:
            return key.scopes
        if self._tokens is not None and presented.count(".") == 2:  # noqa: PLR2004 - a JWT has three parts
            return await self._tokens.scopes(presented)
        raise Unauthenticated("this key is not known here")


async def authorize(request: Request, scope: Scope) -> None:
    """Raise unless this caller has the scope."""
    auth: Auth = request.app.state.gateway.auth
    if scope not in await auth.scopes(request):
        raise Forbidden(f'this key or token has not the scope "{scope}"')


async def predict_required(request: Request) -> None:
    """FastAPI dependency: the caller may predict."""
    await authorize(request, "predict")


async def admin_required(request: Request) -> None:
    """FastAPI dependency: the caller is an administrator."""
    await authorize(request, "admin")


def _presented(request: Any) -> str:
    key = request.headers.get("x-api-key", "")
    if key:
        return str(key)
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
