//! Writes one message exactly once, whatever gets lost on the way.
//!
//! A message that may have been written already is sent again with the same nonce as long as Discord
//! surely remembers nonces, and looked for in the channel's history after that.
//!
//! **Invariant:** once a send may have been applied, the next one is either within [`NONCE_WINDOW_MS`]
//! of it or after a look that did not find the message.

use super::job::Context;
use crate::discord_db::{
    DiscordDbError,
    action::ActionId,
    discord::{Message, Page, Reply, Request, UnixMs, snowflake_at},
    journal::{Note, Sent},
};

/// Discord remembers nonces for "a few minutes"; two are a few.
pub(super) const NONCE_WINDOW_MS: UnixMs = 60_000;
/// Our clock and Discord's may differ by this much.
const CLOCK_SKEW_MS: UnixMs = 3_600_000;
/// Messages in a full page.
const PAGE: usize = 100;

/// See the module.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) action: ActionId,
    /// Updates of the record that its content includes.
    pub(super) with: Vec<ActionId>,
    pub(super) channel_id: u64,
    content: String,
    /// The message's snowflake will be larger.
    after: u64,
    /// Since when it may have been written; from the first send after the last look.
    sent_at: Option<UnixMs>,
    is_uncertain: bool,
    /// While looking: everything up to here was looked at.
    looked_up_to: Option<u64>,
    /// Discord refuses a repetition of a send that it may have accepted before.
    refused: Option<DiscordDbError>,
}

impl Post {
    /// A message that was never sent.
    pub(super) fn new(action: ActionId, channel_id: u64, content: String, after: u64) -> Self {
        Self {
            action,
            with: Vec::new(),
            channel_id,
            content,
            after,
            sent_at: None,
            is_uncertain: false,
            looked_up_to: None,
            refused: None,
        }
    }

    /// A message that an earlier process sent without noting the answer.
    pub(super) fn sent_before(mut self, sent: &Sent) -> Self {
        self.with.clone_from(&sent.with);
        self.after = sent.after;
        self.sent_at = Some(sent.at_ms);
        self.is_uncertain = true;
        self
    }

    /// The last request may have been applied without an answer.
    pub(super) fn lost(&mut self) {
        self.is_uncertain |= self.looked_up_to.is_none();
    }

    pub(super) fn request(&mut self, context: &mut Context<'_>) -> Request {
        if self.is_uncertain && self.looked_up_to.is_none() && !self.is_remembered(context.now) {
            self.look();
        }
        if let Some(after) = self.looked_up_to {
            return Request::Messages { channel_id: self.channel_id, page: Page::After(after) };
        }
        if self.sent_at.is_none() {
            self.sent_at = Some(context.now);
            let with = self.with.clone();
            let sent = Sent { at_ms: context.now, after: self.after, with };
            context.notes.push(Note::Sent { id: self.action, sent });
        }
        Request::CreateMessage {
            channel_id: self.channel_id,
            content: self.content.clone(),
            nonce: context.identity.nonce(self.action),
        }
    }

