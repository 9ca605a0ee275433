"""Who asks and what they may do."""

import asyncio
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from millrace_gateway.auth import Keys
from millrace_gateway.errors import SettingsInvalid, Unauthenticated, Unavailable
from millrace_gateway.oidc import Tokens, is_admin
from millrace_gateway.settings import OidcSettings

SETTINGS = OidcSettings(issuer="https://issuer.example", audience="millrace")
PRIVATE = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


class Issuer:
    """Publishes the keys, or does not answer."""

    def __init__(self, *, is_up: bool = True) -> None:
        self.is_up = is_up
        self.fetched = 0
        public = jwt.algorithms.ECAlgorithm.to_jwk(PRIVATE.public_key(), as_dict=True)
        self._keys = {"keys": [{**public, "kid": "one", "alg": "ES256", "use": "sig"}]}

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer as an issuer does."""
        if not self.is_up:
            raise httpx.ConnectError("away")
        if request.url.path == "/.well-known/openid-configuration":
            return httpx.Response(200, json={"jwks_uri": "https://issuer.example/keys"})
        self.fetched += 1
        return httpx.Response(200, json=self._keys)


def token(*, key: Any = PRIVATE, kid: str = "one", algorithm: str = "ES256", **claims: Any) -> str:
    known = {"iss": SETTINGS.issuer, "aud": SETTINGS.audience, "exp": 4_000_000_000, **claims}
    payload = {name: value for name, value in known.items() if value is not None}
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": kid})


def scopes(*presented: str, issuer: Issuer | None = None) -> list[frozenset[str]]:
    async def ask() -> list[frozenset[str]]:
        async with httpx.AsyncClient(transport=httpx.MockTransport((issuer or Issuer()).answer)) as client:
            tokens = Tokens(SETTINGS, client)
            return [frozenset(await tokens.scopes(each)) for each in presented]

    return asyncio.run(ask())


def keys_file(folder: Path, *names: str) -> Path:
    file = folder / "keys.json"
    hashes = [{"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest()} for name in names]
    file.write_text(json.dumps(hashes))
    return file


def test_a_key_is_found_by_its_hash(tmp_path: Path) -> None:
    keys = Keys(keys_file(tmp_path, "one", "two"))
    found = keys.find("two")
    assert found is not None
    assert ("two", {"predict"}) == (found.name, found.scopes)
    assert keys.find("three") is None


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    now = [0.0]
    keys = Keys(keys_file(tmp_path, "old"), clock=lambda: now[0])
    os.utime(keys_file(tmp_path, "new"), (1, 1))
    assert keys.find("new") is None
    now[0] = 6.0
    assert keys.find("new") is not None
    assert keys.find("old") is None


def test_a_file_that_becomes_unreadable_leaves_the_keys_from_before(tmp_path: Path) -> None:
    now = [0.0]
    keys = Keys(keys_file(tmp_path, "one"), clock=lambda: now[0])
    (tmp_path / "keys.json").write_text("{")
    os.utime(tmp_path / "keys.json", (1, 1))
    now[0] = 6.0
    assert keys.find("one") is not None


def test_a_key_in_the_place_of_a_hash_is_refused_without_showing_it(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('[{"name": "a", "sha256": "a-plain-key"}]')
    with pytest.raises(SettingsInvalid) as refused:
        Keys(tmp_path / "keys.json")
    assert "0.sha256" in str(refused.value)
    assert "a-plain-key" not in str(refused.value)


def test_a_token_of_the_issuer_may_predict_and_one_of_an_administrator_everything() -> None:
    issuer = Issuer()
    assert [{"predict"}, {"predict", "admin"}] == scopes(token(), token(groups=["millrace-admins"]), issuer=issuer)
    assert 1 == issuer.fetched


@pytest.mark.parametrize(
    "presented",
    [
        token(exp=1),
        token(exp=None),
        token(aud="another"),
        token(iss="https://another.example"),
        token(key=OTHER),
        token(kid="unknown"),
        token(key="a-shared-secret-of-thirty-two-bytes", algorithm="HS256"),
        jwt.encode({"aud": "millrace"}, None, algorithm="none"),
        "a.b.c",
    ],
)
def test_any_other_token_is_refused(presented: str) -> None:
    with pytest.raises(Unauthenticated):
        scopes(presented)


def test_an_issuer_that_is_away_is_not_the_callers_fault() -> None:
    with pytest.raises(Unavailable):
        scopes(token(), issuer=Issuer(is_up=False))


@pytest.mark.parametrize(
    ("claims", "wanted", "expected"),
    [
        ({"groups": ["a", "ops"]}, "groups=ops", True),
        ({"scope": "read ops"}, "scope=ops", True),
        ({"groups": ["ops2"]}, "groups=ops", False),
        ({"scope": "ops2"}, "scope=ops", False),
        ({"admin": True}, "admin", True),
        ({"admin": "yes"}, "admin", False),
        ({}, "groups=ops", False),
    ],
)
def test_the_claim_of_an_administrator(claims: dict[str, Any], wanted: str, *, expected: bool) -> None:
    assert expected == is_admin(claims, wanted)
