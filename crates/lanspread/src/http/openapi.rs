//! The interface as an OpenAPI 3.1 document, built from the contract's types and routes, and the table of the other
//! endpoints.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use lanspread_api::{CommandName, Route, schema};
use serde_json::{Map, Value, json};

use super::json as answer;

/// Method, path, summary, type of the body, type of the answer (`None`: plain text or a stream).
type Endpoint = (&'static str, &'static str, &'static str, Option<&'static str>, Option<&'static str>);

/// Endpoints beside the commands.
const REST: [Endpoint; 17] = [
    ("get", "/api/v1/snapshot", "Everything that the page shows.", None, Some("Snapshot")),
    ("get", "/api/v1/live", "Server-sent events; the data of each is an Update.", None, None),
    ("get", "/api/v1/events", "One JSON line of the contract for each event.", None, None),
    ("get", "/api/v1/offers/{game}", "Who offers a game.", None, Some("Offers")),
    ("get", "/api/v1/room/{game}", "Who is ready for a game, and what is fetched.", None, Some("Room")),
    ("get", "/api/v1/cover/{game}", "The game's picture.", None, None),
    ("get", "/api/v1/folders", "The folders in the folder `path`.", None, Some("Folders")),
    ("post", "/api/v1/setup", "The first choice.", Some("Setup"), Some("Settings")),
    ("post", "/api/v1/settings", "Changes what was chosen.", Some("Settings"), Some("Settings")),
    ("post", "/api/v1/open-folder", "Shows a game's folder.", Some("GameReply"), Some("Empty")),
    ("post", "/api/v1/pack", "Makes a folder into a game.", Some("Pack"), Some("Packed")),
    ("post", "/api/v1/party", "Joins a closed party, or leaves it.", Some("PartyOrder"), Some("Empty")),
    ("post", "/api/v1/catalog", "Goes by another catalogue.", Some("CatalogOrder"), Some("Empty")),
    ("post", "/api/v1/quiet", "Holds sending back, or lets it go.", Some("QuietOrder"), Some("Empty")),
    ("get", "/api/v1/invitation", "Whether guests can get this program.", None, Some("Invitation")),
    (
        "post",
        "/api/v1/invitation",
        "Opens or closes the door for guests.",
        Some("InvitationOrder"),
        Some("Invitation"),
    ),
    ("get", "/metrics", "For Prometheus.", None, None),
];

/// `GET /api/v1/openapi.json`.
pub async fn document() -> Response<Body> {
    answer(StatusCode::OK, openapi().to_string())
}

/// Builds the document.
pub fn openapi() -> Value {
    let contract = schema::contract_schema();
    let mut types = contract["$defs"].as_object().cloned().unwrap_or_default();
    types.extend(schema::page_definitions());
    let mut commands = commands(&types);
    let mut paths = Map::new();
    for name in CommandName::ALL {
        let (method, path) = match name.route() {
            Some(Route::Get(path)) => ("get", path),
            Some(Route::Post(path)) => ("post", path),
            None => continue,
        };
        let path = format!("/api/v1/{path}");
        let command = commands.remove(name.as_str());
        let about = command.as_ref().and_then(|c| c["description"].as_str()).unwrap_or(name.as_str());
        let mut taken = operation(about, &path, None, Some("Line"));
        if let (Some(body), "post") = (command, method) {
            // A command without required fields takes an empty body, too.
            let required = body["required"].as_array().is_some_and(|fields| !fields.is_empty());
            taken["requestBody"] =
                json!({ "required": required, "content": { "application/json": { "schema": body } } });
        }
        paths.insert(path, json!({ method: taken }));
    }
    for (method, path, summary, body, reply) in REST {
        paths.entry(path).or_insert_with(|| json!({}))[method] = operation(summary, path, body, reply);
    }
    moved(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "lanspread",
            "version": lanspread_api::CONTRACT_VERSION.to_string(),
            "description": "Answers to commands are lines of the contract: docs/contract.md.",
        },
        "security": [{ "token": [] }, { "page": [] }],
        "paths": paths,
        "components": {
            "schemas": types,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "`token` in the state folder's api.json" },
                "page": { "type": "apiKey", "in": "cookie", "name": "lanspread-PORT" },
            },
        },
    }))
}

/// The contract's commands as request bodies by name, without `cmd`, which the path replaces.
fn commands(types: &Map<String, Value>) -> Map<String, Value> {
    let kinds = types["Request"]["oneOf"].as_array().cloned().unwrap_or_default();
    let body = |mut kind: Value| {
        let name = kind["properties"]["cmd"]["const"].as_str()?.to_owned();
        kind["properties"].as_object_mut()?.remove("cmd");
        kind["required"].as_array_mut()?.retain(|field| field != "cmd");
        Some((name, kind))
    };
    kinds.into_iter().filter_map(body).collect()
}

fn operation(summary: &str, path: &str, body: Option<&str>, reply: Option<&str>) -> Value {
    let named =
        |name: &str| json!({ "application/json": { "schema": { "$ref": format!("#/$defs/{name}") } } });
    let ok = match reply {
        Some(reply) => json!({ "description": "done", "content": named(reply) }),
        None => json!({ "description": "done" }),
    };
    let refused = json!({ "description": "refused: a line of type error", "content": named("Line") });
    let mut operation = json!({ "summary": summary, "responses": { "200": ok, "default": refused } });
    if let Some(body) = body {
        operation["requestBody"] = json!({ "required": true, "content": named(body) });
    }
    if path.contains("{game}") {
        let schema = schema::game_id();
        operation["parameters"] =
            json!([{ "name": "game", "in": "path", "required": true, "schema": schema }]);
    }
    operation
}

/// Moves references from `$defs`, where JSON Schema keeps definitions, to OpenAPI's `components`.
fn moved(document: Value) -> Value {
    match document {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| match value {
                Value::String(to) if key == "$ref" => {
                    (key, Value::from(to.replace("#/$defs/", "#/components/schemas/")))
                }
                value => (key, moved(value)),
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.into_iter().map(moved).collect(),
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_OPENAPI=1 cargo test -p lanspread openapi` rewrites the file.
    #[test]
    fn document_matches_the_repository() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/openapi.json");
        let current = serde_json::to_string_pretty(&openapi()).unwrap() + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/schema")).unwrap();
            std::fs::write(path, &current).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == current, "schema/openapi.json is not current: run with UPDATE_OPENAPI=1");
    }

    #[test]
    fn references_resolve_and_commands_have_bodies() {
        let document = openapi();
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(references.len() > 50);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        for name in CommandName::ALL {
            let Some(Route::Post(path)) = name.route() else { continue };
            let posted = &document["paths"][format!("/api/v1/{path}")]["post"];
            assert!(posted["requestBody"].is_object(), "{path}");
        }
    }

    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(to)) = fields.get("$ref") {
                    into.push(to.clone());
                }
                fields.values().for_each(|value| collect(value, into));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            _ => {}
        }
    }
}
