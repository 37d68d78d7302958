//! What the gateway did not tell is read over REST once, and then the mirror holds everything.

use std::{cell::RefCell, sync::Arc};

use dsqlstate::{
    discord_db::{
        DiscordDbError,
        filter::Selection,
        mirror::{
            Mirror, Source,
            backfill::{BackfillStep, PAGE_LIMIT, PageRequest},
        },
    },
    id::{ResumePoint, Session, ShardKey},
    store::sessions::save_resume_points,
};
use serde_json::{Value, json};
use twilight_model::gateway::Intents;

use super::{ORDERS, ORDERS_DEFINITION, Shop, edited, pinned, post};
use crate::support::{
    database,
    stream::{BOT, GUILD, user},
};

/// An id of February 2026, as Discord makes them.
const RECENT: u64 = 1_470_000_000_000_000_000;
const EARLIER: &str = "2026-03-01T00:00:00.000000+00:00";
const LATER: &str = "2026-03-02T00:00:00.000000+00:00";

/// The messages of the table's channel, as Discord has them.
#[derive(Default)]
struct Channel {
    messages: RefCell<Vec<Value>>,
    asked: RefCell<Vec<Option<u64>>>,
}

impl Channel {
    fn new(messages: impl IntoIterator<Item = Value>) -> Self {
        let definition = pinned(post(ORDERS, ORDERS_DEFINITION, "0\nid:item:amount"));
        let messages: Vec<_> = [definition].into_iter().chain(messages).collect();
        Self { messages: RefCell::new(messages), ..Self::default() }
    }

    /// GET /channels/{id}/messages
    fn page(&self, request: PageRequest) -> Vec<Value> {
        assert_eq!((request.channel_id, request.limit), (ORDERS, PAGE_LIMIT));
        self.asked.borrow_mut().push(request.before);
        let id = |message: &Value| message["id"].as_str().unwrap().parse::<u64>().unwrap();
        let is_below = |message: &&Value| request.before.is_none_or(|before| id(message) < before);
        let mut page: Vec<_> = self.messages.borrow().iter().filter(is_below).cloned().collect();
        page.sort_by_key(|message| std::cmp::Reverse(id(message)));
        page.truncate(PAGE_LIMIT.into());
        // As REST has it: the gateway adds this.
        page.iter_mut()
            .for_each(|message| drop(message.as_object_mut().unwrap().remove("guild_id")));
        page
    }
}

impl Shop {
    /// What the engine saves of the stream's session. Rows that were received before it count as not
    /// touched by the session when `since_ever` is false.
    async fn save_session(&self, since_ever: bool) {
        self.save_session_with(Intents::all(), since_ever).await;
    }

    async fn save_session_with(&self, intents: Intents, since_ever: bool) {
        let generation = self.stream.generation();
        let session = Session {
            shard: ShardKey { bot_id: BOT, shard_id: 0 },
            shard_count: 1,
            session_id: Arc::from(format!("session-{generation}")),
            intents,
            generation,
        };
        let point =
            ResumePoint { session: Arc::new(session), resume_url: Arc::from("x"), sequence: 1 };
        save_resume_points(&self.stream.client, &[point], 1).await.unwrap();
        if since_ever {
            self.execute("update discord.shards set started_at = '2020-01-01'").await.unwrap();
        }
    }

    async fn backfill(&self, channel: &Channel) -> Result<BackfillStep, DiscordDbError> {
        self.mirror.backfill(ORDERS, async |request| Ok(channel.page(request))).await
    }

    async fn contents(&self) -> Vec<String> {
        let table = self.find(ORDERS).await;
        let records = self.mirror.records(&table, &Selection::default()).await.unwrap();
        records.into_iter().map(|record| record.content).collect()
    }

    async fn begin_session(&mut self) {
        self.stream.begin_session();
        // Any event; the partition notes the session with it.
        self.write(&post(1_009, 9_000 + self.stream.generation().unsigned_abs(), "elsewhere"))
            .await;
    }
}

