"""Describe the server as OpenAPI: this bundle, with its attributes and an example for each answer."""

from collections.abc import Mapping
from typing import Any

from deployment.runtime.images import FORMAT_NAMES, MEDIA_TYPES
from deployment.serve.loading import LoadedBundle
from deployment.serve.settings import ServeSettings

REFUSALS = {
    "400": ("The body is no form", "The body is no multipart form with its boundary: send it again."),
    "401": (
        "No token, or another",
        "The token is missing or wrong: send it as Authorization: Bearer, or as X-API-Key.",
    ),
    "408": ("The body came too slowly", "The body did not arrive within 20 s: send it faster."),
    "413": (
        "Too many bytes, pixels or images",
        "The image has 6,000 x 5,000 pixels; 25,000,000 are allowed: send a smaller one.",
    ),
    "415": ("Not an image of a known type", f"The image is no {FORMAT_NAMES}: convert it."),
    "421": ("Another host is meant", "The server does not answer to this Host: use its address."),
    "422": (
        "An image, attribute or parameter that cannot be used",
        "The image is truncated or damaged: send the whole file.",
    ),
    "503": ("Too busy; try again after the seconds in Retry-After", "The server has as many images as it can take."),
}
BINARY = {"type": "string", "format": "binary"}
SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
TEXT, NUMBER, TRUTH = {"type": "string"}, {"type": "number"}, {"type": "boolean"}


def describe(bundle: LoadedBundle, settings: ServeSettings, *, persons: bool = False) -> dict[str, Any]:
    """OpenAPI 3.1 of the server as it is now."""
    example = _example(bundle, persons=persons)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "GraftNet",
            "version": bundle.fingerprint[:12],
            "description": f"Attributes of images: {', '.join(bundle.attributes)}.",
        },
        "paths": {
            "/predict": {"post": _predict(bundle, settings, example)},
            "/attributes": {
                "get": _get("The attributes: values, thresholds, metrics", "Contract", bundle.contract()),
            },
            "/healthz": {"get": _get("Whether the process answers", "Health", {"alive": True})},
            "/readyz": {"get": _ready(bundle)},
            "/metrics": {"get": _text("Counters for Prometheus", "text/plain")},
            "/": {"get": _text("A page to drop an image on", "text/html")},
        },
        "components": {"schemas": _schemas(bundle, persons=persons), "securitySchemes": SECURITY},
        "security": [{name: []} for name in SECURITY] if settings.token else [],
    }


def _predict(bundle: LoadedBundle, settings: ServeSettings, example: Mapping[str, Any]) -> dict[str, Any]:
    form = {
        "type": "object",
        "required": ["images"],
        "additionalProperties": False,
        "properties": {
            "images": {"type": "array", "items": BINARY, "minItems": 1, "maxItems": settings.max_images},
        },
    }
    known = [(status, said) for status, said in REFUSALS.items() if status != "401" or settings.token]
    refusals = {status: _response(text, "Error", {"error": sentence}) for status, (text, sentence) in known}
    refusals["503"]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return {
        "operationId": "predict",
        "summary": "Predict the attributes of one image, or of several",
        "description": (
            "One image as the body, or several as a form's files named `images`, answered in their order. "
            f"{FORMAT_NAMES} of at most {settings.max_pixels:,} pixels, all of them of {settings.max_request_pixels:,} "
            f"pixels and {settings.max_body:,} bytes; of an "
            "animation the first frame counts. One image that cannot be used refuses the whole request."
        ),
        "parameters": [
            {
                "name": "attributes",
                "in": "query",
                "required": False,
                "description": "Only these; without it all. Repeated, or separated by commas.",
                "schema": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "string", "enum": list(bundle.attributes)},
                },
                "example": [bundle.attributes[0]],
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                **{kind: {"schema": BINARY} for kind in MEDIA_TYPES},
                "multipart/form-data": {
                    "schema": form,
                    "encoding": {"images": {"contentType": ", ".join(MEDIA_TYPES)}},
                },
            },
        },
        "responses": {"200": _response("The attributes of each image", "Answer", example), **refusals},
    }


