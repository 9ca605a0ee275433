"""Records as requests: blocks that are encoded when their turn comes, while earlier ones are at the model."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from millrace_contracts.inputs import TensorMapping
from millrace_worker.errors import ModelUnsuitable, RecordInvalid
from millrace_worker.inference import codec, columns
from millrace_worker.inference.codec import Tensors
from millrace_worker.inference.model import Array, ModelSignature
from millrace_worker.input.record import Record


@dataclass(frozen=True, slots=True)
class Block:
    """Records of equal shape for one request; behaves as the sequence of their positions, which is cut in halves."""

    positions: Sequence[int]
    tensors: Tensors
    """With the batch axis, unless the model has none."""

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, part: slice) -> "Block":
        return Block(self.positions[part], {name: tensor[part] for name, tensor in self.tensors.items()})

    def __iter__(self) -> Iterator[int]:
        return iter(self.positions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How records become requests of one model."""

    signature: ModelSignature
    rows: int
    """Records of a request."""
    mapping: Sequence[TensorMapping] = ()
    """Which field is which input; a tensor that is not named takes the field of its own name."""
    takes_nonfinite: bool = False
    """The records come from where NaN and infinity are numbers like others, which JSON is not."""

    def __post_init__(self) -> None:
        known = {spec.name for spec in self.signature.inputs}
        for entry in self.mapping:
            if entry.tensor not in known:
                raise ModelUnsuitable(
                    f'input.tensorMapping names the tensor "{entry.tensor}", and model "{self.signature.name}" has '
                    f"{', '.join(sorted(known))}"
                )

    @property
    def fields(self) -> dict[str, str]:
        """The field of each tensor that is mapped."""
        return {entry.tensor: entry.field for entry in self.mapping}

    @property
    def field_names(self) -> list[str]:
        """The fields that the model reads."""
        return [self.fields.get(spec.name, spec.name) for spec in self.signature.inputs]

    @property
    def text_fields(self) -> frozenset[str]:
        """The fields that are text by what the model says of them, also where they look like a number or a list."""
        texts = [spec for spec in self.signature.inputs if spec.datatype == "BYTES" and columns.is_single(spec)]
        return frozenset(self.fields.get(spec.name, spec.name) for spec in texts)


def blocks_of(
    records: Iterable[tuple[int, Record]],
    encoding: Encoding,
    *,
    refuse: Callable[[int, str], None],
) -> Iterator[Block]:
    """Encode records, in their order where they are alike; `refuse` hears of those that do not fit, and why.

    Each position is in exactly one block or refused once.
    """
    waiting: dict[Any, list[tuple[int, Tensors]]] = {}
    rows, signature, fields = encoding.rows, encoding.signature, encoding.fields
    left = iter(records)
    while part := list(islice(left, rows)):
        tensors = None
        if signature.batches:
            values = [record.value for _, record in part]
            tensors = columns.encode_all(values, signature, fields, takes_nonfinite=encoding.takes_nonfinite)
        if tensors is not None:
            yield Block([position for position, _ in part], tensors)
            continue
        for position, record in part:
            try:
                row = codec.encode(record.value, signature, fields=fields, takes_nonfinite=encoding.takes_nonfinite)
            except RecordInvalid as error:
                refuse(position, str(error))
                continue
            alike = waiting.setdefault(codec.shape_of(row), [])
            alike.append((position, row))
            if len(alike) == rows:
                yield _joined(alike, signature)
                alike.clear()
    for alike in waiting.values():
        if alike:
            yield _joined(alike, signature)


def blocks_of_columns(given: Mapping[str, Array], encoding: Encoding, *, count: int) -> list[Block] | None:
    """Cut the columns of a file into requests; None where they do not fit, or the model takes one record a request."""
    if not encoding.signature.batches:
        return None
    tensors = columns.fit_columns(given, encoding.signature, encoding.fields)
    if tensors is None:
        return None
    whole = Block(range(count), tensors)
    return [whole[start : start + encoding.rows] for start in range(0, count, encoding.rows)]


def _joined(alike: Sequence[tuple[int, Tensors]], signature: ModelSignature) -> Block:
    return Block([position for position, _ in alike], codec.join([row for _, row in alike], signature))
