//! The table of Discord's rules: every test that it names exists, and none of the suite is left out.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
};

use super::{CONFORMANCE, README, markdown::table};

/// The tests of which every one must be in the table.
const SUITE: &str = "conformance::";

/// Every source file below a directory.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The module that a file is, as paths are written: `gateway::tests` for `gateway/tests.rs`.
fn module(root: &Path, file: &Path) -> Vec<String> {
    let relative = file.strip_prefix(root).unwrap().with_extension("");
    let names = relative.iter().map(|name| name.to_str().unwrap().to_owned());
    names.filter(|name| !["lib", "main", "mod"].contains(&name.as_str())).collect()
}

/// The names of the tests of a text, with the module inside of it that they are in.
fn tests_in(text: &str) -> Vec<(Option<&str>, &str)> {
    let (mut inner, mut is_test) = (None, false);
    let mut found = Vec::new();
    for line in text.lines() {
        let code = line.trim_start();
        if line == "}" {
            inner = None;
        } else if let Some(name) =
            line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {"))
        {
            inner = Some(name);
        } else if let Some(attribute) = code.strip_prefix("#[") {
            let path = attribute.split(['(', ']']).next().unwrap_or_default();
            is_test |= path == "test" || path.ends_with("::test");
        } else {
            let name = code.trim_start_matches("async ").strip_prefix("fn ");
            if let Some(name) = name.and_then(|rest| rest.split('(').next()).filter(|_| is_test) {
                found.push((inner, name));
            }
            is_test &= code.is_empty() || code.starts_with("//");
        }
    }
    found
}

/// Every test of the library and of the integration tests, as cargo prints it.
fn all_tests() -> HashSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = HashSet::new();
    for root in [root.join("src"), root.join("tests")] {
        for file in sources(&root) {
            let text = fs::read_to_string(&file).unwrap();
            for (inner, name) in tests_in(&text) {
                let mut path = module(&root, &file);
                path.extend(inner.map(str::to_owned));
                path.push(name.to_owned());
                names.insert(path.join("::"));
            }
        }
    }
    names
}

/// Every test that the table names.
fn named() -> BTreeSet<String> {
    let rows = table(CONFORMANCE, &["Rule", "What Discord does", "Test"]);
    let mut rules = HashSet::new();
    let mut names = BTreeSet::new();
    for row in rows {
        assert!(!row[1].is_empty(), "{:?} says nothing of Discord", row[0]);
        let tests: Vec<_> = row[2].split(", ").filter(|name| !name.is_empty()).collect();
        assert!(!tests.is_empty(), "{:?} has no test", row[0]);
        names.extend(tests.into_iter().map(str::to_owned));
        assert!(rules.insert(row[0].clone()), "{:?} is there twice", row[0]);
    }
    names
}

#[test]
fn every_test_that_a_rule_names_exists() {
    let all = all_tests();
    let missing: Vec<_> = named().into_iter().filter(|name| !all.contains(name)).collect();
    assert_eq!(missing, [""; 0], "no test has this name");
}

#[test]
fn every_test_of_the_suite_proves_a_rule_of_the_table() {
    let named = named();
    let mut unnamed: Vec<_> = all_tests().into_iter().collect();
    unnamed.retain(|name| name.starts_with(SUITE) && !named.contains(name));
    unnamed.sort();
    assert_eq!(unnamed, [""; 0], "no rule names this test");
}

#[test]
fn tests_are_found_with_their_modules() {
    let text = "#[actix::test]\n#[cfg(unix)]\nasync fn one() {\n}\nfn no_test() {}\nmod tests {\n    #[test]\n    // Why.\n    \
                fn two() {\n    }\n}\n#[tokio::test(start_paused = true)]\nasync fn three() {}\n#[derive(Debug)]\nstruct Four;\n";
    assert_eq!(tests_in(text), [(None, "one"), (Some("tests"), "two"), (None, "three")]);
    assert_eq!(module(Path::new("src"), Path::new("src/gateway/tests.rs")), ["gateway", "tests"]);
    assert_eq!(module(Path::new("src"), Path::new("src/lib.rs")), [""; 0]);
    assert!(all_tests().contains("docs::conformance::tests_are_found_with_their_modules"));
}

#[test]
fn the_readme_says_how_the_suite_is_run() {
    assert!(README.contains("cargo test --test main conformance"));
}
