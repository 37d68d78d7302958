//! The operating system's user that the server runs as.
//!
//! **Invariant:** never root, because PostgreSQL refuses it; the owner of existing data, always.

use std::{
    env,
    ffi::OsStr,
    fs::{self, Metadata},
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::unistd::{Gid, Uid, User, getegid, geteuid};

use super::error::EmbeddedError;

/// Variables that a server needs from us. Everything else stays here: the environment of a process
/// can be read, and ours may hold a token.
const KEPT_VARIABLES: [&str; 5] = ["PATH", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// Who runs the server.
#[derive(Clone, Debug)]
pub(super) struct Account {
    uid: Uid,
    gid: Gid,
    name: String,
    /// Whether we are root and have to become this user.
    switch: bool,
}

impl Account {
    /// The owner of `pgdata` if it exists; otherwise us, or as root `postgres` or `nobody`.
    pub(super) fn choose(pgdata: &Path) -> Result<Self, EmbeddedError> {
        let owner = fs::metadata(pgdata).ok().map(|metadata| Uid::from_raw(metadata.uid()));
        let us = geteuid();
        if !us.is_root() {
            return match owner {
                Some(owner) if owner != us => Err(EmbeddedError::ForeignData {
                    path: pgdata.to_owned(),
                    owner: name_of(owner),
                }),
                _ => Ok(Self { uid: us, gid: getegid(), name: name_of(us), switch: false }),
            };
        }
        let user = match owner {
            Some(owner) => User::from_uid(owner).ok().flatten(),
            None => {
                ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok().flatten())
            }
        };
        user.filter(|user| !user.uid.is_root())
            .map(|user| Self {
                uid: user.uid,
                gid: user.gid,
                name: name_of(user.uid),
                switch: true,
            })
            .ok_or(EmbeddedError::NoAccount)
    }

    /// Whether we are root, and this is somebody else.
    pub(super) fn is_switched(&self) -> bool {
        self.switch
    }

    pub(super) fn owns(&self, metadata: &Metadata) -> bool {
        metadata.uid() == self.uid.as_raw()
    }

    /// Gives `path` to this user, when we are root.
    pub(super) fn give(&self, path: &Path) -> Result<(), EmbeddedError> {
        if !self.switch {
            return Ok(());
        }
        chown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
            .map_err(EmbeddedError::file("change the owner of", path))
    }

    /// A command that runs `program` as this user, with nothing of our environment that matters.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
        command.envs(KEPT_VARIABLES.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        if self.switch {
            // The standard library also drops root's other groups.
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }

    /// Checks that this user may enter `dir` and every directory above it.
    pub(super) fn check_reaches(&self, dir: &Path) -> Result<(), EmbeddedError> {
        if !self.switch {
            return Ok(());
        }
        let dir = fs::canonicalize(dir).map_err(EmbeddedError::file("resolve", dir))?;
        let blocks = |dir: &&Path| fs::metadata(dir).is_ok_and(|meta| !self.may_enter(&meta));
        match dir.ancestors().filter(blocks).last() {
            None => Ok(()),
            Some(path) => Err(EmbeddedError::NotTraversable {
                account: self.name.clone(),
                path: PathBuf::from(path),
            }),
        }
    }

    fn may_enter(&self, metadata: &Metadata) -> bool {
        let execute = if self.owns(metadata) {
            0o100
        } else if metadata.gid() == self.gid.as_raw() {
            0o010
        } else {
            0o001
        };
        metadata.mode() & execute != 0
    }
}

fn name_of(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => format!("user {}", user.name),
        _ => format!("user id {uid}"),
    }
}
