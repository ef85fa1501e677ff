//! Schemas of domain values, which do not know about schemas themselves and are serialised as strings.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Defines types that stand for domain values in derived schemas.
macro_rules! described {
    ($($(#[$about:meta])* $name:ident: $inline:literal, $schema:tt;)*) => {
        $(
            $(#[$about])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl JsonSchema for $name {
                fn inline_schema() -> bool {
                    $inline
                }

                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!($schema)
                }
            }
        )*
    };
}

described! {
    /// A digest in the form `sha256:HEX`.
    Digest: false, {
        "type": "string",
        "pattern": "^sha256:[0-9a-f]{64}$",
        "description": "SHA-256 of the bytes, in lower-case hex.",
        "examples": ["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    };
    /// The name of a manifest.
    Name: false, {
        "type": "string",
        "maxLength": 255,
        "description": "Segments separated by `/`: all but the last are OCI repository components, the last is an OCI tag.",
        "pattern": "^([a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*/)*[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$",
        "examples": ["main", "miren/v0.5.0"],
    };
    /// A time (RFC 3339).
    Time: false, {
        "type": "string",
        "format": "date-time",
        "examples": ["2026-05-14T18:20:00Z"],
    };
    /// The state of a version.
    VersionState: false, {
        "type": "string",
        "description": "prepared: a session holds it. ready: staged. active: what readers get. archived: was active. \
                        retired: only the row remains. Later versions of the server may add others.",
        "examples": ["prepared", "ready", "active", "archived", "retired"],
    };
    /// The kind of a release.
    ReleaseKind: false, {
        "type": "string",
        "description": "How a release is meant to be used. Later versions of the server may add others.",
        "examples": ["files", "static", "dynamic", "oci"],
    };
    /// A subject in the form `ISSUER:ID`.
    SubjectText: false, {
        "type": "string",
        "description": "`ISSUER:ID`; the issuer `token` stands for configured tokens, `larder` for the server itself.",
        "examples": ["token:release-bot", "larder:admin"],
    };
    /// The id of a run of the collector.
    Run: true, {
        "type": "string",
        "examples": ["20261121T142234.567Z-0badcafe"],
    };
    /// Any JSON value.
    Anything: true, {};
}
