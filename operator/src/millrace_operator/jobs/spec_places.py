"""See that a job does not read what it writes. Pure.

Results in a folder that is read are harmless until the input is read again: by the same job after its ledger was lost,
or by the next one of a schedule. Then they would be records.
"""

from pathlib import PurePosixPath

from millrace_contracts.inputs import ClaimInput, Input, ObjectStoreInput
from millrace_contracts.outputs import ClaimOutput, ObjectStoreOutput, Output
from millrace_operator.jobs.refusal import SpecRefused


def refuse_output_inside_input(source: Input, destination: Output) -> None:
    """Refuse an output that lies in the folder or under the prefix of the input."""
    read, written = _read_from(source), _written_to(destination)
    if read and written and written.is_relative_to(read):
        raise SpecRefused(
            f'the output "{_shown(written)}" lies in the input "{_shown(read)}", so that results would be read as '
            "records when the input is read again; choose an output beside it, or a deeper input"
        )


def _read_from(source: Input) -> PurePosixPath | None:
    if isinstance(source, ClaimInput):
        return PurePosixPath("claim:", source.claim_name, source.path)
    return _of_object(source.uri) if isinstance(source, ObjectStoreInput) else None


def _written_to(destination: Output) -> PurePosixPath | None:
    if isinstance(destination, ClaimOutput):
        return PurePosixPath("claim:", destination.claim_name, destination.path)
    return _of_object(destination.uri) if isinstance(destination, ObjectStoreOutput) else None


def _of_object(uri: str) -> PurePosixPath:
    return PurePosixPath("s3:", uri.removeprefix("s3://"))


def _shown(place: PurePosixPath) -> str:
    kind, *rest = place.parts
    path = "/".join(rest)
    return f"s3://{path}" if kind == "s3:" else f"{kind}{path}"