#[actix::test]
async fn a_channel_is_read_page_by_page_until_it_is_complete() {
    let shop = Shop::new().await;
    let old = (0..250).map(|i| post(ORDERS, RECENT + i, &format!("{i}:old")));
    let channel = Channel::new(old);
    shop.save_session(false).await;
    assert_eq!(shop.find(ORDERS).await.source(), Source::Rest);
    assert_eq!(shop.backfill(&channel).await.unwrap(), BackfillStep::Complete);
    let asked = [None, Some(RECENT + 150), Some(RECENT + 50), Some(ORDERS_DEFINITION)];
    assert_eq!(*channel.asked.borrow(), asked);
    assert_eq!(shop.find(ORDERS).await.source(), Source::Mirror);
    let expected: Vec<_> = (0..250).map(|i| format!("{i}:old")).collect();
    assert_eq!(shop.contents().await, expected);
    let state = shop.stream.rows("select pages, messages from discorddb.tables_state").await;
    assert_eq!(state, [json!({"pages": 4, "messages": 251})]);

    assert_eq!(shop.backfill(&channel).await.unwrap(), BackfillStep::Complete);
    assert_eq!(channel.asked.borrow().len(), 4, "nothing is read again");
    let defaults = "select count(*) from discord.messages_default where id >= 1470000000000000000";
    assert_eq!(shop.stream.value(defaults).await, json!(0), "the month has its partition");
}

#[actix::test]
async fn reading_goes_on_after_a_failure_where_it_was() {
    let shop = Shop::new().await;
    let channel = Channel::new((0..150).map(|i| post(ORDERS, RECENT + i, "x")));
    shop.save_session(false).await;
    let step = shop.mirror.backfill_step(ORDERS, async |request| Ok(channel.page(request))).await;
    assert_eq!(step.unwrap(), BackfillStep::Page { messages: 100 });
    assert!(!shop.find(ORDERS).await.is_complete);
    let broken = shop.mirror.backfill(ORDERS, async |_| Err(DiscordDbError::Stopped)).await;
    assert!(matches!(broken, Err(DiscordDbError::Stopped)));
    assert_eq!(shop.backfill(&channel).await.unwrap(), BackfillStep::Complete);
    assert_eq!(channel.asked.borrow()[..2], [None, Some(RECENT + 50)]);
    assert_eq!(shop.contents().await.len(), 150);
}

#[actix::test]
async fn a_new_session_makes_a_channel_incomplete_and_reading_finds_what_happened_in_between() {
    let mut shop = Shop::new().await;
    let texts = ["kept", "edited", "deleted", "pinned", "gone for long"];
    let posts: Vec<_> = (0..).zip(texts).map(|(i, text)| post(ORDERS, RECENT + i, text)).collect();
    for post in &posts {
        shop.write(post).await;
    }
    shop.delete(ORDERS, RECENT + 4).await;
    shop.save_session(false).await;
    let channel = Channel::new(posts[..4].to_vec());
    shop.backfill(&channel).await.unwrap();
    assert!(shop.find(ORDERS).await.is_complete);

    shop.begin_session().await;
    assert!(!shop.find(ORDERS).await.is_complete, "the session is known from what it wrote");
    assert_eq!(shop.backfill(&channel).await.unwrap(), BackfillStep::NotTracked);
    shop.save_session(false).await;
    assert!(!shop.find(ORDERS).await.is_complete);
    let new = edited(post(ORDERS, RECENT + 1, "new text"), EARLIER);
    let channel = Channel::new([posts[0].clone(), new, pinned(posts[3].clone())]);
    assert_eq!(shop.backfill(&channel).await.unwrap(), BackfillStep::Complete);
    assert_eq!(channel.asked.borrow()[0], None, "reading began anew");
    assert_eq!(shop.contents().await, ["kept", "new text", "pinned"]);
    assert!(shop.find(ORDERS).await.is_complete);
    let revisions = "select id - 1470000000000000000 as id, content, cause from discord.message_revisions order by id";
    let kept = [
        json!({"id": 1, "content": "edited", "cause": "edit"}),
        json!({"id": 3, "content": "pinned", "cause": "pin"}),
    ];
    assert_eq!(shop.stream.rows(revisions).await, kept);
    let current = "select revision from discord.messages where id = 1470000000000000001";
    assert_eq!(shop.stream.value(current).await, json!(1));
}

#[actix::test]
async fn what_the_session_told_is_not_replaced_by_an_older_page() {
    let mut shop = Shop::new().await;
    shop.save_session(true).await;
    let told = pinned(edited(post(ORDERS, RECENT, "told"), LATER));
    shop.write(&told).await;
    shop.write(&post(ORDERS, RECENT + 1, "told")).await;
    shop.write(&post(ORDERS, RECENT + 2, "deletion is on its way")).await;
    shop.write(&post(ORDERS, RECENT + 3, "deleted")).await;
    shop.delete(ORDERS, RECENT + 3).await;
    let channel = Channel::new([
        edited(post(ORDERS, RECENT, "older"), EARLIER),
        edited(post(ORDERS, RECENT + 1, "newer"), EARLIER),
        post(ORDERS, RECENT + 3, "deleted"),
    ]);
    shop.backfill(&channel).await.unwrap();
    assert_eq!(shop.contents().await, ["told", "newer", "deletion is on its way"]);
    let pinned = "select pinned from discord.messages where id = 1470000000000000000";
    assert_eq!(shop.stream.value(pinned).await, json!(true));
}

