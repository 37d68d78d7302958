//! `/metrics` and `/healthz`, and that no secret is anywhere.

use dsqlstate::metrics::{Kind, METRICS};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::child::{Run, processes_that_mention};
use crate::support::engine::{Lab, TOKEN, eventually};

/// Status code and body of a GET.
pub(super) async fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Where the listener is, as the log says.
pub(super) async fn address(run: &Run) -> String {
    eventually("the listener is announced", async || {
        let stderr = run.stderr();
        let (_, rest) = stderr.split_once("metrics at http://")?;
        Some(rest.split_once('/')?.0.to_owned())
    })
    .await
}

const LISTEN: &str = "[http]\nlisten = \"127.0.0.1:0\"\n";

#[actix::test]
async fn every_metric_is_exported_with_its_help() {
    let lab = Lab::new().await;
    let mut run = Run::with(&config(&lab, lab.url.expose()));
    let address = address(&run).await;
    eventually("it is healthy", async || (get(&address, "/healthz").await.0 == 200).then_some(()))
        .await;
    lab.traffic(500).await;
    eventually("every metric is there", async || {
        let (status, text) = get(&address, "/metrics").await;
        assert_eq!(status, 200);
        METRICS
            .iter()
            .all(|metric| text.contains(&format!("# HELP {} ", metric.name)))
            .then_some(())
    })
    .await;
    let (_, text) = get(&address, "/metrics").await;
    for metric in METRICS {
        let name = metric.name;
        assert!(text.contains(&format!("# HELP {name} {}\n", metric.help)), "{name}");
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
        let samples: Vec<&str> = text.lines().filter(|line| line.starts_with(name)).collect();
        assert!(!samples.is_empty(), "{name} has no value");
        for label in metric.labels {
            let labelled = format!("{label}=\"");
            assert!(samples.iter().all(|sample| sample.contains(&labelled)), "{samples:?}");
        }
    }
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let known = METRICS.iter().any(|metric| line.starts_with(metric.name));
        assert!(known, "{line} is in no list");
    }
    run.terminate().await;
}

#[actix::test]
async fn health_follows_the_shards() {
    let lab = Lab::new().await;
    let mut run = Run::with(&config(&lab, lab.url.expose()));
    let address = address(&run).await;
    let becomes = async |expected: u16| {
        eventually("the health changes", async || {
            let (status, body) = get(&address, "/healthz").await;
            (status == expected).then_some(body)
        })
        .await
    };
    let body: serde_json::Value = serde_json::from_str(&becomes(200).await).unwrap();
    assert_eq!((&body["healthy"], &body["shards"]), (&true.into(), &2.into()));
    lab.simulator.refuse_connections(true);
    lab.simulator.drop_connections();
    let body: serde_json::Value = serde_json::from_str(&becomes(503).await).unwrap();
    assert_eq!(body["healthy"], false);
    lab.simulator.refuse_connections(false);
    becomes(200).await;
    run.terminate().await;
}

#[actix::test]
async fn token_and_password_are_nowhere_to_be_seen() {
    const PASSWORD: &str = "marker-of-the-password";
    let lab = Lab::new().await;
    // Roles belong to the server, which the last run of the tests may have used too.
    let sql = format!(
        "do $$ begin create role marked; exception when duplicate_object then null; end $$; \
         alter role marked superuser login password '{PASSWORD}'"
    );
    lab.client.batch_execute(&sql).await.unwrap();
    let (_, place) = lab.url.expose().split_once('@').unwrap();
    let url = format!("postgresql://marked:{PASSWORD}@{place}");
    let mut run = Run::with(&format!("{}[log]\nlevel = \"trace\"\n", config(&lab, &url)));
    let address = address(&run).await;
    eventually("it is healthy", async || (get(&address, "/healthz").await.0 == 200).then_some(()))
        .await;
    lab.simulator.drop_connections();
    lab.traffic(200).await;
    let sql =
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'marked'";
    eventually("the password is used", async || (lab.count(sql).await > 0).then_some(())).await;
    eventually("the loss of a connection is logged", async || {
        run.stderr().contains("trying again").then_some(())
    })
    .await;
    let pages = [get(&address, "/metrics").await.1, get(&address, "/healthz").await.1];
    for secret in [TOKEN, PASSWORD] {
        assert_eq!(processes_that_mention(secret), [""; 0]);
        for page in &pages {
            assert!(!page.contains(secret));
        }
    }
    assert!(std::path::Path::new(&format!("/proc/{}", run.pid())).exists(), "it still runs");
    run.terminate().await;
    let log = run.stderr();
    for secret in [TOKEN, PASSWORD] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
}

fn config(lab: &Lab, url: &str) -> String {
    let api_url = lab.simulator.api_url();
    format!(
        "[discord]\ntoken = {TOKEN:?}\napi_url = {api_url:?}\n[database]\nurl = {url:?}\n{LISTEN}"
    )
}
