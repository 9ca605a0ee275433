"""Ask the web pages of the platform, as a browser with or without a password would."""

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Answer:
    """The status and the body of a page."""

    status: int
    body: str

    def json(self) -> Any:
        """Answer the body as JSON."""
        return json.loads(self.body)


def get(url: str, *, user: str = "", password: str = "") -> Answer:
    """Fetch a page; a refusal is an answer too."""
    request = urllib.request.Request(url)
    if user:
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return Answer(response.status, response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode())


def says_yes(address: str) -> bool:
    """Say whether a health page answers 200; a server that is not there yet does not."""
    try:
        return httpx.get(address, timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def query_prometheus(base_url: str, expression: str) -> list[dict[str, Any]]:
    """Answer the series of an instant query."""
    answer = get(f"{base_url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
    assert 200 == answer.status, answer.body
    series: list[dict[str, Any]] = answer.json()["data"]["result"]
    return series


def explain_scrapes(base_url: str) -> str:
    """Say of each target of a Prometheus how its last scrape went."""
    targets = get(f"{base_url}/api/v1/targets?state=active").json()["data"]["activeTargets"]
    return "; ".join(
        f"{each['labels']['job']} {each['scrapeUrl']} {each['health']} at {each['lastScrape'][11:19]} "
        f"in {each['lastScrapeDuration']:.2f} s {each['lastError']}"
        for each in targets
    )
