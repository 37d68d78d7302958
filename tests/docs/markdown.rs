//! The little of Markdown that the README uses: tables and fenced blocks.

/// A fenced block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// What follows the opening fence.
    pub(super) language: String,
    /// What is inside.
    pub(super) text: String,
}

/// The fenced blocks of a text, in order, and what is between them.
fn split(text: &str) -> (Vec<Block>, String) {
    let (mut blocks, mut prose) = (Vec::new(), String::new());
    let mut open: Option<Block> = None;
    for line in text.lines() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, Some(language)) => {
                open = Some(Block { language: language.to_owned(), text: String::new() });
            }
            (None, None) => prose += &format!("{line}\n"),
        }
    }
    assert_eq!(open, None, "a block that is not closed");
    (blocks, prose)
}

/// The fenced blocks of a text, in order.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    split(text).0
}

/// The text without its fenced blocks.
pub(super) fn prose(text: &str) -> String {
    split(text).1
}

/// The rows of the one table that has these column names, without back-quotes.
pub(super) fn table(text: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let mut lines = text.lines().skip_while(|line| cells(line) != columns);
    assert!(lines.next().is_some(), "a table with the columns {columns:?}");
    let rows: Vec<_> =
        lines.skip(1).take_while(|line| line.trim_start().starts_with('|')).map(cells).collect();
    for row in &rows {
        assert_eq!(row.len(), columns.len(), "{row:?}");
    }
    rows
}

fn cells(line: &str) -> Vec<String> {
    let Some(line) = line.trim_start().strip_prefix('|') else { return Vec::new() };
    let line = line.trim_end().trim_end_matches('|');
    line.split('|').map(|cell| cell.trim().replace('`', "")).collect()
}

#[test]
fn tables_and_blocks_are_found() {
    let text = "# a\n\n| x | `y` |\n|---|---|\n| `1` | 2 |\n\n  ```sql\nselect 1;\n  ```\nb `c`\n\n```\nd\n```\n";
    assert_eq!(table(text, &["x", "y"]), [["1", "2"]]);
    let block = |language: &str, text: &str| Block { language: language.into(), text: text.into() };
    assert_eq!(blocks(text), [block("sql", "select 1;\n"), block("", "d\n")]);
    assert!(prose(text).contains("b `c`") && !prose(text).contains("select"));
}
