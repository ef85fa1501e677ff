//! OpenAPI 3.1 documents: operations are described beside their routes, bodies by the schemas of [`crate::wire`].
//!
//! A document contains only components that its operations refer to.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Generates a schema and registers the schemas it refers to.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Value;

/// The schema of type `T`.
pub(super) fn of<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    schemas.subschema_for::<T>().to_value()
}

/// A parameter in the path, the query or a header.
#[derive(Debug)]
pub(super) struct Parameter {
    /// Component name, unique in the document.
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    /// `path`, `query` or `header`.
    pub(super) place: &'static str,
    pub(super) required: bool,
    pub(super) about: &'static str,
    pub(super) schema: SchemaOf,
}

/// A response header.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) schema: SchemaOf,
}

/// The failures of an operation with one status.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: u16,
    /// Component name, unique in the document.
    pub(super) id: &'static str,
    /// The error codes and their meanings.
    pub(super) about: &'static str,
    pub(super) fields: &'static [&'static Field],
}

/// A request or response body: media type and schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content(pub(super) &'static str, pub(super) SchemaOf);

/// JSON of type `T`.
pub(super) fn json_of<T: JsonSchema>() -> Content {
    Content("application/json", of::<T>)
}

/// JSON of type `A` or type `B`.
pub(super) fn either<A: JsonSchema, B: JsonSchema>() -> Content {
    Content("application/json", |schemas| json!({"oneOf": [of::<A>(schemas), of::<B>(schemas)]}))
}

/// Text with this media type.
pub(super) fn text(media: &'static str) -> Content {
    Content(media, of::<String>)
}

/// Binary data with this media type.
pub(super) fn binary(media: &'static str) -> Content {
    Content(media, |_| json!({}))
}

/// Authorisation that an operation requires.
#[derive(Debug, Clone, Copy)]
enum Access {
    Everybody,
    /// Depends on the policy of the name.
    Policy,
    Token,
}

struct Success(u16, &'static str, &'static [&'static Field], Vec<Content>);

/// One method of a path.
pub(super) struct Operation {
    method: &'static str,
    id: &'static str,
    summary: &'static str,
    about: Option<&'static str>,
    access: Access,
    parameters: &'static [&'static Parameter],
    body: Option<(Content, bool)>,
    successes: Vec<Success>,
    failures: &'static [u16],
}

impl Operation {
    /// `id` is the operation id, unique in the document.
    pub(super) fn new(method: &'static str, id: &'static str, summary: &'static str) -> Self {
        let access = Access::Everybody;
        Self {
            method,
            id,
            summary,
            about: None,
            access,
            parameters: &[],
            body: None,
            successes: Vec::new(),
            failures: &[],
        }
    }

    /// Adds a longer description.
    pub(super) fn about(self, about: &'static str) -> Self {
        Self { about: Some(about), ..self }
    }

    /// Marks a token as required or not, depending on the policy of the name.
    pub(super) fn by_policy(self) -> Self {
        Self { access: Access::Policy, ..self }
    }

    /// Marks a token as required; `about` describes the permission.
    pub(super) fn by_token(self, about: &'static str) -> Self {
        Self { access: Access::Token, ..self }.about(about)
    }

    pub(super) fn takes(self, parameters: &'static [&'static Parameter]) -> Self {
        Self { parameters, ..self }
    }

    pub(super) fn body(self, content: Content) -> Self {
        Self { body: Some((content, true)), ..self }
    }

    pub(super) fn optional_body(self, content: Content) -> Self {
        Self { body: Some((content, false)), ..self }
    }

    /// Adds a response without a body.
    pub(super) fn empty(self, status: u16, about: &'static str, fields: &'static [&'static Field]) -> Self {
        self.answers(status, about, fields, [])
    }

    /// Adds a response in one of several media types.
    pub(super) fn answers<const N: usize>(
        mut self,
        status: u16,
        about: &'static str,
        fields: &'static [&'static Field],
        content: [Content; N],
    ) -> Self {
        self.successes.push(Success(status, about, fields, content.into()));
        self
    }

    /// Adds failures, by status.
    pub(super) fn fails(self, failures: &'static [u16]) -> Self {
        Self { failures, ..self }
    }
}

/// A document under construction.
pub(super) struct Document {
    info: Value,
    tags: Vec<Value>,
    paths: Map<String, Value>,
    parameters: Map<String, Value>,
    fields: Map<String, Value>,
    responses: Map<String, Value>,
    schemas: SchemaGenerator,
    failures: &'static [Failure],
    /// The body of every failure.
    problem: Content,
}

