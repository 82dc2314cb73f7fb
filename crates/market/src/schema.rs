//! JSON Schemas of the words that are written as text. Not here: those of plain derives, which stand with their types.

use crate::{Asset, Money, Price, Quantity};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

macro_rules! decimal {
    ($($name:ident),*) => {$(
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "description": "A decimal number with at most eight places, as text: a JSON number would pass through a float.",
                    "pattern": r"^-?[0-9]+(\.[0-9]{1,8})?$"
                })
            }
        }
    )*};
}

decimal!(Money, Price, Quantity);

impl JsonSchema for Asset {
    fn schema_name() -> Cow<'static, str> {
        "Asset".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A ticker: printable ASCII.", "pattern": "^[!-~]{1,15}$" })
    }
}