    /// The end, or `None` when there is a further request.
    pub(super) fn replied(
        &mut self,
        context: &Context<'_>,
        result: Result<Reply, DiscordDbError>,
    ) -> Option<Result<Message, DiscordDbError>> {
        if self.looked_up_to.is_some() {
            return match result.and_then(Reply::messages) {
                Ok(page) => self.looked(context, page),
                Err(error) => Some(Err(self.refused.take().unwrap_or(error))),
            };
        }
        match result.and_then(Reply::message) {
            Ok(message) => Some(Ok(message)),
            Err(error) if self.is_uncertain => {
                self.refused = Some(error);
                self.look();
                None
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// A clock that went back proves nothing.
    fn is_remembered(&self, now: UnixMs) -> bool {
        let age = self.sent_at.and_then(|at| now.checked_sub(at));
        age.is_some_and(|age| age <= NONCE_WINDOW_MS)
    }

    fn look(&mut self) {
        let earliest = self.sent_at.unwrap_or(0).saturating_sub(CLOCK_SKEW_MS);
        self.looked_up_to = Some(self.after.max(snowflake_at(earliest)));
    }

    fn looked(
        &mut self,
        context: &Context<'_>,
        mut page: Vec<Message>,
    ) -> Option<Result<Message, DiscordDbError>> {
        page.sort_unstable_by_key(|message| message.id);
        let (length, newest) = (page.len(), page.last().map(|message| message.id));
        let nonce = context.identity.nonce(self.action);
        let is_ours = |message: &Message| {
            message.author_id == Some(context.bot_id)
                && match &message.nonce {
                    Some(found) => *found == nonce,
                    None => message.content == self.content,
                }
        };
        if let Some(found) = page.into_iter().find(is_ours) {
            return Some(Ok(found));
        }
        if length >= PAGE {
            self.looked_up_to = newest;
            return None;
        }
        self.looked_up_to = None;
        self.is_uncertain = false;
        self.sent_at = None;
        self.refused.take().map(Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discord_db::action::JournalIdentity;

    const NOW: UnixMs = 1_800_000_000_000;
    const IDENTITY: JournalIdentity = JournalIdentity(3);
    const BOT: u64 = 9;

    struct Posting {
        post: Post,
        notes: Vec<Note>,
    }

    impl Posting {
        fn new() -> Self {
            Self { post: Post::new(ActionId(1), 7, "a:b".into(), 50), notes: Vec::new() }
        }

        fn sent(at_ms: UnixMs) -> Self {
            let sent = Sent { at_ms, after: 60, with: vec![ActionId(2)] };
            Self { post: Self::new().post.sent_before(&sent), notes: Vec::new() }
        }

        fn request(&mut self, now: UnixMs) -> Request {
            let notes = &mut self.notes;
            self.post.request(&mut Context { now, identity: IDENTITY, bot_id: BOT, notes })
        }

        fn replied(
            &mut self,
            result: Result<Reply, DiscordDbError>,
        ) -> Option<Result<Message, DiscordDbError>> {
            let notes = &mut self.notes;
            let context = Context { now: NOW, identity: IDENTITY, bot_id: BOT, notes };
            self.post.replied(&context, result)
        }
    }

    fn create() -> Request {
        let nonce = IDENTITY.nonce(ActionId(1));
        Request::CreateMessage { channel_id: 7, content: "a:b".into(), nonce }
    }

    fn look(after: u64) -> Request {
        Request::Messages { channel_id: 7, page: Page::After(after) }
    }

    fn message(id: u64, author_id: u64, content: &str, nonce: Option<&str>) -> Message {
        let nonce = nonce.map(Into::into);
        let author_id = Some(author_id);
        Message { id, author_id, content: content.into(), nonce, ..Message::default() }
    }

    fn forbidden() -> DiscordDbError {
        DiscordDbError::Forbidden { doing: "writing".into(), reason: "no".into() }
    }

    #[test]
    fn it_is_noted_before_it_is_sent_and_only_once() {
        let mut posting = Posting::new();
        assert_eq!(posting.request(NOW), create());
        posting.post.lost();
        assert_eq!(posting.request(NOW + 1), create());
        let sent = Sent { at_ms: NOW, after: 50, with: vec![] };
        assert_eq!(posting.notes, [Note::Sent { id: ActionId(1), sent }]);
        let end = posting.replied(Ok(Reply::Message(message(51, BOT, "a:b", None).into())));
        assert_eq!(end.expect("ended").expect("written").id, 51);
    }

    #[test]
    fn a_lost_one_is_sent_again_only_while_discord_knows_its_nonce() {
        let mut posting = Posting::sent(NOW);
        assert_eq!(posting.request(NOW + NONCE_WINDOW_MS), create());
        posting.post.lost();
        assert_eq!(
            posting.request(NOW + NONCE_WINDOW_MS + 1),
            look(snowflake_at(NOW - CLOCK_SKEW_MS))
        );
        // Nothing there: from now on a send is a first one again.
        assert!(posting.replied(Ok(Reply::Messages(vec![]))).is_none());
        assert_eq!(posting.request(NOW + 70_000), create());
        posting.post.lost();
        assert_eq!(posting.request(NOW + 71_000), create());
        assert_eq!(posting.notes.len(), 1);
    }

    #[test]
    fn a_clock_that_went_back_makes_it_look() {
        assert!(matches!(Posting::sent(NOW).request(NOW - 1), Request::Messages { .. }));
    }

    #[test]
    fn it_is_recognised_by_nonce_else_by_author_and_text() {
        let nonce = IDENTITY.nonce(ActionId(1));
        let others = vec![
            message(90, BOT + 1, "a:b", None),
            message(91, BOT, "a:c", None),
            message(92, BOT, "a:b", Some("another")),
        ];
        for ours in [message(95, BOT, "edited", Some(&nonce)), message(95, BOT, "a:b", None)] {
            let mut posting = Posting::sent(NOW);
            posting.request(NOW + 100_000);
            let mut page = others.clone();
            page.push(ours);
            let found = posting.replied(Ok(Reply::Messages(page))).expect("ended").expect("found");
            assert_eq!(found.id, 95);
        }
    }

    #[test]
    fn it_looks_page_by_page() {
        let mut posting = Posting::sent(NOW);
        posting.request(NOW + 100_000);
        let base = snowflake_at(NOW);
        let full = (1..=100).rev().map(|id| message(base + id, BOT, "other", None)).collect();
        assert!(posting.replied(Ok(Reply::Messages(full))).is_none());
        assert_eq!(posting.request(NOW + 100_000), look(base + 100));
    }

    #[test]
    fn a_refusal_after_a_lost_reply_is_believed_only_when_it_is_not_there() {
        for is_there in [false, true] {
            let mut posting = Posting::new();
            posting.request(NOW);
            posting.post.lost();
            posting.request(NOW + 1);
            assert!(posting.replied(Err(forbidden())).is_none());
            assert!(matches!(posting.request(NOW + 2), Request::Messages { .. }));
            let page = if is_there { vec![message(99, BOT, "a:b", None)] } else { vec![] };
            let end = posting.replied(Ok(Reply::Messages(page))).expect("ended");
            assert_eq!(end.is_ok(), is_there, "{end:?}");
        }
    }
}
