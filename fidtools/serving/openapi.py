"""The description of the interface in OpenAPI 3.1, which `/docs` shows."""

from __future__ import annotations

from typing import Any

import fidtools
from fidtools.serving.limits import Limits

Schema = dict[str, Any]
STRING: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
DOCUMENT: Schema = {
    "type": "object",
    "properties": {
        "id": STRING,
        "title": STRING,
        "text": STRING,
        "contents": STRING | {"description": "The title in quotes, a line break, and the text."},
    },
}
SHARE: Schema = {"type": ["number", "null"], "description": "Share of the reader's attention; null if not read."}
EVIDENCE: dict[str, Schema] = {
    "has_answer": FLAG | {"description": "Whether the text contains the answer."},
    "attention_share": SHARE,
}
ANSWER: dict[str, Schema] = {
    "answer": STRING,
    "probability": NUMBER,
    "log_probability": NUMBER | {"description": "Its natural logarithm."},
}
SCORES: Schema = {"type": "object", "additionalProperties": NUMBER}
ERRORS = {
    "400": "Malformed JSON.",
    "401": "The token is missing or wrong.",
    "408": "The body did not arrive in time.",
    "413": "Too large.",
    "415": "Not sent as application/json, or compressed.",
    "421": "Sent to a name that this server does not answer to.",
    "422": "A field has the wrong type or value.",
    "429": "Too many requests are waiting.",
}


def describe(limits: Limits, retrieve_k: int, page_k: int) -> Schema:
    """The OpenAPI document of a server with these limits."""
    queries = _array(STRING | {"maxLength": limits.characters}) | {"minItems": 1, "maxItems": limits.queries}
    retrieve = {"queries": queries, "topk": _topk(limits, retrieve_k), "return_scores": FLAG | {"default": False}}
    read = {"queries": queries, "topk": _topk(limits, None)}
    question = STRING | {"maxLength": limits.characters}
    search = {"question": question, "topk": _topk(limits, page_k), "read": FLAG | {"default": True}}
    scored = _object({"document": DOCUMENT, "score": NUMBER})
    evidence = _object({"document": DOCUMENT, "score": NUMBER, "scores": SCORES} | EVIDENCE)
    answered = _object(ANSWER | {"passages": _array(evidence)})
    return {
        "openapi": "3.1.0",
        "info": {"title": "fidtools serve", "version": fidtools.__version__},
        "paths": {
            "/retrieve": _post(
                "Passages for questions, in the form of Search-R1's retrieval server.",
                _object(retrieve, ["queries"]),
                _object({"result": _array(_array({"anyOf": [scored, DOCUMENT]}))}),
                {"queries": ["where was Ada born?"], "topk": 3, "return_scores": True},
            ),
            "/read": _post(
                "Answers of the reader, with the passages that it read.",
                _object(read, ["queries"]),
                _object({"result": _array(answered)}),
                {"queries": ["where was Ada born?"], "topk": 10},
            ),
            "/search": _post(
                "What the page shows: a question's passages in pieces [text, mark, share of the attention].",
                _object(search, ["question"]),
                _shown(),
                {"question": "where was Ada born?", "topk": 10, "read": True},
            ),
            "/health": {"get": {"summary": "Whether the server works.", "responses": {"200": _content({})}}},
        },
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"token": []}],
    }


def _topk(limits: Limits, default: int | None) -> Schema:
    described = {} if default is None else {"default": default}
    return {"type": ["integer", "null"], "minimum": 0, "maximum": limits.k} | described


def _shown() -> Schema:
    part = {"type": "array", "prefixItems": [STRING, {"enum": ["", "word", "answer"]}, SHARE]}
    texts = {"title": _array(part), "text": _array(part)}
    passage = _object({"id": STRING, "score": NUMBER, "scores": SCORES} | texts | EVIDENCE)
    return _object({"question": STRING} | ANSWER | {"passages": _array(passage), "seconds": NUMBER})


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _object(properties: dict[str, Schema], required: list[str] | None = None) -> Schema:
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})


def _content(schema: Schema, description: str = "OK") -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _post(summary: str, body: Schema, answer: Schema, example: Schema) -> Schema:
    content = {"application/json": {"schema": body, "example": example}}
    error = _object({"error": STRING, "field": STRING})
    responses = {"200": _content(answer)} | {status: _content(error, text) for status, text in ERRORS.items()}
    return {"post": {"summary": summary, "requestBody": {"required": True, "content": content}, "responses": responses}}
