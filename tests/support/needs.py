"""What a test needs beside Python: by hand it may be missing, in CI it may not."""

import os
from typing import NoReturn

import pytest


def is_missing(message: str) -> NoReturn:
    """Skip the test with the reason, or fail it in CI, where nothing may go untested in silence."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