#[actix::test]
async fn a_page_that_was_read_in_another_session_is_not_used() {
    let mut shop = Shop::new().await;
    shop.save_session(false).await;
    let channel = Channel::new([post(ORDERS, RECENT, "x")]);
    let mirror = Mirror::new(database::connect(shop.stream.url()).await, GUILD);
    let step = mirror.backfill_step(ORDERS, async |request| {
        shop.begin_session().await;
        shop.save_session(false).await;
        Ok(channel.page(request))
    });
    assert_eq!(step.await.unwrap(), BackfillStep::Interrupted);
    assert_eq!(shop.contents().await, [""; 0]);
    assert_eq!(shop.backfill(&channel).await.unwrap(), BackfillStep::Complete);
    assert_eq!(shop.contents().await, ["x"]);
}

#[actix::test]
async fn without_a_session_that_tells_messages_nothing_is_read() {
    let shop = Shop::new().await;
    let channel = Channel::new([]);
    assert_eq!(shop.backfill(&channel).await.unwrap(), BackfillStep::NotTracked);
    shop.save_session_with(Intents::GUILDS, false).await;
    assert_eq!(shop.backfill(&channel).await.unwrap(), BackfillStep::NotTracked);
    assert_eq!(*channel.asked.borrow(), [None; 0]);
}

#[actix::test]
async fn a_channel_whose_history_is_hidden_keeps_its_messages() {
    let mut shop = Shop::new().await;
    shop.write(&post(ORDERS, RECENT, "kept")).await;
    shop.save_session(false).await;
    let error = shop.mirror.backfill(ORDERS, async |_| Ok(Vec::new())).await.unwrap_err();
    let permission = "READ_MESSAGE_HISTORY";
    assert!(
        matches!(error, DiscordDbError::MissingPermission { permission: p, .. } if p == permission),
        "{error}"
    );
    let error = shop.mirror.backfill(ORDERS, async |_| Ok(vec![json!({"id": 5})])).await;
    assert!(matches!(error, Err(DiscordDbError::Transport { .. })));
    assert_eq!(shop.contents().await, ["kept"]);
}

#[actix::test]
async fn a_message_that_was_read_is_the_row_that_the_gateway_would_have_made() {
    let mut rich = edited(post(ORDERS, RECENT, "a\0b:c"), EARLIER);
    let more = json!({
        "attachments": [{"id": "5", "filename": "a.png", "size": 1, "url": "https://c.d/a.png?ex=1&is=2",
            "proxy_url": "https://m.d/a.png?ex=1"}, {"id": "6", "filename": "b", "size": 2, "url": "https://c.d/b"}],
        "embeds": [{"type": "rich", "title": "t"}], "mentions": [user(8, "bob")], "mention_roles": ["77", "78"],
        "mention_everyone": true, "nonce": 12, "type": 19, "flags": 4, "tts": false,
        "referenced_message": post(ORDERS, 5, "x"), "message_reference": {"message_id": "5", "channel_id": "1001"},
        "thread": {"id": "44", "type": 11}, "components": [{"type": 1}], "sticker_items": [{"id": "1", "name": "s", "format_type": 1}],
        "poll": {"question": {"text": "?"}}, "position": 3, "application_id": "99", "reactions": [{"count": 1}],
        "something_new": {"deep": ["\0"]}
    });
    for (key, value) in more.as_object().unwrap() {
        rich[key] = value.clone();
    }
    let mut webhook = post(ORDERS, RECENT + 1, "w");
    webhook["webhook_id"] = json!("123");
    let messages = [rich, webhook, post(ORDERS, RECENT + 2, "plain")];

    let mut told = Shop::new().await;
    for message in &messages {
        told.write(message).await;
    }
    let read = Shop::new().await;
    read.save_session(false).await;
    read.backfill(&Channel::new(messages)).await.unwrap();
    let sql = "select to_jsonb(m) - array['updated_at', 'seen_at'] as message from discord.messages m \
                where id > 100000 order by id";
    let (told, read) = (told.stream.rows(sql).await, read.stream.rows(sql).await);
    assert_eq!(told.len(), 3);
    for (told, read) in told.iter().zip(&read) {
        for (column, value) in told["message"].as_object().unwrap() {
            assert_eq!(read["message"][column], *value, "{column}");
        }
    }
}
