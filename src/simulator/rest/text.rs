//! What Discord makes of text that it is given: message contents, channel names, topics.
//!
//! Discord documents that it "may strip certain characters from message content, like invalid unicode
//! characters or characters which cause unexpected message formatting", and that text channels' names are
//! changed, but not how exactly. What is done here is what clients have observed.
//!
//! **Invariant:** cleaning twice changes nothing more.

/// A message's content as it is kept: trimmed, with line feeds as the only line ends, without other
/// control characters and without marks that turn the direction of text around.
pub(super) fn clean_content(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let kept: String = text.chars().filter(|&mark| !is_stripped(mark)).collect();
    kept.trim().to_owned()
}

/// The name of a category or voice channel: trimmed, on one line.
pub(super) fn clean_name(text: &str) -> String {
    let kept: String = text.chars().filter(|&mark| !is_stripped(mark) && mark != '\n').collect();
    kept.trim().to_owned()
}

/// The name of a text channel: in lower case, blanks as single hyphens and none at the ends, without
/// ASCII punctuation other than hyphen and underscore.
pub(super) fn text_channel_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for mark in clean_name(text).to_lowercase().chars() {
        let mark = if mark.is_whitespace() { '-' } else { mark };
        let is_dropped = mark.is_ascii_punctuation() && !matches!(mark, '-' | '_');
        let repeats = mark == '-' && name.ends_with('-');
        if !is_dropped && !repeats {
            name.push(mark);
        }
    }
    name.trim_matches('-').to_owned()
}

fn is_stripped(mark: char) -> bool {
    let turns_direction = matches!(mark, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    turns_direction || (mark.is_control() && !matches!(mark, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_trimmed_and_loses_control_characters() {
        assert_eq!(clean_content(" \u{3000}a \t b\n"), "a \t b");
        assert_eq!(clean_content("a\0b\r\nc\rd\u{202E}e"), "ab\ncde");
        assert_eq!(clean_content("\u{200B}"), "\u{200B}");
        assert_eq!(clean_content(" \n\0 "), "");
    }

    #[test]
    fn text_channels_get_names_in_lower_case_with_hyphens() {
        assert_eq!(text_channel_name("Joey's Cool  Channel"), "joeys-cool-channel");
        assert_eq!(text_channel_name("--a - b__c--"), "a-b__c");
        assert_eq!(text_channel_name("Übung\u{2009}日本 🎉"), "übung-日本-🎉");
        assert_eq!(text_channel_name("!?."), "");
    }

    #[test]
    fn cleaning_twice_changes_nothing_more() {
        for text in ["\0 \0a", " a\u{202A} ", "A - !- B", "\u{1c}x\u{1f}", "- ! -x-.-"] {
            let content = clean_content(text);
            assert_eq!(clean_content(&content), content, "{text:?}");
            let name = text_channel_name(text);
            assert_eq!(text_channel_name(&name), name, "{text:?}");
        }
    }
}
