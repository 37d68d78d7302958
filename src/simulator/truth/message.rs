//! What was told of one message, with the versions that were superseded.
//!
//! **Invariant:** a version is superseded only when one of the fields that make a version changed; URLs
//! signed anew and another edit time alone make none.

use std::sync::Arc;

use crate::simulator::model::{Attachment, Message};

/// One message as told so far.
#[derive(Clone, Debug, Default)]
pub(super) struct MessageTold {
    pub(super) current: Option<Arc<Message>>,
    pub(super) channel_id: u64,
    /// Earlier versions, by the time of their edit in milliseconds, then as they arrived.
    pub(super) superseded: Vec<Arc<Message>>,
    /// Whether content, embeds, attachments, components and poll were ever told.
    pub(super) content_told: bool,
    /// Whether MESSAGE_CREATE told of it: an update says nothing of `tts`, it has it false always.
    pub(super) was_created: bool,
    pub(super) delete_cause: Option<&'static str>,
}

impl MessageTold {
    /// Whether it was told and not deleted.
    pub(super) fn is_present(&self) -> bool {
        self.current.is_some() && self.delete_cause.is_none()
    }

    /// MESSAGE_CREATE or MESSAGE_UPDATE.
    pub(super) fn tell(&mut self, message: &Arc<Message>, content_told: bool) {
        let mut told = without_signatures(message);
        self.channel_id = message.channel_id.0;
        if let Some(known) = &self.current {
            if edited_ms(&told) < edited_ms(known) {
                return self.tell_earlier(told, content_told);
            }
            if self.content_told && !content_told {
                told = Arc::new(with_content_of(&told, known));
            }
            // Left out means that Discord did not look it up.
            if told.referenced_message.is_none() && known.referenced_message.is_some() {
                let referenced_message = known.referenced_message.clone();
                told = Arc::new(Message { referenced_message, ..Message::clone(&told) });
            }
            // Text that is told for the first time completes a version, it does not supersede one.
            let completes = content_told && !self.content_told;
            if !completes && !is_same_version(known, &told) {
                self.superseded.push(Arc::clone(known));
            }
        }
        self.content_told |= content_told;
        self.current = Some(told);
    }

    /// A version that was overtaken by a later edit: history, and nothing else.
    fn tell_earlier(&mut self, told: Arc<Message>, content_told: bool) {
        let at = edited_ms(&told);
        let is_known =
            |version: &Arc<Message>| edited_ms(version) == at && is_same_version(version, &told);
        if content_told == self.content_told && !self.superseded.iter().any(is_known) {
            let place = self.superseded.partition_point(|version| edited_ms(version) <= at);
            self.superseded.insert(place, told);
        }
    }

    /// What superseded an earlier version, where that is one thing.
    pub(super) fn cause(&self, revision: usize) -> Option<&'static str> {
        let next = self.superseded.get(revision + 1).or(self.current.as_ref())?;
        cause(self.superseded.get(revision)?, next)
    }

    /// MESSAGE_DELETE or MESSAGE_DELETE_BULK; the first cause stays.
    pub(super) fn delete(&mut self, channel_id: u64, cause: &'static str) {
        self.channel_id = channel_id;
        self.delete_cause.get_or_insert(cause);
    }
}

/// When a version was made; that of a message that was never edited comes first.
fn edited_ms(message: &Message) -> Option<i64> {
    message.edited_timestamp.map(|at| at.as_ms())
}

/// Why the next version came; `None` if several things changed at once.
fn cause(old: &Message, new: &Message) -> Option<&'static str> {
    let is_started = old.thread.is_none() && new.thread.is_some();
    let causes = [
        ("edit", old.edited_timestamp != new.edited_timestamp),
        ("embeds", old.embeds != new.embeds),
        ("pin", old.pinned != new.pinned),
        ("flags", old.flags != new.flags && !is_started),
        ("poll", old.poll != new.poll),
        ("thread", is_started),
    ];
    let mut found = causes.into_iter().filter(|(_, changed)| *changed).map(|(cause, _)| cause);
    let cause = found.next();
    if found.next().is_none() { cause } else { None }
}

fn is_same_version(left: &Message, right: &Message) -> bool {
    let mentioned = |message: &Message| {
        message.mentions.iter().map(|mention| mention.user.id).collect::<Vec<_>>()
    };
    left.content == right.content
        && left.embeds == right.embeds
        && left.attachments == right.attachments
        && left.components == right.components
        && left.sticker_items == right.sticker_items
        && left.poll == right.poll
        && mentioned(left) == mentioned(right)
        && left.mention_roles == right.mention_roles
        && left.mention_everyone == right.mention_everyone
        && left.pinned == right.pinned
        && left.flags == right.flags
}

fn with_content_of(message: &Message, known: &Message) -> Message {
    Message {
        content: known.content.clone(),
        embeds: known.embeds.clone(),
        attachments: known.attachments.clone(),
        components: known.components.clone(),
        poll: known.poll.clone(),
        message_snapshots: known.message_snapshots.clone(),
        ..message.clone()
    }
}

fn without_signatures(message: &Arc<Message>) -> Arc<Message> {
    if message.attachments.is_empty() {
        return Arc::clone(message);
    }
    let attachments = message
        .attachments
        .iter()
        .map(|attachment| Attachment {
            url: without_query(&attachment.url),
            proxy_url: without_query(&attachment.proxy_url),
            ..attachment.clone()
        })
        .collect();
    Arc::new(Message { attachments, ..Message::clone(message) })
}

fn without_query(url: &str) -> Box<str> {
    url.split('?').next().unwrap_or(url).into()
}