def _get(summary: str, schema: str, example: Mapping[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": _response(summary, schema, example)}}


def _ready(bundle: LoadedBundle) -> dict[str, Any]:
    example = {"ready": True, "bundle": bundle.identity, "fingerprint": bundle.fingerprint, "refused": None}
    operation = _get("Whether images are answered, and whether a changed bundle was refused", "Readiness", example)
    operation["responses"]["503"] = _response("Not ready", "Readiness", {**example, "ready": False})
    return operation


def _text(summary: str, kind: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": summary, "content": {kind: {"schema": TEXT}}}}}


def _response(description: str, schema: str, example: Mapping[str, Any]) -> dict[str, Any]:
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}
    return {"description": description, "content": {"application/json": content}}


def _example(bundle: LoadedBundle, *, persons: bool) -> dict[str, Any]:
    """What two images could be answered with; the scores are made up."""
    row = {}
    for name, contract in bundle.contract()["attributes"].items():
        values = contract["values"]
        scores = {value: 0.9 if number == 0 else 0.1 / (len(values) - 1) for number, value in enumerate(values)}
        decided = {"value": values[0], "scores": scores, "threshold": contract["threshold"]}
        row[name] = {**decided, "calibrated": scores if contract["calibrated"] else None}
    answer: dict[str, Any] = {"attributes": row, **({"action": None} if bundle.rules else {})}
    if bundle.relations:
        answer["relations"] = {"broken": [], "changed": {}}
    if persons:
        answer = {"persons": [{"box": [120, 40, 260, 410], "score": 0.98, **answer}]}
    return {"fingerprint": bundle.fingerprint, "predictions": [answer, answer]}


def _object(properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties, **more}


def _schemas(bundle: LoadedBundle, *, persons: bool) -> dict[str, Any]:
    threshold = {"type": ["number", "null"], "description": "Of the second of two values; null: the highest score."}
    scores = {"type": "object", "additionalProperties": {**NUMBER, "minimum": 0, "maximum": 1}}
    calibrated = {"anyOf": [scores, {"type": "null"}], "description": "Scores that are probabilities, where known."}
    decided = _object({"value": TEXT, "scores": scores, "threshold": threshold, "calibrated": calibrated})
    named = {"type": "object", "propertyNames": {"enum": list(bundle.attributes)}}
    parts: dict[str, Any] = {"attributes": {**named, "additionalProperties": decided}}
    if bundle.rules:
        action = _object({"action": TEXT, "rule": TEXT, "when": TEXT, "conditions": {"type": "array"}})
        parts["action"] = {"anyOf": [action, {"type": "null"}], "description": "The rule that fired, and why."}
    if bundle.relations:
        change = {"type": "object", "additionalProperties": _object({"from": TEXT, "to": TEXT})}
        parts["relations"] = _object({"broken": {"type": "array", "items": TEXT}, "changed": change})
    if persons:
        box = {"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4}
        parts = {"persons": {"type": "array", "items": _object({"box": box, "score": NUMBER, **parts})}}
    row = _object(parts)
    values = {"type": "array", "items": TEXT}
    contract = _object({"values": values, "threshold": threshold, "metrics": {}, "calibrated": TRUTH})
    refused = {"anyOf": [{"type": "null"}, _object({"at": {**TEXT, "format": "date-time"}, "problem": TEXT})]}
    return {
        "Answer": _object({"fingerprint": TEXT, "predictions": {"type": "array", "items": row}}),
        "Contract": _object(
            {"bundle": TEXT, "fingerprint": TEXT, "attributes": {**named, "additionalProperties": contract}}
        ),
        "Health": _object({"alive": TRUTH}),
        "Readiness": _object({"ready": TRUTH, "bundle": TEXT, "fingerprint": TEXT, "refused": refused}),
        "Error": _object({"error": {**TEXT, "description": "One sentence: what is wrong, and what to do."}}),
    }
