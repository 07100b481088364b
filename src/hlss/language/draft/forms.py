"""In what form a server takes a request: servers differ in the schema and in the names they know."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hlss.language.draft.schema import without_limits

_SCHEMAS = 3  # with limits, without limits, none


class Form(NamedTuple):
    """schema: which of the three; sampling: temperature and limit of tokens, by the server's names."""

    schema: int
    sampling: Mapping[str, float | int]

    def options(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Of the request, for an answer of this schema."""
        if self.schema == _SCHEMAS - 1:
            return dict(self.sampling)
        found = schema if self.schema == 0 else without_limits(schema)
        return {**self.sampling, "response_format": {"type": "json_schema", "json_schema": found}}

    def after(self, refused: str) -> "Form | None":
        """What to try where the server refused this one in these words; None where nothing is left."""
        sampling = dict(self.sampling)
        if "max_tokens" in sampling and "max_completion_tokens" in refused:
            sampling["max_completion_tokens"] = sampling.pop("max_tokens")
            return Form(self.schema, sampling)
        if "temperature" in sampling and "temperature" in refused:
            del sampling["temperature"]
            return Form(self.schema, sampling)
        return Form(self.schema + 1, sampling) if self.schema + 1 < _SCHEMAS else None
