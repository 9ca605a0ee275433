"""What the prediction cache knows of the records of a shard, and what the shard adds to it."""

import json
from collections.abc import Mapping
from typing import Any

from redis.exceptions import RedisError

from millrace_contracts.models import serving_key
from millrace_contracts.outputs import ResultFormat
from millrace_contracts.predictions import CachedAnswer, cache_key
from millrace_contracts.tasks import JobSpec
from millrace_worker.context import Context
from millrace_worker.inference import codec
from millrace_worker.inference.blocks import Block
from millrace_worker.inference.collect import Given
from millrace_worker.inference.model import Answer, ModelSignature
from millrace_worker.inference.predict import Outcomes
from millrace_worker.input.columns import ColumnBatch
from millrace_worker.input.record import Record
from millrace_worker.logs import get_logger

log = get_logger(__name__)


class ShardCache:
    """The cache as one shard of a job uses it; one that is away costs a short timeout, and nothing else."""

    def __init__(self, spec: JobSpec, signature: ModelSignature, context: Context) -> None:
        self._spec = spec
        self._signature = signature
        self._context = context
        self._is_used = spec.cache.mode != "Disabled" and not spec.dry_run
        self._parameters = {**spec.parameters, **_form(spec)}
        mapped = {entry.tensor: entry.field for entry in spec.reading.tensor_mapping}
        self._fields = {one.name: mapped.get(one.name, one.name) for one in signature.inputs}

    def known(self, given: Given) -> dict[int, Mapping[str, Any]]:
        """Answer the outputs of the records that the version that serves now has answered before."""
        version = self._serving() if self._is_used else ""
        if not version or isinstance(given, ColumnBatch):
            return {}
        keys: dict[int, str] = {}
        for i, record in enumerate(given):
            if isinstance(record, Record) and (key := self._key(record, version)):
                keys[i] = key
        found = self._context.prediction_cache.look_up(set(keys.values()))
        return {i: found[key].outputs for i, key in keys.items() if key in found and self._is_whole(found[key])}

    def store(self, given: Given, done: Outcomes[Block, Answer]) -> None:
        """Keep what the model said, under the version that said it."""
        if not self._is_used or self._spec.cache.mode != "ReadWrite" or isinstance(given, ColumnBatch):
            return
        entries: dict[str, CachedAnswer] = {}
        for one in done.answers:
            version = one.answer.model_version
            rows = codec.split(one.answer, self._signature, row_count=len(one.batch)) if version else []
            for position, outputs in zip(one.batch, rows, strict=False):
                record = given[position]
                if isinstance(record, Record) and (key := self._key(record, version)):
                    entries[key] = CachedAnswer(model_version=version, outputs=outputs)
        self._context.prediction_cache.store(entries, ttl_seconds=self._spec.cache.ttl_seconds)

    def _is_whole(self, answer: CachedAnswer) -> bool:
        """Say whether the cache kept all that a result will say: JSON has no NaN, columns of Parquet do."""
        is_json = self._spec.writing.format is not ResultFormat.PARQUET
        return is_json or all(map(codec.says_all, answer.outputs.values()))

    def _key(self, record: Record, version: str) -> str:
        # Names and labels differ where the model sees the same.
        inputs = {name: record.value[field] for name, field in self._fields.items() if field in record.value}
        try:
            return cache_key(self._spec.model.name, version, inputs, self._parameters)
        except ValueError:
            # NaN is nothing that JSON could name; such a record is computed each time.
            return ""

    def _serving(self) -> str:
        """Say which version will answer: the one that is asked for, the only one, or what the registry says."""
        if self._spec.model.version:
            return self._spec.model.version
        if len(self._signature.versions) == 1:
            return self._signature.versions[0]
        try:
            serving: Any = self._context.redis.get(serving_key(self._spec.model.name))
        except RedisError as error:
            log.warning("the version that serves is not known; computing instead", error=type(error).__name__)
            return ""
        return str(serving or "")


def _form(spec: JobSpec) -> dict[str, str]:
    """Set apart what is not the whole answer; all else is shared with single predictions."""
    form = {}
    if spec.outputs:
        form["millrace-outputs"] = json.dumps(sorted(spec.outputs))
    return form
