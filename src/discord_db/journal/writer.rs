//! Appends notes in the order in which they come, many in one go.
//!
//! **Invariant:** notes that could not be written are written before any later ones.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::{Journal, Note};
use crate::discord_db::DiscordDbError;

/// Appends that become durable together.
const MAX_BATCH: usize = 1024;

struct Append {
    notes: Vec<Note>,
    written: oneshot::Sender<Result<(), DiscordDbError>>,
}

/// Sends notes to the task that owns the journal. The task ends, and closes the journal, when this is
/// dropped.
pub(crate) struct JournalWriter {
    sender: mpsc::UnboundedSender<Append>,
    closed: oneshot::Receiver<()>,
}

impl JournalWriter {
    /// Starts the task on the current tokio runtime.
    pub(crate) fn start(journal: Journal) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (closing, closed) = oneshot::channel();
        tokio::spawn(async move {
            write_all(journal, receiver).await;
            // Whoever closed the journal may have lost interest.
            let _ = closing.send(());
        });
        Self { sender, closed }
    }

    /// Takes the notes at once; the future ends when they are durable. It may be dropped.
    pub(crate) fn append(
        &self,
        notes: Vec<Note>,
    ) -> impl Future<Output = Result<(), DiscordDbError>> + use<> {
        let (written, result) = oneshot::channel();
        // A task that is gone drops `written`, too.
        let _ = self.sender.send(Append { notes, written });
        async { result.await.unwrap_or(Err(DiscordDbError::Stopped)) }
    }

    /// Writes what was appended, and closes the journal.
    pub(crate) async fn close(self) {
        drop(self.sender);
        // Gone in any case.
        let _ = self.closed.await;
    }
}

async fn write_all(mut journal: Journal, mut appends: mpsc::UnboundedReceiver<Append>) {
    let mut unwritten: Vec<Note> = Vec::new();
    let mut batch = Vec::new();
    while appends.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let mut waiting = Vec::with_capacity(batch.len());
        for append in batch.drain(..) {
            unwritten.extend(append.notes);
            waiting.push(append.written);
        }
        let notes: Arc<[Note]> = std::mem::take(&mut unwritten).into();
        let result = if notes.is_empty() {
            Ok(())
        } else {
            let Some(written) = journal.append(Arc::clone(&notes)).await else { return };
            journal = written.0;
            written.1
        };
        if result.is_err() {
            unwritten = notes.to_vec();
        }
        for written in waiting {
            // Whoever does not wait does not want to know.
            let _ = written.send(result.clone());
        }
    }
}
