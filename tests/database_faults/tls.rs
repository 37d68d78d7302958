//! Certificates, as libpq's `sslmode` asks for them.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use dsqlstate::{
    config::{DatabaseConfig, Secret},
    store::{DatabaseTarget, StoreError, connection::connect, failure::FailureClass},
};

use crate::support::server::{self, Server};

/// Runs `openssl`; `None` when there is none.
fn openssl(dir: &Path, arguments: &str) -> Option<()> {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).current_dir(dir);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    assert!(status.success(), "openssl {arguments}");
    Some(())
}

/// A certificate authority of this name.
fn authority(dir: &Path, name: &str) -> Option<PathBuf> {
    openssl(
        dir,
        &format!(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"
        ),
    )?;
    Some(dir.join(format!("{name}.pem")))
}

/// A certificate for `localhost`, signed by `authority`.
fn certificate(dir: &Path) -> Option<()> {
    openssl(
        dir,
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
    )?;
    fs::write(dir.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        dir,
        "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile names -out server.pem",
    )
}

async fn try_connect(server: &Server, host: &str, query: &str) -> Result<String, StoreError> {
    let url = format!("postgres://postgres@{host}:{}/postgres?{query}", server.port);
    let target = DatabaseTarget::new(&Secret::new(url), &DatabaseConfig::default())?;
    let client = connect(&target, "test").await?.client;
    let sql = "select coalesce(version, 'plain') from pg_stat_ssl where pid = pg_backend_pid()";
    Ok(client.query_one(sql, &[]).await.unwrap().get(0))
}

#[actix::test]
async fn certificates_are_verified_as_far_as_the_url_asks_for_it() {
    let dir = server::directory();
    let Some(ours) = authority(dir.path(), "authority") else {
        println!("skipped: there is no openssl to make certificates with");
        return;
    };
    let other = authority(dir.path(), "other").unwrap();
    certificate(dir.path()).unwrap();
    let mut server = Server::new();
    for (name, mode) in [("server.pem", 0o644), ("server.key", 0o600)] {
        let path = server.data().join(name);
        fs::copy(dir.path().join(name), &path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        server::give(&path);
    }
    server.start(&["ssl=on", "ssl_cert_file=server.pem", "ssl_key_file=server.key"]);
    let (ours, other) = (ours.display(), other.display());
    let fine = [
        ("localhost", format!("sslmode=verify-full&sslrootcert={ours}")),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={ours}")),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("localhost", "sslmode=prefer".to_owned()),
    ];
    for (host, query) in fine {
        let version = try_connect(&server, host, &query).await;
        assert_eq!(version.unwrap(), "TLSv1.3", "{host} {query}");
    }
    assert_eq!(try_connect(&server, "localhost", "sslmode=disable").await.unwrap(), "plain");
    let refused = [
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={ours}"), "not valid for name"),
        ("localhost", format!("sslmode=verify-full&sslrootcert={other}"), "UnknownIssuer"),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={other}"), "UnknownIssuer"),
        ("localhost", format!("sslmode=require&sslrootcert={other}"), "UnknownIssuer"),
        ("localhost", "sslmode=verify-full".to_owned(), "UnknownIssuer"),
    ];
    for (host, query, expected) in refused {
        let error = try_connect(&server, host, &query).await.unwrap_err();
        let shown = dsqlstate::error::OneLine(&error).to_string();
        assert!(shown.contains(expected), "{host} {query}: {shown}");
        assert_eq!(error.class(), FailureClass::Fatal, "nobody waits for it: {shown}");
    }
}
