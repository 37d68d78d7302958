//! Filters and orders as SQL over the values that `discorddb.decode_record` returns.
//!
//! **Invariant:** what somebody else chose (values, prefixes) is a parameter and never part of the SQL; every
//! condition is true or false, never null.

use super::{Comparison, Filter, Order, number::Number};
use crate::discord_db::codec;

/// The value of a placeholder, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlParam {
    /// A `text`.
    Text(String),
    /// A `text[]`.
    Texts(Vec<String>),
}

impl Filter {
    /// The condition. `values` is the SQL of the array of a record's values, `fields` are the names
    /// that they belong to; the parameters are added to `params`, whose length is the number of the
    /// last placeholder in use.
    #[must_use]
    pub fn to_sql(&self, values: &str, fields: &[String], params: &mut Vec<SqlParam>) -> String {
        let value_of = |field: &str| value_of(field, values, fields);
        match self {
            Self::Compare { field, comparison, value } => {
                compare(&value_of(field), *comparison, value, params)
            }
            Self::Prefix { field, prefix } => {
                let prefix = text(prefix, params);
                format!("coalesce(starts_with({}, {prefix}), false)", value_of(field))
            }
            Self::In { field, values } => {
                params.push(SqlParam::Texts(values.iter().map(|v| codec::to_sql(v)).collect()));
                let value = value_of(field);
                format!("coalesce({value} = any (${}::text[]), false)", params.len())
            }
            Self::And(filters) => join(filters, "true", " and ", values, fields, params),
            Self::Or(filters) => join(filters, "false", " or ", values, fields, params),
            Self::Not(filter) => format!("not {}", filter.to_sql(values, fields, params)),
        }
    }
}

impl Order {
    /// What follows `order by`; `id` is the SQL of a record's id.
    #[must_use]
    pub fn to_sql(&self, id: &str, values: &str, fields: &[String]) -> String {
        let direction = if self.descending { "desc" } else { "asc" };
        let Some(field) = &self.field else { return format!("{id} {direction}") };
        let value = value_of(field, values, fields);
        let texts = if self.descending { "first" } else { "last" };
        format!(
            "{value} is null, discorddb.number({value}) {direction} nulls {texts}, \
             {value} {direction}, {id}"
        )
    }
}

/// By code point, as Rust compares: a database's own collation may not.
fn value_of(field: &str, values: &str, fields: &[String]) -> String {
    match fields.iter().position(|name| name == field) {
        Some(place) => format!("(({values})[{}] collate \"C\")", place + 1),
        None => "(null::text collate \"C\")".into(),
    }
}

fn text(value: &str, params: &mut Vec<SqlParam>) -> String {
    params.push(SqlParam::Text(codec::to_sql(value)));
    format!("${}::text", params.len())
}

fn compare(found: &str, comparison: Comparison, value: &str, params: &mut Vec<SqlParam>) -> String {
    let is_number = Number::parse(value).is_some();
    let value = text(value, params);
    let operator = match comparison {
        Comparison::Eq => return format!("({found} is not distinct from {value})"),
        Comparison::Ne => return format!("({found} is distinct from {value})"),
        Comparison::Lt => "<",
        Comparison::Le => "<=",
        Comparison::Gt => ">",
        Comparison::Ge => ">=",
    };
    if is_number {
        format!("coalesce(discorddb.number({found}) {operator} {value}::numeric, false)")
    } else {
        format!("coalesce({found} {operator} {value}, false)")
    }
}

fn join(
    filters: &[Filter],
    of_none: &str,
    operator: &str,
    values: &str,
    fields: &[String],
    params: &mut Vec<SqlParam>,
) -> String {
    let conditions: Vec<_> =
        filters.iter().map(|filter| filter.to_sql(values, fields, params)).collect();
    if conditions.is_empty() { of_none.into() } else { format!("({})", conditions.join(operator)) }
}
