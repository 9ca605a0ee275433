"""What the tests of the charts share as fixtures; rendering itself is in tests/support/rendered_charts.py."""

import pytest
from rendered_charts import ALL_VARIANTS, Manifest


@pytest.fixture(params=ALL_VARIANTS)
def any_manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    """Return the objects of each variant in turn: what must hold always is tested with this."""
    return ALL_VARIANTS[request.param]()
