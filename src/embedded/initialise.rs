//! Makes the server's files: `initdb`, settings, the database.
//!
//! **Invariant:** `pgdata` gets its name only when everything in it is complete, so an interruption
//! at any moment leaves either nothing or a whole server.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    process::{Command, Output, Stdio},
};

use nix::fcntl::OFlag;

use super::{
    DATABASE, USER,
    account::Account,
    data_dir::{DataDir, write_private},
    error::EmbeddedError,
    installation::Installation,
};

/// Appended to `postgresql.conf`, where the owner of the machine may change them. What makes rows
/// durable (`fsync`, `synchronous_commit`, `full_page_writes`) keeps PostgreSQL's default: on.
const SETTINGS: &str = "
# Set by dsqlstate for many small transactions from few connections.
max_connections = 100
shared_buffers = 256MB
max_wal_size = 4GB
checkpoint_timeout = 15min
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
";

/// Makes the server's files unless they are there.
pub(super) fn initialise(
    dir: &DataDir,
    installation: &Installation,
    account: &Account,
) -> Result<(), EmbeddedError> {
    let pgdata = dir.pgdata();
    if pgdata.join("PG_VERSION").exists() {
        return Ok(());
    }
    let unfinished = dir.unfinished_pgdata();
    if unfinished.exists() {
        tracing::info!(path = %unfinished.display(), "removing an initdb that did not finish");
        fs::remove_dir_all(&unfinished).map_err(EmbeddedError::file("remove", &unfinished))?;
    }
    DirBuilder::new()
        .mode(0o700)
        .create(&unfinished)
        .map_err(EmbeddedError::file("create the directory", &unfinished))?;
    account.give(&unfinished)?;
    initdb(dir, installation, account)?;
    append_settings(&unfinished, installation, account)?;
    create_database(&unfinished, installation, account)?;
    fs::rename(&unfinished, &pgdata).map_err(EmbeddedError::file("rename", &unfinished))?;
    File::open(dir.path())
        .and_then(|dir| dir.sync_all())
        .map_err(EmbeddedError::file("sync", dir.path()))
}

fn initdb(
    dir: &DataDir,
    installation: &Installation,
    account: &Account,
) -> Result<(), EmbeddedError> {
    let password = dir.create_password()?;
    // The server's user may not read our password file, so initdb gets a copy for a moment.
    let password_file = dir.path().join("password.initdb");
    write_private(&password_file, password.expose())?;
    let result = account.give(&password_file).and_then(|()| {
        // The first locale sorts by code point and knows letters; the second is everywhere.
        run_initdb(dir, installation, account, &password_file, "C.UTF-8")
            .or_else(|_| run_initdb(dir, installation, account, &password_file, "C"))
    });
    fs::remove_file(&password_file).map_err(EmbeddedError::file("remove", &password_file))?;
    result
}

fn run_initdb(
    dir: &DataDir,
    installation: &Installation,
    account: &Account,
    password_file: &Path,
    locale: &str,
) -> Result<(), EmbeddedError> {
    let pgdata = dir.unfinished_pgdata();
    let mut command = account.command(installation.initdb());
    command
        .args(["--username", USER, "--auth=scram-sha-256", "--encoding=UTF8", "--data-checksums"])
        .arg(format!("--locale={locale}"))
        .arg("--pgdata")
        .arg(&pgdata)
        .arg("--pwfile")
        .arg(password_file);
    run("initdb", command, &pgdata, "").map(drop)
}

fn append_settings(
    pgdata: &Path,
    installation: &Installation,
    account: &Account,
) -> Result<(), EmbeddedError> {
    let path = pgdata.join("postgresql.conf");
    let compression = wal_compression(pgdata, installation, account);
    OpenOptions::new()
        .append(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(&path)
        .and_then(|mut file| {
            writeln!(file, "{SETTINGS}wal_compression = {compression}")?;
            file.sync_all()
        })
        .map_err(EmbeddedError::file("write", path))
}

/// `lz4` came with 15, and only where the packager compiled it in.
fn wal_compression(pgdata: &Path, installation: &Installation, account: &Account) -> &'static str {
    let mut command = account.command(installation.postgres());
    command.arg("-D").arg(pgdata).args(["-c", "wal_compression=lz4", "-C", "wal_compression"]);
    match command.output() {
        Ok(output) if output.status.success() => "lz4",
        _ => "on",
    }
}

/// Runs a server without connections for one statement.
fn create_database(
    pgdata: &Path,
    installation: &Installation,
    account: &Account,
) -> Result<(), EmbeddedError> {
    let mut command = account.command(installation.postgres());
    command.arg("--single").arg("-D").arg(pgdata).args(["-c", "exit_on_error=on", "postgres"]);
    run("postgres", command, pgdata, &format!("CREATE DATABASE {DATABASE}\n")).map(drop)
}

fn run(
    program: &'static str,
    mut command: Command,
    path: &Path,
    input: &str,
) -> Result<Output, EmbeddedError> {
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(input.as_bytes())?;
            }
            child.wait_with_output()
        });
    let output = spawned.map_err(EmbeddedError::file("run", command.get_program()))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(EmbeddedError::Program {
        program,
        path: path.to_owned(),
        status: output.status.to_string(),
        output: last_lines(&String::from_utf8_lossy(&output.stderr)),
    })
}

/// The last lines that say something, on one line.
pub(super) fn last_lines(text: &str) -> String {
    const LINES: usize = 3;
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("; ")
}
