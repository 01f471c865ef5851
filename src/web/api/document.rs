//! The OpenAPI 3.1 document, made from the table of operations: what the router serves is what the document says.

use serde_json::{Map, Value, json};

use super::operation::{Field, Operation, Shape};
use super::table::OPERATIONS;

/// The whole document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.to_ascii_lowercase()] = described(operation);
    }
    paths.insert("/events".into(), events());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Enlace",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every use case of the command line, with the JSON of its --json. Lists come in pages: `limit` and `cursor`. A request that changes something takes `dry_run`, and an Idempotency-Key so that it may be repeated.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" }
        },
        "servers": [{ "url": "/api/v1" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "description": "From `enlace token create`." } },
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail"],
                    "properties": {
                        "type": { "type": "string" }, "title": { "type": "string" }, "status": { "type": "integer" },
                        "detail": { "type": "string" }, "remedy": { "type": "string" }
                    }
                },
                "File": {
                    "oneOf": [
                        { "type": "string" },
                        { "type": "object", "required": ["base64"], "properties": { "base64": { "type": "string", "contentEncoding": "base64" } } }
                    ]
                }
            }
        }
    })
}

fn described(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = operation
        .parts()
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } }))
        .collect();
    let query = |name: &str, schema: Value, needed: bool, about: &str| json!({ "name": name, "in": "query", "required": needed, "schema": schema, "description": about });
    let mut described = json!({ "operationId": operation.id, "summary": operation.summary, "tags": [operation.area.as_str()] });
    if operation.writes {
        if operation.rehearses {
            parameters.push(query("dry_run", json!({ "type": "boolean" }), false, "give the same report and change nothing"));
        }
        parameters
            .push(json!({ "name": "Idempotency-Key", "in": "header", "schema": { "type": "string", "minLength": 1, "maxLength": 255 } }));
        parameters.push(json!({ "name": "If-Match", "in": "header", "schema": { "type": "string" } }));
        described["requestBody"] = body(operation);
    } else {
        parameters.extend(operation.fields.iter().map(|field| query(field.name, schema(field), field.needed, field.about)));
        parameters.push(json!({ "name": "If-None-Match", "in": "header", "schema": { "type": "string" } }));
    }
    if operation.listed.is_some() {
        parameters.push(query(
            "limit",
            json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 }),
            false,
            "items of a page",
        ));
        parameters.push(query("cursor", json!({ "type": "string" }), false, "`next_cursor` of the page before"));
    }
    described["parameters"] = Value::Array(parameters);
    described["responses"] = responses(operation);
    described
}

fn body(operation: &Operation) -> Value {
    let fields = operation.fields;
    let mut properties: Map<String, Value> = fields
        .iter()
        .map(|field| {
            let mut described = schema(field);
            described["description"] = field.about.into();
            (field.name.to_owned(), described)
        })
        .collect();
    if operation.rehearses {
        properties.insert("dry_run".into(), json!({ "type": "boolean" }));
    }
    let needed: Vec<&str> = fields.iter().filter(|field| field.needed).map(|field| field.name).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "required": needed, "additionalProperties": false });
    if !operation.either.is_empty() {
        schema["anyOf"] = operation.either.iter().map(|name| json!({ "required": [name] })).collect();
    }
    json!({ "required": !needed.is_empty() || !operation.either.is_empty(), "content": { "application/json": { "schema": schema } } })
}

fn schema(field: &Field) -> Value {
    match field.shape {
        Shape::Text => json!({ "type": "string" }),
        Shape::Texts if field.needed => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
        Shape::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Shape::Pairs => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Shape::Truth | Shape::Switch => json!({ "type": "boolean" }),
        Shape::Number => json!({ "type": "integer", "minimum": 0 }),
        Shape::File => json!({ "allOf": [{ "$ref": "#/components/schemas/File" }] }),
    }
}

fn responses(operation: &Operation) -> Value {
    let problem = |about: &str| json!({ "description": about, "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } } });
    let schema = match operation.listed {
        Some(_) => json!({
            "type": "object", "required": ["items", "next_cursor"],
            "properties": { "items": { "type": "array", "items": { "type": "object" } }, "next_cursor": { "type": ["string", "null"] } }
        }),
        None => json!({}),
    };
    let mut responses = json!({
        "200": {
            "description": "Done; what the command line prints with --json.",
            "headers": { "ETag": { "schema": { "type": "string" } } },
            "content": { "application/json": { "schema": schema } }
        },
        "400": problem("The request cannot be read."),
        "401": problem("A token is missing, unknown or over."),
        "403": problem("The token's scope does not cover this."),
        "404": problem("What was named does not exist."),
        "409": problem("A rule refused, or the first request with this key still runs."),
        "422": problem("What was given is wrong; the detail says where."),
        "503": problem("The store cannot answer now; try again later.")
    });
    if operation.writes {
        responses["412"] = problem("It has changed since it was read.");
        responses["413"] = problem("The body is too large.");
        responses["415"] = problem("The body is of a kind that this operation does not take.");
    } else {
        responses["304"] = json!({ "description": "As the asker has it already." });
    }
    responses
}

fn events() -> Value {
    let problem = json!({ "description": "Refused.", "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } } });
    json!({ "get": {
        "operationId": "queueEvents", "summary": "The queue as it changes, as server-sent events.", "tags": ["queue"],
        "responses": {
            "200": { "description": "Events named `queue`.", "content": { "text/event-stream": { "schema": { "type": "string" } } } },
            "401": problem, "403": problem
        }
    } })
}
