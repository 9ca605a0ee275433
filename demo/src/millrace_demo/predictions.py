"""Read the results that the job left on the claim and compare them with the true labels."""

import io
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from millrace_contracts.results import Manifest, RecordResult
from millrace_demo.errors import PredictionsError
from millrace_demo.layout import LABEL, PROBABILITIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the model says about a scan, and how sure it is, from 0 to 1."""

    key: str
    label: int
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Predictions against the true labels; a scan without a prediction counts as not right."""

    total: int
    right: int
    wrong: tuple[Prediction, ...]
    missing: tuple[str, ...]

    @property
    def accuracy(self) -> float:
        """Share of all scans that were predicted as they are labelled."""
        return self.right / self.total


def read_predictions(archive: bytes, job_uid: str) -> list[Prediction]:
    """Read a tar of the output folder, in the order of the input; refuse the results of another job."""
    content = _unpacked(archive)
    try:
        manifest = Manifest.model_validate_json(content["manifest.json"])
        parts = [content[part.name] for part in manifest.parts]
    except KeyError as error:
        raise PredictionsError(f"the output folder has no {error}; it has {sorted(content)}") from error
    except ValidationError as error:
        raise PredictionsError(f"manifest.json does not look as documented: {error}") from error
    if manifest.uid != job_uid:
        raise PredictionsError(
            f"the results are those of job {manifest.uid}, not of {job_uid}; delete the job and run it again"
        )
    return [prediction(line) for part in parts for line in part.splitlines()]


def prediction(line: bytes) -> Prediction:
    """Read one line of a part file."""
    try:
        result = RecordResult.model_validate_json(line)
        label = result.outputs[LABEL]
        return Prediction(
            key=result.key,
            # One number, or a list of one: both are how a tensor of one element may be written.
            label=int(label[0] if isinstance(label, list) else label),
            confidence=float(max(result.outputs[PROBABILITIES])),
        )
    except (ValidationError, KeyError, IndexError, TypeError, ValueError) as error:
        said = line[:200].decode(errors="replace")
        raise PredictionsError(f"a result does not look as documented ({error!r}): {said}") from error


def _unpacked(archive: bytes) -> dict[str, bytes]:
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            files = {member.name.removeprefix("./"): tar.extractfile(member) for member in tar if member.isfile()}
            return {name: file.read() for name, file in files.items() if file is not None}
    except tarfile.TarError as error:
        raise PredictionsError(f"the output folder could not be read from the claim: {error}") from error


def compare(predictions: Sequence[Prediction], labels: Mapping[str, int]) -> Comparison:
    """Count right, wrong and missing; refuse keys that nobody asked about and keys that come twice."""
    counts = Counter(prediction.key for prediction in predictions)
    twice = sorted(key for key, count in counts.items() if count > 1)
    strange = sorted(counts.keys() - labels.keys())
    if twice or strange:
        raise PredictionsError(
            f"each scan must be predicted once: {len(twice)} came more than once {twice[:3]}, "
            f"{len(strange)} are not in the input {strange[:3]}"
        )
    wrong = tuple(prediction for prediction in predictions if prediction.label != labels[prediction.key])
    return Comparison(
        total=len(labels),
        right=len(predictions) - len(wrong),
        wrong=wrong,
        missing=tuple(sorted(labels.keys() - counts.keys())),
    )
