//! Which records are wanted, in which order, how many.
//!
//! Values are text. Where a comparison is with a number, only values that are numbers compare, by what they
//! are worth; where it is with another text, values compare as text, by code point. Sorted, numbers come first by their
//! worth, then texts by code point, then records that have no such value. A record of somebody who wrote
//! fewer values than there are fields has no value for the rest; no comparison holds for a value that is
//! missing, so `ne` and `not` do.
//!
//! **Invariant:** [`Filter::matches`] and [`Filter::to_sql`] select the same records, and [`Order::compare`]
//! and [`Order::to_sql`] put them in the same order.

mod number;
mod parse;
mod sql;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

use self::number::Number;
pub use self::sql::SqlParam;
use super::error::DiscordDbError;

/// What can be asked for the value of a field.
pub trait Fields {
    /// The value of the field, if the record has one.
    fn value(&self, field: &str) -> Option<&str>;
}

impl Fields for BTreeMap<String, String> {
    fn value(&self, field: &str) -> Option<&str> {
        self.get(field).map(String::as_str)
    }
}

impl Fields for HashMap<String, String> {
    fn value(&self, field: &str) -> Option<&str> {
        self.get(field).map(String::as_str)
    }
}

/// A record as it is read: the table's fields, and the record's values in that order.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The names of the fields; of several with one name the first counts.
    pub fields: &'a [String],
    /// The values, as many as the record has.
    pub values: &'a [String],
}

impl Fields for Row<'_> {
    fn value(&self, field: &str) -> Option<&str> {
        let place = self.fields.iter().position(|name| name == field)?;
        self.values.get(place).map(String::as_str)
    }
}

/// Which records are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The value compares to a text or number in this way.
    Compare {
        /// The field.
        field: String,
        /// How.
        comparison: Comparison,
        /// With what.
        value: String,
    },
    /// The value begins with this text.
    Prefix {
        /// The field.
        field: String,
        /// The text.
        prefix: String,
    },
    /// The value is one of these texts.
    In {
        /// The field.
        field: String,
        /// The texts.
        values: Vec<String>,
    },
    /// All of them; of none, every record.
    And(Vec<Filter>),
    /// At least one of them; of none, no record.
    Or(Vec<Filter>),
    /// The other records.
    Not(Box<Filter>),
}

/// How a value compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same text.
    Eq,
    /// Another text, or no value.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

impl Comparison {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Eq => ordering.is_eq(),
            Self::Ne => ordering.is_ne(),
            Self::Lt => ordering.is_lt(),
            Self::Le => ordering.is_le(),
            Self::Gt => ordering.is_gt(),
            Self::Ge => ordering.is_ge(),
        }
    }
}

impl Default for Filter {
    /// Every record.
    fn default() -> Self {
        Self::all()
    }
}

impl Filter {
    /// Every record.
    #[must_use]
    pub fn all() -> Self {
        Self::And(Vec::new())
    }

    /// The value compares to a text or number in this way.
    #[must_use]
    pub fn compare(
        field: impl Into<String>,
        comparison: Comparison,
        value: impl Into<String>,
    ) -> Self {
        Self::Compare { field: field.into(), comparison, value: value.into() }
    }

    /// The value is this text: the filter that the specification knows.
    #[must_use]
    pub fn eq(field: impl Into<String>, value: impl Into<String>) -> Self {
        Self::compare(field, Comparison::Eq, value)
    }

    /// The value is another text, or there is none.
    #[must_use]
    pub fn ne(field: impl Into<String>, value: impl Into<String>) -> Self {
        Self::compare(field, Comparison::Ne, value)
    }

    /// The value is less.
    #[must_use]
    pub fn lt(field: impl Into<String>, value: impl Into<String>) -> Self {
        Self::compare(field, Comparison::Lt, value)
    }

    /// The value is less or equal.
    #[must_use]
    pub fn le(field: impl Into<String>, value: impl Into<String>) -> Self {
        Self::compare(field, Comparison::Le, value)
    }

    /// The value is greater.
    #[must_use]
    pub fn gt(field: impl Into<String>, value: impl Into<String>) -> Self {
        Self::compare(field, Comparison::Gt, value)
    }

    /// The value is greater or equal.
    #[must_use]
    pub fn ge(field: impl Into<String>, value: impl Into<String>) -> Self {
        Self::compare(field, Comparison::Ge, value)
    }

