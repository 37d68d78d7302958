//! Wakes the readers of `changes`: one connection of the process says `NOTIFY` for all its writers.
//!
//! `NOTIFY` in a writer's transaction would make all commits of the database wait for each other, so
//! writers only ring a [`ChangeBell`].
//!
//! **Invariant:** a ring is answered by a `NOTIFY` or by the end of the process, however long the
//! database is away; readers that hear neither look by themselves.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_postgres::Client;

use crate::{
    metrics::BellMetrics,
    store::{
        DatabaseTarget, StoreError,
        change_feed::ring,
        connection::connect,
        outage::{Outage, Step},
    },
    writer::bell::ChangeBell,
};

/// Time between two notifications: readers that are woken for every commit would read row by row.
const PAUSE: Duration = Duration::from_millis(50);
/// Wait after a failure that only a change can mend, which the writers notice.
const LONG_WAIT: Duration = Duration::from_secs(10);
/// The writers tell of shorter outages.
const UNTOLD: Duration = Duration::from_secs(10);
/// How long a stop waits for the last notification.
const LAST_LIMIT: Duration = Duration::from_secs(1);

/// The task that answers a bell.
pub(super) struct BellRinger {
    bell: Arc<ChangeBell>,
    task: JoinHandle<()>,
}

impl BellRinger {
    /// Starts it on the current actix system; it connects when it is first needed.
    pub(super) fn start(target: Arc<DatabaseTarget>) -> Self {
        let bell = Arc::<ChangeBell>::default();
        let ringer = Ringer {
            target,
            bell: Arc::clone(&bell),
            metrics: BellMetrics::default(),
            client: None,
        };
        Self { bell, task: actix::spawn(ringer.run()) }
    }

    /// What writers ring.
    pub(super) fn bell(&self) -> Arc<ChangeBell> {
        Arc::clone(&self.bell)
    }

    /// Answers what was rung, unless the database is away, and ends.
    pub(super) async fn stop(self) {
        self.bell.close();
        let abort = self.task.abort_handle();
        if timeout(LAST_LIMIT, self.task).await.is_err() {
            abort.abort();
        }
    }
}

struct Ringer {
    target: Arc<DatabaseTarget>,
    bell: Arc<ChangeBell>,
    metrics: BellMetrics,
    client: Option<Client>,
}

impl Ringer {
    async fn run(mut self) {
        while self.bell.answer().await {
            self.ring_until_heard().await;
            if !self.bell.is_closed() {
                sleep(PAUSE).await;
            }
        }
    }

    async fn ring_until_heard(&mut self) {
        let outage = Outage::new(
            "readers of changes cannot be woken",
            "readers of changes are woken again",
            Duration::MAX,
        );
        let mut outage = outage.untold_for(UNTOLD);
        while let Err(error) = self.ring_once().await {
            self.client = None;
            let step = outage.failed(error.class(), &error, Instant::now());
            if step == Step::GiveUp {
                sleep(LONG_WAIT).await;
            } else {
                step.wait().await;
            }
        }
        outage.over(Instant::now());
        self.metrics.rang();
    }

    async fn ring_once(&mut self) -> Result<(), StoreError> {
        let client = match &mut self.client {
            Some(client) if !client.is_closed() => client,
            slot => slot.insert(connect(&self.target, "bell").await?.client),
        };
        ring(client).await
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio_postgres::{AsyncMessage, NoTls};

    use super::*;
    use crate::{
        config::{DatabaseConfig, Secret},
        store::{change_feed::CHANNEL, testing},
    };

    fn target(url: &Secret) -> Arc<DatabaseTarget> {
        Arc::new(DatabaseTarget::new(url, &DatabaseConfig::default()).expect("a valid url"))
    }

    #[actix::test]
    async fn many_rings_are_few_notifications_and_the_last_one_is_heard() {
        let url = testing::database().await;
        let (client, mut connection) =
            tokio_postgres::connect(url.expose(), NoTls).await.expect("connected");
        let (heard, mut notifications) = tokio::sync::mpsc::unbounded_channel();
        let ears = actix::spawn(async move {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                if let Ok(AsyncMessage::Notification(notification)) = message {
                    heard.send(notification.payload().to_owned()).expect("the test listens");
                }
            }
        });
        client.batch_execute(&format!("listen {CHANNEL}")).await.expect("listening");
        let ringer = BellRinger::start(target(&url));
        let bell = ringer.bell();
        bell.ring();
        assert_eq!(notifications.recv().await.as_deref(), Some(""));
        for _ in 0..1_000 {
            bell.ring();
            tokio::task::yield_now().await;
        }
        assert_eq!(notifications.recv().await.as_deref(), Some(""));
        bell.ring();
        ringer.stop().await;
        assert_eq!(notifications.recv().await.as_deref(), Some(""), "the last one is heard");
        drop(client);
        ears.await.expect("the connection ends");
        let mut rest = 0;
        while notifications.recv().await.is_some() {
            rest += 1;
        }
        assert!(rest < 20, "{rest} more");
    }

    #[actix::test]
    async fn a_database_that_is_away_does_not_keep_the_engine_from_stopping() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let ringer = BellRinger::start(target(&Secret::new(format!("postgres://u@{address}/d"))));
        ringer.bell().ring();
        let stopped = timeout(Duration::from_secs(30), ringer.stop()).await;
        assert!(stopped.is_ok(), "it waits for the database");
    }
}
