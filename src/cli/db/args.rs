//! Arguments that several commands share.

use std::collections::HashSet;

use clap::ValueEnum;
use dsqlstate::discord_db::filter::{Filter, Order, Selection};

use super::DbError;

/// Where records are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Source {
    /// The mirror in PostgreSQL when it holds the whole table, otherwise REST.
    #[default]
    Auto,
    /// Over Discord's REST interface.
    Rest,
    /// In PostgreSQL, or not at all.
    Mirror,
}

/// Which records, in which order, from where.
#[derive(Debug, clap::Args)]
pub(super) struct Reading {
    /// Only records for which this holds, as in 'age >= 18 and city in (Rome, "New York")'; all of several
    #[arg(long, value_name = "EXPR")]
    pub(super) filter: Vec<String>,
    /// Sort by a field, FIELD:desc for the greatest first; :desc alone for the newest first
    #[arg(long, value_name = "FIELD")]
    pub(super) order: Option<String>,
    /// At most so many records
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<u64>,
    /// Where to read; auto is the mirror when it holds the whole table, otherwise rest
    #[arg(long, value_enum, default_value_t, value_name = "SOURCE", hide_possible_values = true)]
    pub(super) source: Source,
}

impl Reading {
    pub(super) fn selection(&self) -> Result<Selection, DbError> {
        let order = self.order.as_deref().map(order);
        Ok(Selection { filter: all_of(&self.filter)?, order, limit: self.limit })
    }
}

/// Which records are to be changed.
#[derive(Debug, clap::Args)]
#[group(id = "which", multiple = true)]
pub(super) struct Which {
    /// Only records for which this holds, as in 'state = new'; all of several
    #[arg(long, value_name = "EXPR")]
    filter: Vec<String>,
    /// Only this record, by the id of its message; may be repeated
    #[arg(long, value_name = "ID")]
    id: Vec<u64>,
    /// Every record of the table
    #[arg(long, conflicts_with_all = ["filter", "id"])]
    pub(super) all: bool,
}

impl Which {
    /// Refuses to take silence for everything.
    pub(super) fn filter(&self) -> Result<Filter, DbError> {
        if self.filter.is_empty() && self.id.is_empty() && !self.all {
            return Err(DbError::NothingSelected);
        }
        all_of(&self.filter)
    }

    /// Whether a record's message is among those that are named.
    pub(super) fn names(&self, message_id: u64) -> bool {
        self.id.is_empty() || self.id.contains(&message_id)
    }
}

fn all_of(filters: &[String]) -> Result<Filter, DbError> {
    let filters: Result<Vec<_>, _> = filters.iter().map(|text| Filter::parse(text)).collect();
    Ok(Filter::And(filters?))
}

fn order(text: &str) -> Order {
    let (field, descending) = match text.rsplit_once(':') {
        Some((field, "desc")) => (field, true),
        Some((field, "asc")) => (field, false),
        _ => (text, false),
    };
    Order { field: Some(field).filter(|field| !field.is_empty()).map(Into::into), descending }
}

/// What `--set` says: each field once.
pub(super) fn assignments(texts: &[String]) -> Result<Vec<(&str, &str)>, DbError> {
    let mut seen = HashSet::new();
    let mut assignments = Vec::with_capacity(texts.len());
    for text in texts {
        let (field, value) = split(text)?;
        if !seen.insert(field) {
            return Err(DbError::FieldTwice(field.to_owned()));
        }
        assignments.push((field, value));
    }
    Ok(assignments)
}

fn split(text: &str) -> Result<(&str, &str), DbError> {
    text.split_once('=').ok_or_else(|| DbError::NotAnAssignment(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_field_and_maybe_a_direction() {
        let of =
            |field: Option<&str>, descending| Order { field: field.map(Into::into), descending };
        assert_eq!(order("age"), of(Some("age"), false));
        assert_eq!(order("age:desc"), of(Some("age"), true));
        assert_eq!(order("a:b:asc"), of(Some("a:b"), false));
        assert_eq!(order("a:b"), of(Some("a:b"), false));
        assert_eq!(order(":desc"), of(None, true));
    }

    #[test]
    fn a_value_may_hold_equals_signs_and_a_field_comes_once() {
        let texts = ["a=1=2".to_owned(), "b=".to_owned()];
        assert_eq!(assignments(&texts).expect("good"), [("a", "1=2"), ("b", "")]);
        assert!(matches!(assignments(&["a".to_owned()]), Err(DbError::NotAnAssignment(_))));
        let twice = ["a=1".to_owned(), "a=2".to_owned()];
        assert!(matches!(assignments(&twice), Err(DbError::FieldTwice(_))));
    }
}
