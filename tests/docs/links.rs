//! The links of the README and of docs/queries.md into the repository.

use std::path::Path;

use super::{QUERIES, README, markdown::prose};

/// The targets of the links of a text.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// What a heading is called in a link, as forges make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Checks the links of a text whose file is in `dir`, and counts them.
fn check(text: &str, dir: &str) -> usize {
    let prose = prose(text);
    let anchors: Vec<_> = prose.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
    let mut count = 0;
    for target in targets(&prose).filter(|target| !target.starts_with("http")) {
        count += 1;
        match target.strip_prefix('#') {
            Some(wanted) => assert!(anchors.iter().any(|a| a == wanted), "no heading {wanted}"),
            None => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir).join(target);
                assert!(path.exists(), "no file {target}");
            }
        }
    }
    count
}

#[test]
fn every_link_leads_somewhere() {
    assert!(check(README, "") > 10, "links of the README were found");
    assert!(check(QUERIES, "docs") > 10, "links of docs/queries.md were found");
}

#[test]
fn the_targets_of_make_exist() {
    let makefile = include_str!("../../Makefile");
    let typed = README.split(['\n', '`']).filter_map(|text| text.trim().strip_prefix("make "));
    let targets: Vec<_> = typed.filter_map(|rest| rest.split_whitespace().next()).collect();
    assert!(targets.contains(&"demo") && targets.contains(&"test"), "{targets:?}");
    for target in targets {
        assert!(makefile.contains(&format!("\n{target}:")), "no make target {target}");
    }
}
