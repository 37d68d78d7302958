//! Shows errors with their causes.
//!
//! **Invariant:** an error's own text leaves its source out, so a chain repeats nothing.

use std::{error::Error, fmt, iter};

/// `error` and everything behind it.
pub fn chain<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

/// `error` and everything behind it on one line, separated by `: `.
pub struct OneLine<'e>(pub &'e (dyn Error + 'static));

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in chain(self.0).enumerate() {
            let text = error.to_string();
            let lines: Vec<_> =
                text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let separator = if index == 0 { "" } else { ": " };
            write!(f, "{separator}{}", lines.join(" "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read\n  the file")]
    struct Outer(#[source] fmt::Error);

    #[test]
    fn causes_follow_on_the_same_line() {
        let error = Outer(fmt::Error);
        let expected = format!("cannot read the file: {}", fmt::Error);
        assert_eq!(OneLine(&error).to_string(), expected);
    }
}