impl Document {
    /// An empty document. `failures` are those that operations refer to by status, `problem` is their body.
    pub(super) fn new(info: Value, failures: &'static [Failure], problem: Content) -> Self {
        let mut settings = SchemaSettings::draft2020_12().for_serialize();
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
        Self {
            info,
            tags: Vec::new(),
            paths: Map::new(),
            parameters: Map::new(),
            fields: Map::new(),
            responses: Map::new(),
            schemas: settings.into_generator(),
            failures,
            problem,
        }
    }

    /// Adds a tag; the paths added after it belong to it.
    pub(super) fn tag(&mut self, name: &'static str, about: &'static str) {
        self.tags.push(json!({"name": name, "description": about}));
    }

    /// Adds the operations of a path, with the parameters they share.
    pub(super) fn path<const N: usize>(
        &mut self,
        path: &'static str,
        parameters: &[&'static Parameter],
        operations: [Operation; N],
    ) {
        let mut item = Map::new();
        if !parameters.is_empty() {
            item.insert("parameters".into(), self.parameters(parameters));
        }
        for operation in operations {
            item.insert(operation.method.into(), self.operation(operation));
        }
        self.paths.insert(path.into(), item.into());
    }

    /// Completes the document.
    pub(super) fn finish(mut self) -> Value {
        let schemes = json!({"bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of the server's configuration, or its admin token.",
        }});
        json!({
            "openapi": "3.1.0",
            "info": self.info,
            "tags": self.tags,
            "paths": self.paths,
            "components": {
                "securitySchemes": schemes,
                "parameters": self.parameters,
                "headers": self.fields,
                "responses": self.responses,
                "schemas": self.schemas.take_definitions(true),
            },
        })
    }

    fn operation(&mut self, operation: Operation) -> Value {
        let mut found = Map::new();
        found.insert("operationId".into(), operation.id.into());
        found.extend(self.tags.last().map(|tag| ("tags".to_owned(), json!([tag["name"]]))));
        found.insert("summary".into(), operation.summary.into());
        found.extend(operation.about.map(|about| ("description".to_owned(), about.into())));
        match operation.access {
            Access::Everybody => {}
            Access::Policy => drop(found.insert("security".into(), json!([{}, {"bearer": []}]))),
            Access::Token => drop(found.insert("security".into(), json!([{"bearer": []}]))),
        }
        if !operation.parameters.is_empty() {
            found.insert("parameters".into(), self.parameters(operation.parameters));
        }
        if let Some((content, required)) = operation.body {
            found.insert("requestBody".into(), json!({"required": required, "content": self.content(&[content])}));
        }
        let mut responses = Map::new();
        for Success(status, about, fields, content) in operation.successes {
            responses.insert(status.to_string(), self.response(about, fields, &content));
        }
        for status in operation.failures {
            responses.insert(status.to_string(), self.failure(*status));
        }
        found.insert("responses".into(), responses.into());
        found.into()
    }

    fn parameters(&mut self, parameters: &[&'static Parameter]) -> Value {
        let references = parameters.iter().map(|parameter| {
            let Parameter { id, name, place, required, about, schema } = parameter;
            let schema = schema(&mut self.schemas);
            let value =
                json!({"name": name, "in": place, "required": required, "description": about, "schema": schema});
            self.parameters.insert((*id).into(), value);
            json!({"$ref": format!("#/components/parameters/{id}")})
        });
        references.collect()
    }

    fn failure(&mut self, status: u16) -> Value {
        let failures = self.failures;
        let failure = failures.iter().find(|failure| failure.status == status);
        let failure = failure.unwrap_or_else(|| unreachable!("status {status} is not in the list of failures"));
        let response = self.response(failure.about, failure.fields, &[self.problem]);
        self.responses.insert(failure.id.into(), response);
        json!({"$ref": format!("#/components/responses/{}", failure.id)})
    }

    fn response(&mut self, about: &str, fields: &[&'static Field], content: &[Content]) -> Value {
        let mut response = Map::new();
        response.insert("description".into(), about.into());
        if !fields.is_empty() {
            let mut references = Map::new();
            for Field { name, about, schema } in fields {
                let field = json!({"description": about, "schema": schema(&mut self.schemas)});
                self.fields.insert((*name).into(), field);
                references.insert((*name).into(), json!({"$ref": format!("#/components/headers/{name}")}));
            }
            response.insert("headers".into(), references.into());
        }
        if !content.is_empty() {
            response.insert("content".into(), self.content(content));
        }
        response.into()
    }

    fn content(&mut self, content: &[Content]) -> Value {
        let by_media = content
            .iter()
            .map(|Content(media, schema)| ((*media).to_owned(), json!({"schema": schema(&mut self.schemas)})));
        Value::Object(by_media.collect())
    }
}
