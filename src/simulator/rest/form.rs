//! Request bodies and query strings: reading their fields, and saying which of them are wrong.
//!
//! **Invariant:** a field that is missing, null or wrong is told apart; nothing of a bad request is
//! carried out.

use serde_json::{Map, Value, json};

use super::reply::Reply;

/// The fields that were found wrong so far, as Discord's error object nests them.
#[derive(Debug, Default)]
pub(super) struct FormErrors(Map<String, Value>);

impl FormErrors {
    /// Notes what is wrong with a field.
    pub(super) fn add(&mut self, field: &str, code: &str, message: &str) {
        let error = json!({ "_errors": [{ "code": code, "message": message }] });
        self.0.insert(field.to_owned(), error);
    }

    /// Notes that a text is too long.
    pub(super) fn too_long(&mut self, field: &str, max_chars: usize) {
        let message = format!("Must be {max_chars} or fewer in length.");
        self.add(field, "BASE_TYPE_MAX_LENGTH", &message);
    }

    /// Notes that a length is not within bounds.
    pub(super) fn bad_length(&mut self, field: &str, min: usize, max: usize) {
        let message = format!("Must be between {min} and {max} in length.");
        self.add(field, "BASE_TYPE_BAD_LENGTH", &message);
    }

    /// Notes that a field is needed.
    pub(super) fn required(&mut self, field: &str) {
        self.add(field, "BASE_TYPE_REQUIRED", "This field is required");
    }

    /// The errors as an answer, if there are any.
    pub(super) fn into_result(self) -> Result<(), Reply> {
        if self.0.is_empty() { Ok(()) } else { Err(Reply::invalid_form(self.0)) }
    }
}

/// The answer to one wrong field.
pub(super) fn wrong(field: &str, code: &str, message: &str) -> Reply {
    let mut errors = FormErrors::default();
    errors.add(field, code, message);
    Reply::invalid_form(errors.0)
}

/// The body as a JSON object.
pub(super) fn body(bytes: &[u8]) -> Result<Map<String, Value>, Reply> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(Reply::bad_request(50_109, "The request body contains invalid JSON.")),
    }
}

/// The id of a path, which must be a number.
pub(super) fn path_id(field: &str, id: Option<u64>) -> Result<u64, Reply> {
    id.ok_or_else(|| wrong(field, "NUMBER_TYPE_COERCE", "Value is not snowflake."))
}

/// A snowflake in JSON: a string, or a number.
pub(super) fn snowflake(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// A parameter of the query string, decoded.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| decode(value))
    })
}

/// A snowflake of the query string.
pub(super) fn id_parameter(query: &str, name: &str) -> Result<Option<u64>, Reply> {
    parameter(query, name)
        .map(|value| {
            let message = format!("Value \"{value}\" is not snowflake.");
            value.parse().map_err(|_| wrong(name, "NUMBER_TYPE_COERCE", &message))
        })
        .transpose()
}

/// The parameter `limit` between 1 and a maximum.
pub(super) fn limit(query: &str, default: usize, max: usize) -> Result<usize, Reply> {
    let Some(value) = parameter(query, "limit") else { return Ok(default) };
    let Ok(limit) = value.parse::<i64>() else {
        let message = format!("Value \"{value}\" is not int.");
        return Err(wrong("limit", "NUMBER_TYPE_COERCE", &message));
    };
    match usize::try_from(limit) {
        Ok(limit) if limit > max => {
            let message = format!("int value should be less than or equal to {max}.");
            Err(wrong("limit", "NUMBER_TYPE_MAX", &message))
        }
        Ok(limit) if limit > 0 => Ok(limit),
        _ => {
            let message = "int value should be greater than or equal to 1.";
            Err(wrong("limit", "NUMBER_TYPE_MIN", message))
        }
    }
}

/// Undoes percent-encoding. A plus is a blank, as in forms.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = std::str::from_utf8(tail.get(..2).unwrap_or_default())
            .ok()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, escaped) {
            (b'%', Some(byte)) if tail.len() >= 2 => {
                bytes.push(byte);
                rest = &tail[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_by_their_whole_name_and_decoded() {
        let query = "xlimit=3&before=2026-01-02T03%3A04%3A05%2B00%3A00&limit=7&bad=%zz%4";
        assert_eq!(parameter(query, "before").as_deref(), Some("2026-01-02T03:04:05+00:00"));
        assert_eq!(parameter(query, "limit").as_deref(), Some("7"));
        assert_eq!(parameter(query, "bad").as_deref(), Some("%zz%4"));
        assert_eq!(parameter(query, "after"), None);
    }

    #[test]
    fn a_limit_out_of_bounds_is_refused() {
        assert!(matches!(limit("limit=100", 50, 100), Ok(100)));
        assert!(matches!(limit("", 50, 100), Ok(50)));
        for bad in ["limit=101", "limit=0", "limit=-1", "limit=x"] {
            assert!(limit(bad, 50, 100).is_err(), "{bad}");
        }
    }
}
