//! The dependencies are what deny.toml allows, as far as that can be known without a network: advisories
//! are not. `make deny` checks those too.

use std::{collections::BTreeSet, process::Command};

use serde::Deserialize;

/// What cargo-deny reads.
const DENY: &str = include_str!("../deny.toml");

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    wildcards: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    unknown_registry: String,
    unknown_git: String,
    allow_registry: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// None for our own.
    source: Option<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    req: String,
}

/// Every package of Cargo.lock, for every platform.
fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--all-features", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let packages = serde_json::from_slice::<Metadata>(&output.stdout).unwrap().packages;
    assert!(packages.len() > 100, "{} packages", packages.len());
    packages
}

fn deny() -> Deny {
    toml::from_str(DENY).unwrap()
}

/// Whether an SPDX expression is satisfied by some of `allowed`. `AND` binds closer than `OR`, and so does
/// the `/` of older packages, which means `OR`.
fn is_satisfied(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let satisfied = any_of(&mut words, allowed);
    assert_eq!(words.next(), None, "{expression}");
    satisfied
}

type Words<'w> = std::iter::Peekable<std::str::SplitWhitespace<'w>>;

fn any_of(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    let mut satisfied = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        satisfied |= all_of(words, allowed);
    }
    satisfied
}

fn all_of(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    let mut satisfied = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        satisfied &= one(words, allowed);
    }
    satisfied
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    match words.next().unwrap() {
        "(" => {
            let satisfied = any_of(words, allowed);
            assert_eq!(words.next(), Some(")"));
            satisfied
        }
        license => {
            // A licence with an exception is another one.
            let exception = words.next_if_eq(&"WITH").and_then(|_| words.next());
            exception.is_none() && allowed.contains(license)
        }
    }
}

#[test]
fn expressions_are_read_as_spdx_has_them() {
    let allowed = BTreeSet::from(["MIT", "ISC"]);
    for yes in [
        "MIT",
        "GPL OR MIT",
        "GPL/MIT",
        "(GPL OR MIT) AND ISC",
        "GPL AND X OR MIT",
        "MIT OR A WITH b",
    ] {
        assert!(is_satisfied(yes, &allowed), "{yes}");
    }
    for no in ["GPL", "MIT AND GPL", "(MIT OR GPL) AND GPL", "MIT WITH exception"] {
        assert!(!is_satisfied(no, &allowed), "{no}");
    }
}

#[test]
fn every_licence_is_allowed_and_every_allowed_one_is_needed() {
    let (deny, packages) = (deny(), packages());
    let allowed: BTreeSet<&str> = deny.licenses.allow.iter().map(String::as_str).collect();
    let refused = |allowed: &BTreeSet<&str>| {
        let of = |package: &Package| package.license.clone().unwrap_or_default();
        let refused = packages.iter().filter(|package| !is_satisfied(&of(package), allowed));
        refused.map(|package| format!("{}: {}", package.name, of(package))).collect::<Vec<_>>()
    };
    assert_eq!(refused(&allowed), [""; 0]);
    for license in &allowed {
        let mut others = allowed.clone();
        others.remove(license);
        assert!(!refused(&others).is_empty(), "nothing needs {license}");
    }
}

#[test]
fn every_package_comes_from_crates_io_and_says_which_versions_it_takes() {
    let deny = deny();
    let Sources { unknown_registry, unknown_git, allow_registry } = &deny.sources;
    assert!(
        [unknown_registry, unknown_git, &deny.bans.wildcards].iter().all(|word| *word == "deny")
    );
    for Package { name, version, source, dependencies, .. } in packages() {
        match source {
            Some(source) => {
                let registry = source.strip_prefix("registry+").unwrap_or(&source);
                assert!(allow_registry.iter().any(|a| a == registry), "{name} {version}: {source}");
            }
            None => {
                assert_eq!(name, "dsqlstate", "only we are not from a registry");
                let wild = dependencies.iter().find(|dependency| dependency.req == "*");
                assert!(wild.is_none(), "{:?} takes any version", wild.map(|d| &d.name));
            }
        }
    }
}