    /// The value begins with this text.
    #[must_use]
    pub fn prefix(field: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self::Prefix { field: field.into(), prefix: prefix.into() }
    }

    /// The value is one of these texts.
    #[must_use]
    pub fn is_in<V: Into<String>>(
        field: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        Self::In { field: field.into(), values: values.into_iter().map(Into::into).collect() }
    }

    /// The records that this does not select.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// Records that this and `other` select.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::And(vec![self, other])
    }

    /// Records that this or `other` selects.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::Or(vec![self, other])
    }

    /// Whether a record is wanted.
    #[must_use]
    pub fn matches(&self, record: &impl Fields) -> bool {
        match self {
            Self::Compare { field, comparison, value } => match record.value(field) {
                Some(found) => compares(found, *comparison, value),
                None => *comparison == Comparison::Ne,
            },
            Self::Prefix { field, prefix } => {
                record.value(field).is_some_and(|found| found.starts_with(prefix))
            }
            Self::In { field, values } => {
                record.value(field).is_some_and(|found| values.iter().any(|value| value == found))
            }
            Self::And(filters) => filters.iter().all(|filter| filter.matches(record)),
            Self::Or(filters) => filters.iter().any(|filter| filter.matches(record)),
            Self::Not(filter) => !filter.matches(record),
        }
    }

    /// Checks that a table has every field that the filter asks for.
    ///
    /// # Errors
    /// [`DiscordDbError::UnknownField`] for the first that it has not.
    pub fn check(&self, table: &str, fields: &[String]) -> Result<(), DiscordDbError> {
        match self {
            Self::Compare { field, .. } | Self::Prefix { field, .. } | Self::In { field, .. } => {
                check_field(field, table, fields)
            }
            Self::And(filters) | Self::Or(filters) => {
                filters.iter().try_for_each(|filter| filter.check(table, fields))
            }
            Self::Not(filter) => filter.check(table, fields),
        }
    }
}

fn check_field(field: &str, table: &str, fields: &[String]) -> Result<(), DiscordDbError> {
    if fields.iter().any(|known| known == field) {
        return Ok(());
    }
    let (table, field) = (table.to_owned(), field.to_owned());
    Err(DiscordDbError::UnknownField { table, field, fields: fields.to_vec() })
}

fn compares(found: &str, comparison: Comparison, value: &str) -> bool {
    let by_worth = !matches!(comparison, Comparison::Eq | Comparison::Ne);
    match Number::parse(value).filter(|_| by_worth) {
        Some(value) => {
            Number::parse(found).is_some_and(|found| comparison.holds(found.cmp(&value)))
        }
        None => comparison.holds(found.cmp(value)),
    }
}

/// By what records are sorted. Equal ones follow each other as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The field; `None`: the time of creation.
    pub field: Option<String>,
    /// The greatest, or newest, first. Records without a value stay last.
    pub descending: bool,
}

impl Order {
    /// Checks that a table has the field.
    ///
    /// # Errors
    /// [`DiscordDbError::UnknownField`] when it has not.
    pub fn check(&self, table: &str, fields: &[String]) -> Result<(), DiscordDbError> {
        self.field.as_ref().map_or(Ok(()), |field| check_field(field, table, fields))
    }

    /// How two records follow each other; equal ones are to be left in the order of their ids, or in
    /// the reverse of it when that is asked for and there is no field.
    #[must_use]
    pub fn compare<F: Fields>(
        &self,
        (left_id, left): (u64, &F),
        (right_id, right): (u64, &F),
    ) -> Ordering {
        let directed =
            |ordering: Ordering| if self.descending { ordering.reverse() } else { ordering };
        let Some(field) = &self.field else { return directed(left_id.cmp(&right_id)) };
        let by_field = match (left.value(field), right.value(field)) {
            (Some(left), Some(right)) => directed(by_worth(left, right)),
            (left, right) => right.is_some().cmp(&left.is_some()),
        };
        by_field.then(left_id.cmp(&right_id))
    }
}

/// Numbers by their worth, before texts; the rest by code point.
fn by_worth(left: &str, right: &str) -> Ordering {
    let worth = match (Number::parse(left), Number::parse(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        (left, right) => right.is_some().cmp(&left.is_some()),
    };
    worth.then_with(|| left.cmp(right))
}

/// What to read of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Which records.
    pub filter: Filter,
    /// In which order; `None`: as they were written.
    pub order: Option<Order>,
    /// At most so many.
    pub limit: Option<u64>,
}

#[cfg(test)]
mod tests;
