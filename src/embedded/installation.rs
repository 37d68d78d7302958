//! Finds the PostgreSQL programs of this machine.
//!
//! **Invariant:** an [`Installation`] has `initdb` and `postgres` of one version that runs here.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::error::EmbeddedError;

/// The oldest major version that the schema works with.
pub const MIN_MAJOR: u32 = 14;

/// The programs of one PostgreSQL version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installation {
    bin_dir: PathBuf,
    pub(super) major: u32,
}

impl Installation {
    /// The installation to use: in `bin_dir` when that is given, otherwise the newest one found.
    /// When `pgdata` holds data already, only its own major version will do.
    pub(super) fn find(bin_dir: Option<&Path>, pgdata: &Path) -> Result<Self, EmbeddedError> {
        let found = match bin_dir {
            Some(path) => vec![
                Self::in_dir(path)
                    .ok_or_else(|| EmbeddedError::NoServerIn { path: path.to_owned() })?,
            ],
            None => candidates().iter().filter_map(|dir| Self::in_dir(dir)).collect(),
        };
        choose(found, data_version(pgdata), pgdata)
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.bin_dir.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.bin_dir.join("postgres")
    }

    fn in_dir(bin_dir: &Path) -> Option<Self> {
        if !bin_dir.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(bin_dir.join("postgres")).arg("--version").output().ok()?;
        let major = parse_major(&String::from_utf8_lossy(&output.stdout))?;
        (major >= MIN_MAJOR).then(|| Self { bin_dir: bin_dir.to_owned(), major })
    }
}

fn choose(
    mut found: Vec<Installation>,
    wanted: Option<u32>,
    pgdata: &Path,
) -> Result<Installation, EmbeddedError> {
    // A stable sort: of equal versions the first candidate stays first.
    found.sort_by_key(|installation| std::cmp::Reverse(installation.major));
    let majors: Vec<_> = found.iter().map(|found| found.major.to_string()).collect();
    let fits = |found: &Installation| wanted.is_none_or(|wanted| wanted == found.major);
    match (found.into_iter().find(fits), wanted) {
        (Some(installation), _) => Ok(installation),
        (None, Some(wanted)) if !majors.is_empty() => Err(EmbeddedError::WrongVersion {
            path: pgdata.to_owned(),
            wanted,
            found: majors.join(", "),
        }),
        (None, _) => Err(EmbeddedError::NoServer),
    }
}

/// The major version that wrote `pgdata`, when it is complete.
fn data_version(pgdata: &Path) -> Option<u32> {
    fs::read_to_string(pgdata.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`; also `17beta1` and `18devel`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok()
}

/// Finds another program of PostgreSQL, such as `psql`: in `bin_dir`, or where servers are searched.
#[must_use]
pub fn find_program(name: &str, bin_dir: Option<&Path>) -> Option<PathBuf> {
    bin_dir
        .map(Path::to_owned)
        .into_iter()
        .chain(candidates())
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
}

/// The directories where systems keep the programs; the caller's own choice, `PATH`, comes first.
fn candidates() -> Vec<PathBuf> {
    let mut dirs: Vec<_> = env::var_os("PATH").iter().flat_map(env::split_paths).collect();
    dirs.extend(versioned("/usr/lib/postgresql", "", "bin"));
    dirs.extend(pg_config_bindir());
    dirs.extend(versioned("/usr", "pgsql-", "bin"));
    dirs.extend(versioned("/usr/libexec", "postgresql", ""));
    dirs.extend(versioned("/opt/homebrew/opt", "postgresql", "bin"));
    dirs.extend(versioned("/usr/local/opt", "postgresql", "bin"));
    dirs.push("/usr/local/pgsql/bin".into());
    dirs
}

/// `parent/prefix*/below`, whatever exists.
fn versioned(parent: &str, prefix: &str, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut dirs: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(below))
        .collect();
    dirs.sort();
    dirs
}

fn pg_config_bindir() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let dir = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(dir.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(major: u32) -> Installation {
        Installation { bin_dir: PathBuf::from(format!("/opt/{major}")), major }
    }

    #[test]
    fn versions_of_every_kind_are_read() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 18devel\n"), Some(18));
        assert_eq!(parse_major("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(parse_major("something else 15"), None);
    }

    #[test]
    fn new_data_gets_the_newest_version_and_old_data_its_own() {
        let found = vec![installation(14), installation(17), installation(15)];
        let path = Path::new("/d");
        assert_eq!(choose(found.clone(), None, path).expect("found").major, 17);
        assert_eq!(choose(found.clone(), Some(15), path).expect("found").major, 15);
        let error = choose(found, Some(16), path).expect_err("not installed").to_string();
        assert!(error.starts_with(
            "/d was written by PostgreSQL 16, which is not installed (found: 17, 15, 14)"
        ));
    }

    #[test]
    fn no_server_at_all_says_what_to_install() {
        for wanted in [None, Some(15)] {
            let error = choose(Vec::new(), wanted, Path::new("/d")).expect_err("none").to_string();
            assert!(error.contains("apt-get install postgresql"), "{error}");
        }
    }

    #[test]
    fn a_directory_without_a_server_is_named() {
        let error = Installation::find(Some(Path::new("/nowhere")), Path::new("/d"));
        assert!(error.expect_err("none").to_string().ends_with("in server_bin_dir /nowhere"));
    }
}
