"""An object store that begins with more objects under one prefix than it lists at a time, a record in each.

Run as a program with the options of moto's server; to write them over HTTP would take most of a minute.
"""

import json
import sys
from typing import Final

BUCKET: Final = "lake"
PREFIX: Final = f"s3://{BUCKET}/many/"
OBJECTS: Final = 3001
_ACCOUNT: Final = "123456789012"
"""Of all who sign with any key."""


def name_of(number: int) -> str:
    """Name an object below the prefix."""
    return f"{number:04d}.jsonl"


def main() -> None:
    """Fill the store and serve it."""
    from moto.s3.models import s3_backends  # noqa: PLC0415 - only the server itself needs it
    from moto.server import main as serve  # noqa: PLC0415 - as above

    store = s3_backends[_ACCOUNT]["aws"]
    store.create_bucket(BUCKET, "us-east-1")
    for number in range(OBJECTS):
        record = json.dumps({"id": number, "x": [number, 0]})
        store.put_object(BUCKET, f"many/{name_of(number)}", record.encode())
    serve(sys.argv[1:])


if __name__ == "__main__":
    main()
