//! The little of Markdown that the README uses: tables and fenced blocks.

/// A fenced block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    /// What follows the opening fence.
    pub(super) language: &'a str,
    /// What is inside.
    pub(super) text: &'a str,
}

/// The fenced blocks of a text, in order.
pub(super) fn blocks(text: &str) -> Vec<Block<'_>> {
    // Fences open and close in turn: every second part is inside one.
    let inside = text.split("\n```").skip(1).step_by(2);
    inside
        .map(|part| {
            let (language, text) = part.split_once('\n').unwrap_or((part, ""));
            Block { language, text }
        })
        .collect()
}

/// The text without its fenced blocks.
pub(super) fn prose(text: &str) -> String {
    text.split("\n```").step_by(2).collect()
}

/// The rows of the one table that has these column names, without back-quotes.
pub(super) fn table(text: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let mut lines = text.lines().skip_while(|line| cells(line) != columns);
    assert!(lines.next().is_some(), "a table with the columns {columns:?}");
    let rows: Vec<_> = lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect();
    for row in &rows {
        assert_eq!(row.len(), columns.len(), "{row:?}");
    }
    rows
}

fn cells(line: &str) -> Vec<String> {
    let Some(line) = line.strip_prefix('|') else { return Vec::new() };
    let line = line.trim_end().trim_end_matches('|');
    line.split('|').map(|cell| cell.trim().replace('`', "")).collect()
}

#[test]
fn tables_and_blocks_are_found() {
    let text = "# a\n\n| x | `y` |\n|---|---|\n| `1` | 2 |\n\n```sql\nselect 1;\n```\nb `c`\n\n```\nd\n```\n";
    assert_eq!(table(text, &["x", "y"]), [["1", "2"]]);
    let found: Vec<_> = blocks(text).iter().map(|block| (block.language, block.text)).collect();
    assert_eq!(found, [("sql", "select 1;"), ("", "d")]);
    assert!(prose(text).contains("b `c`") && !prose(text).contains("select"));
}
