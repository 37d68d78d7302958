//! A dispatch without its body: type and data.
//!
//! **Invariant:** a text that was checked before is read as it would be if it had not been.

use std::borrow::Cow;

use serde::Deserialize;

use crate::{
    id::Text,
    table::{encode, json::Json},
};

#[derive(Debug, Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) t: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) d: Option<Json<'a>>,
}

impl<'a> Envelope<'a> {
    /// Of a dispatch, which is checked to be JSON unless it has been.
    pub(super) fn of(text: &'a Text) -> serde_json::Result<Self> {
        Self::of_checked(text).map_or_else(|| serde_json::from_str(text), Ok)
    }

    /// `None` for a text that was not checked, and for an odd envelope.
    fn of_checked(text: &'a Text) -> Option<Self> {
        let (mut t, mut d) = (None, None);
        for (key, value) in Json::of_checked(text)?.members().ok()? {
            let value = Some(value).filter(|value| !value.is_null());
            match (&*key, value) {
                ("t", Some(name)) => t = Some(encode::string(name.get()).ok()?),
                ("d", value) => d = value,
                _ => {}
            }
        }
        Some(Self { t, d })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Type and data, or that it is none.
    fn read(text: &Text) -> Option<(Option<String>, Option<String>)> {
        let Envelope { t, d } = Envelope::of(text).ok()?;
        Some((t.map(Cow::into_owned), d.map(|d| d.get().to_owned())))
    }

    #[test]
    fn a_checked_text_is_read_as_one_that_was_not() {
        for text in [
            r#"{"op":0,"t":"GUILD_CREATE","s":1,"d":{"id":"1"}}"#,
            r#" { "d" : [ 1 , "}" ] , "t" : "A\u0042\"" } "#,
            r#"{"t":null,"d":null,"op":10}"#,
            r#"{"\u0074":"X","\u0064":7}"#,
            r#"{"d":"a \"string\""}"#,
            r#"{"t":7,"d":{}}"#,
            "{}",
            "[]",
            "7",
        ] {
            let unchecked = Text::from(text);
            let mut checked = unchecked.clone();
            checked.set_json();
            assert_eq!(read(&checked), read(&unchecked), "{text}");
        }
    }
}
