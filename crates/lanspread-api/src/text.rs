//! JSON schemas of strings with a fixed format, such as game ids. The checks themselves are in [`crate::fields`].

use std::borrow::Cow;

use lanspread_types::limits::GAME_ID_BYTES_MAX;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::fields::STAMP_CHARS_MAX;

/// Defines a type whose schema is a string with bounds and a pattern.
macro_rules! text {
    ($(#[$about:meta])* $name:ident, $min:expr, $max:expr, $pattern:expr) => {
        $(#[$about])*
        pub(crate) struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "minLength": $min, "maxLength": $max, "pattern": $pattern })
            }
        }
    };
}

text! {
    /// A [`GameId`](lanspread_types::GameId). Names that Windows reserves are refused beyond that.
    GameIdText, 1, GAME_ID_BYTES_MAX, "^[A-Za-z0-9_-]([A-Za-z0-9._-]*[A-Za-z0-9_-])?$"
}
text! {
    /// A [`ContentId`](lanspread_types::ContentId) in full.
    ContentIdText, 64, 64, "^[0-9a-fA-F]{64}$"
}
text! {
    /// An [`Organiser`](lanspread_types::Organiser): a whole key, or a fingerprint.
    OrganiserText, 19, 64, "^([0-9a-fA-F]{64}|[0-9a-fA-F]{4}(-[0-9a-fA-F]{4}){3})$"
}
text! {
    /// One line that is written into a game, and not blank.
    StampText, 1, STAMP_CHARS_MAX,
    r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
}
