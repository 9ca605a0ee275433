"""Tokens of an OpenID Connect issuer, checked with its public keys; those are fetched anew when they change."""

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Final, Literal

import httpx
import jwt

from millrace_gateway.errors import Unauthenticated, Unavailable
from millrace_gateway.settings import OidcSettings
from millrace_worker.logs import get_logger

ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures with a key pair only: with a shared secret the public key would do to forge one."""
KEYS_LAST_SECONDS: Final = 3600.0
FETCH_AGAIN_SECONDS: Final = 10.0
"""A token with an unknown key has the keys fetched anew, at most so often."""
LEEWAY_SECONDS: Final = 30

log = get_logger(__name__)


class Tokens:
    """Checks tokens of one issuer."""

    def __init__(
        self, settings: OidcSettings, client: httpx.AsyncClient, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._fetching = asyncio.Lock()

    async def scopes(self, token: str) -> frozenset[Literal["predict", "admin"]]:
        """Answer what the bearer may do, or raise Unauthenticated."""
        try:
            key = await self._key(str(jwt.get_unverified_header(token).get("kid", "")))
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp"]},
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"the token is not good here: {error}") from error
        if is_admin(claims, self._settings.admin_claim):
            return frozenset({"predict", "admin"})
        return frozenset({"predict"})

    async def _key(self, name: str) -> jwt.PyJWK:
        age = None if self._fetched_at is None else self._clock() - self._fetched_at
        if age is None or age > KEYS_LAST_SECONDS or (name not in self._keys and age > FETCH_AGAIN_SECONDS):
            async with self._fetching:
                if self._fetched_at is None or self._clock() - self._fetched_at > FETCH_AGAIN_SECONDS:
                    await self._fetch()
        if name in self._keys:
            return self._keys[name]
        raise Unauthenticated("the token is signed with a key that its issuer does not publish")

    async def _fetch(self) -> None:
        try:
            url = self._settings.jwks_url
            if not url:
                place = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
                url = str((await self._get(place))["jwks_uri"])
            keys = jwt.PyJWKSet.from_dict(await self._get(url)).keys
        except (httpx.HTTPError, jwt.PyJWTError, ValueError, KeyError, TypeError) as error:
            log.warning("keys of the token issuer cannot be fetched", error=f"{type(error).__name__}: {error}")
            if not self._keys:
                raise Unavailable("the keys of the token issuer cannot be fetched; try again later") from error
            return
        self._keys = {str(key.key_id or ""): key for key in keys}
        self._fetched_at = self._clock()

    async def _get(self, url: str) -> dict[str, Any]:
        answer = await self._client.get(url, follow_redirects=True)
        answer.raise_for_status()
        return dict(answer.json())


def is_admin(claims: Mapping[str, Any], wanted: str) -> bool:
    """Say whether the claims hold "claim=value" (in a list, or a text of words), or "claim" that is true."""
    name, equals, value = wanted.partition("=")
    found = claims.get(name)
    if not equals:
        return found is True
    if isinstance(found, str):
        return value in found.split()
    return isinstance(found, list) and value in found
