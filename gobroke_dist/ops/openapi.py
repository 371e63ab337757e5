"""The OpenAPI 3.1 document of the HTTP API, from the table of its operations and their models."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gobroke_dist.ops.api_models import Problem
from gobroke_dist.ops.api_table import ANY, OPERATIONS, Operation
from gobroke_dist.ops.problems import MEDIA_TYPE, status_of

_REF: Final = "#/components/schemas/{model}"


def document() -> dict[str, Any]:
    """The whole document, as JSON-able data."""
    models = [
        *((one, "validation") for op in OPERATIONS.values() if (one := op.body)),
        *((one, "serialization") for op in OPERATIONS.values() if (one := op.answer)),
        (Problem, "serialization"),
    ]
    _, schemas = models_json_schema(list(dict.fromkeys(models)), ref_template=_REF)  # type: ignore[arg-type]
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for operation in OPERATIONS.values():
        paths[operation.path][operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "gobroke_dist", "version": "1", "license": {"name": "MIT", "identifier": "MIT"}},
        "security": [{"token": []}],
        "paths": dict(paths),
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [*_in_path(operation.path), *_in_query(operation.query)],
        "responses": _answers(operation),
    }
    if operation.body is not None:
        said["requestBody"] = {"required": True, "content": _content("application/json", operation.body)}
    return said


def _in_path(path: str) -> list[dict[str, Any]]:
    schema = {"type": "string", "minLength": 1}
    return [{"name": one, "in": "path", "required": True, "schema": schema} for one in re.findall(r"{(\w+)}", path)]


def _in_query(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    properties = model.model_json_schema()["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _answers(operation: Operation) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "done"}
    if operation.answer is not None:
        done["content"] = _content("application/json", operation.answer)
    codes: dict[int, set[str]] = defaultdict(set)
    for kind in (*operation.raises, *ANY):
        codes[status_of(kind)].add(kind.code)
    for status in (404, 408, 413, 415) if operation.body is not None else (404,):
        codes[status].add("call_invalid")
    problems = {
        str(status): {"description": ", ".join(sorted(found)), "content": _content(MEDIA_TYPE, Problem)}
        for status, found in sorted(codes.items())
    }
    return {str(operation.status): done, **problems}


def _content(media_type: str, model: type[BaseModel]) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": _REF.format(model=model.__name__)}}}
