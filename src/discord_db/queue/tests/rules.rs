//! What becomes one request, what keeps its order, and what each failure means.

use crate::discord_db::{
    DiscordDbError,
    action::{ActionId, ActionResult, JournalIdentity, Outcome, QueueAction, Target},
    codec,
    discord::{Message, Reply, Request, UnixMs, snowflake_at},
    fake::{BOT, FakeDiscord, GUILD, START, lost},
    journal::Replay,
    queue::{CommitQueue, Issue, QueueOptions, Reading},
};

const HOUR: UnixMs = 3_600_000;
const OPTIONS: QueueOptions = QueueOptions { guild_id: GUILD, bot_id: BOT, patience_ms: 300_000 };

struct Setup {
    queue: CommitQueue,
    discord: FakeDiscord,
    now: UnixMs,
    /// A table with the fields `a` and `b`.
    table: u64,
    category: u64,
}

impl Setup {
    fn new() -> Self {
        let mut discord = FakeDiscord::default();
        let category = discord.add_channel("shop", None, START);
        let table = discord.add_table("orders", category, "0\na:b");
        let recovered = Replay::new(JournalIdentity(1)).into_recovered();
        let queue = CommitQueue::new(OPTIONS, recovered, START);
        Self { queue, discord, now: START, table, category }
    }

    fn stage(&mut self, action: QueueAction) -> ActionId {
        self.queue.stage(action).expect("possible")
    }

    fn create(&mut self, values: &[&str]) -> ActionId {
        let table = Target::Id(self.table);
        self.stage(QueueAction::CreateRecord { table, values: owned(values) })
    }

    fn update(&mut self, record: Target, values: &[&str]) -> ActionId {
        let table = Target::Id(self.table);
        self.stage(QueueAction::UpdateRecord { table, record, values: owned(values) })
    }

    fn delete(&mut self, record: Target) -> ActionId {
        self.stage(QueueAction::DeleteRecord { table: Target::Id(self.table), record })
    }

    fn create_table(&mut self, name: &str) -> ActionId {
        let database = Target::Id(self.category);
        self.stage(create_table(database, name))
    }

    /// Everything that may be sent now.
    fn issues(&mut self) -> Vec<Issue> {
        std::iter::from_fn(|| self.queue.next(self.now)).collect()
    }

    fn answer(&mut self, issue: Issue) {
        let result = self.discord.perform(issue.request, self.now);
        self.queue.replied(issue.ticket, result, self.now);
    }

    /// Commits and answers until nothing is left; how each action ended.
    fn commit(&mut self) -> Vec<(ActionId, ActionResult)> {
        self.queue.commit(self.now);
        loop {
            let issues = self.issues();
            if issues.is_empty() {
                let Some(at) = self.queue.wakes_at() else { break };
                self.now = at;
            }
            issues.into_iter().for_each(|issue| self.answer(issue));
        }
        self.queue.take_ended()
    }

    fn sent(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.discord.requests)
    }
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn create_table(database: Target, name: &str) -> QueueAction {
    let (database_name, name) = ("shop".into(), name.into());
    QueueAction::CreateTable { database, database_name, name, fields: owned(&["a", "b"]) }
}

fn result(results: &[(ActionId, ActionResult)], id: ActionId) -> ActionResult {
    results.iter().find(|(other, _)| *other == id).expect("it has ended").1.clone()
}

fn record_id(result: &ActionResult) -> Target {
    Target::Id(result.as_ref().expect("done").id().expect("it made something"))
}

#[test]
fn several_updates_of_a_record_become_one_request() {
    let mut setup = Setup::new();
    let id = setup.discord.add_message(setup.table, BOT, "1:2", START);
    let updates = [["3", "2"], ["3", "4"], ["5", "4"]].map(|v| setup.update(Target::Id(id), &v));
    let results = setup.commit();
    let content = "5:4".into();
    assert_eq!(
        setup.sent(),
        [Request::EditMessage { channel_id: setup.table, message_id: id, content }]
    );
    for update in updates {
        assert!(matches!(result(&results, update), Ok(Outcome::Record(m)) if m.content == "5:4"));
    }
}

#[test]
fn an_update_of_a_queued_record_becomes_part_of_its_message() {
    let mut setup = Setup::new();
    let create = setup.create(&["1", "2"]);
    let update = setup.update(Target::Made(create), &["1", "3"]);
    let results = setup.commit();
    assert_eq!(setup.discord.records(setup.table), ["1:3"]);
    assert_eq!(setup.sent().len(), 1);
    assert_eq!(record_id(&result(&results, create)), record_id(&result(&results, update)));
}

#[test]
fn an_update_that_comes_while_its_record_is_written_follows_as_an_edit() {
    let mut setup = Setup::new();
    let create = setup.create(&["1", "2"]);
    setup.queue.commit(setup.now);
    let issue = setup.issues().pop().expect("the creation");
    let update = setup.update(Target::Made(create), &["1", "3"]);
    setup.queue.commit(setup.now);
    assert!(setup.issues().is_empty());
    setup.answer(issue);
    let results = setup.commit();
    assert_eq!(setup.discord.records(setup.table), ["1:3"]);
    assert!(result(&results, update).is_ok());
}

#[test]
fn an_update_takes_the_other_fields_from_what_is_queued_or_was_written() {
    let mut setup = Setup::new();
    let id = setup.discord.add_message(setup.table, BOT, "1:2", START);
    let reading = Reading { values: owned(&["1", "2"]), updated_at_ms: START };
    let (table, record) = (Target::Id(setup.table), Target::Id(id));
    let change = |setup: &mut Setup, place: usize, value: &str| {
        setup
            .queue
            .stage_update(table, record, &reading, vec![(place, value.into())])
            .expect("possible")
    };
    setup.now += 1000;
    change(&mut setup, 0, "x");
    change(&mut setup, 1, "y");
    setup.commit();
    assert_eq!(setup.discord.records(setup.table), ["x:y"]);
    // The reading is old by now.
    change(&mut setup, 0, "z");
    setup.commit();
    assert_eq!(setup.discord.records(setup.table), ["z:y"]);
}

#[test]
fn deletes_become_bulk_deletes_of_at_most_a_hundred() {
    let mut setup = Setup::new();
    let ids: Vec<_> = (0..205)
        .map(|n| setup.discord.add_message(setup.table, BOT, &n.to_string(), START))
        .collect();
    for id in ids {
        setup.delete(Target::Id(id));
    }
    let results = setup.commit();
    assert!(results.iter().all(|(_, result)| matches!(result, Ok(Outcome::Deleted))));
    let sizes: Vec<_> = setup
        .sent()
        .iter()
        .map(|request| match request {
            Request::BulkDelete { message_ids, .. } => message_ids.len(),
            _ => 1,
        })
        .collect();
    assert_eq!(sizes, [100, 100, 5]);
    assert_eq!(setup.discord.records(setup.table), [""; 0]);
}

#[test]
fn messages_too_old_for_a_bulk_delete_are_deleted_one_by_one() {
    let mut setup = Setup::new();
    let old = START - 15 * 24 * HOUR;
    let mut ids: Vec<_> = (0..3).map(|n| snowflake_at(old) + n).collect();
    for &id in &ids {
        let message = Message { id, ..Message::default() };
        setup.discord.messages.entry(setup.table).or_default().insert(id, message);
    }
    ids.extend((0..2).map(|_| setup.discord.add_message(setup.table, BOT, "young", START)));
    for id in ids {
        setup.delete(Target::Id(id));
    }
    setup.commit();
    let bulks = |request: &Request| matches!(request, Request::BulkDelete { message_ids, .. } if message_ids.len() == 2);
    let sent = setup.sent();
    assert_eq!((sent.len(), sent.iter().filter(|r| bulks(r)).count()), (4, 1));
    assert_eq!(setup.discord.records(setup.table), [""; 0]);
}

#[test]
fn a_refused_bulk_delete_is_done_in_parts_and_only_the_bad_one_fails() {
    let mut setup = Setup::new();
    setup.discord.refuses_bulk = true;
    let ids = [1, 2].map(|_| setup.discord.add_message(setup.table, BOT, "x", START));
    let good = ids.map(|id| setup.delete(Target::Id(id)));
    let bad = setup.delete(Target::Id(snowflake_at(START) + 999));
    let results = setup.commit();
    assert!(good.iter().all(|id| result(&results, *id).is_ok()));
    assert!(matches!(result(&results, bad), Err(DiscordDbError::NotFound { .. })));
}

#[test]
fn an_update_before_a_delete_needs_no_request() {
    let mut setup = Setup::new();
    let id = setup.discord.add_message(setup.table, BOT, "1:2", START);
    let update = setup.update(Target::Id(id), &["3", "4"]);
    let delete = setup.delete(Target::Id(id));
    let results = setup.commit();
    assert_eq!(setup.sent().len(), 1);
    for id in [update, delete] {
        assert!(matches!(result(&results, id), Ok(Outcome::Deleted)));
    }
}

#[test]
fn nothing_can_be_queued_for_what_is_queued_to_be_deleted() {
    let mut setup = Setup::new();
    let id = setup.discord.add_message(setup.table, BOT, "1:2", START);
    let (table, record) = (Target::Id(setup.table), Target::Id(id));
    setup.delete(record);
    let update = QueueAction::UpdateRecord { table, record, values: vec![] };
    let error = setup.queue.stage(update).expect_err("deleted");
    assert!(error.to_string().contains("queued to be deleted"), "{error}");
    let database = Target::Id(setup.category);
    let drop_table = QueueAction::DeleteTable { database, table, name: "orders".into() };
    setup.stage(drop_table);
    let error = setup.queue.stage(QueueAction::CreateRecord { table, values: vec![] });
    assert!(matches!(error, Err(DiscordDbError::NotFound { .. })), "{error:?}");
    setup.stage(QueueAction::DeleteDatabase { database, name: "shop".into() });
    let error = setup.queue.stage(create_table(database, "more"));
    assert!(matches!(error, Err(DiscordDbError::DatabaseNotFound { .. })), "{error:?}");
}

#[test]
fn creations_of_a_table_go_one_by_one_and_tables_side_by_side() {
    let mut setup = Setup::new();
    let other = setup.discord.add_table("people", setup.category, "0\na:b");
    for n in 0..3 {
        setup.create(&[&n.to_string()]);
        let table = Target::Id(other);
        setup.stage(QueueAction::CreateRecord { table, values: vec![n.to_string()] });
    }
    setup.queue.commit(setup.now);
    assert_eq!(setup.issues().len(), 2);
    assert!(setup.issues().is_empty());
}

#[test]
fn an_edit_of_an_old_message_holds_up_nothing_else() {
    let mut setup = Setup::new();
    let old = setup.discord.add_message(setup.table, BOT, "old", START);
    let old_too = setup.discord.add_message(setup.table, BOT, "old", START);
    setup.now += 2 * HOUR;
    let young = setup.discord.add_message(setup.table, BOT, "young", setup.now);
    for id in [old, old_too, young] {
        setup.update(Target::Id(id), &["new"]);
    }
    setup.create(&["1"]);
    setup.queue.commit(setup.now);
    let mut issues = setup.issues();
    // One of the old ones waits for the other.
    assert_eq!(issues.len(), 3, "{issues:?}");
    let edits_old = |issue: &Issue| matches!(issue.request, Request::EditMessage { message_id, .. } if message_id == old);
    let held_up = issues.extract_if(.., |issue| edits_old(issue)).count();
    assert_eq!(held_up, 1);
    for _ in 0..3 {
        issues.drain(..).for_each(|issue| setup.answer(issue));
        let created = setup.create(&["more"]);
        setup.queue.commit(setup.now);
        issues = setup.issues();
        assert_eq!(issues.len(), 1, "the creation {created} goes on: {issues:?}");
    }
}

#[test]
fn a_table_is_made_in_three_steps_and_its_records_wait_for_it() {
    let mut setup = Setup::new();
    let table = setup.create_table("Ünïted Stätes!");
    let record =
        QueueAction::CreateRecord { table: Target::Made(table), values: owned(&["1", "2"]) };
    let record = setup.stage(record);
    let results = setup.commit();
    let channel = result(&results, table).expect("made").id().expect("a channel");
    assert!(result(&results, record).is_ok());
    assert_eq!(setup.discord.records(channel), ["1:2"]);
    let pinned: Vec<_> =
        setup.discord.messages[&channel].values().filter(|message| message.pinned).collect();
    assert_eq!(pinned.len(), 1);
    assert!(pinned[0].content.starts_with("0\na:b\nname:"), "{}", pinned[0].content);
}

#[test]
fn databases_tables_and_records_can_be_queued_together() {
    let mut setup = Setup::new();
    let database = setup.stage(QueueAction::CreateDatabase { name: "new".into() });
    let tables = ["x", "y"].map(|name| setup.stage(create_table(Target::Made(database), name)));
    for table in tables {
        for n in 0..3 {
            let table = Target::Made(table);
            setup.stage(QueueAction::CreateRecord { table, values: vec![n.to_string()] });
        }
    }
    let results = setup.commit();
    assert_eq!(results.len(), 9);
    for table in tables {
        let channel = result(&results, table).expect("made").id().expect("a channel");
        assert_eq!(setup.discord.records(channel), ["0", "1", "2"]);
    }
}

#[test]
fn what_needs_something_that_could_not_be_made_fails_with_the_same_error() {
    let mut setup = Setup::new();
    for n in 0..49 {
        setup.discord.add_channel(&format!("c{n}"), Some(setup.category), START);
    }
    let table = setup.create_table("more");
    let record =
        setup.stage(QueueAction::CreateRecord { table: Target::Made(table), values: vec![] });
    let update = QueueAction::UpdateRecord {
        table: Target::Made(table),
        record: Target::Made(record),
        values: vec![],
    };
    let update = setup.stage(update);
    let results = setup.commit();
    for id in [table, record, update] {
        let result = result(&results, id);
        assert!(matches!(result, Err(DiscordDbError::TooManyTables { .. })), "{result:?}");
    }
    assert!(setup.queue.actions().next().is_none());
    assert!(setup.queue.lanes.is_empty());
}

#[test]
fn a_name_can_be_used_again_once_it_is_free() {
    let mut setup = Setup::new();
    let (database, table) = (Target::Id(setup.category), Target::Id(setup.table));
    let exists = setup.create_table("orders");
    assert!(matches!(result(&setup.commit(), exists), Err(DiscordDbError::TableExists { .. })));
    setup.stage(QueueAction::DeleteTable { database, table, name: "orders".into() });
    let again = setup.create_table("orders");
    let twice = setup.queue.stage(create_table(database, "orders"));
    assert!(matches!(twice, Err(DiscordDbError::TableExists { .. })), "{twice:?}");
    assert!(result(&setup.commit(), again).is_ok());
    setup.stage(QueueAction::DeleteDatabase { database, name: "shop".into() });
    let again = setup.stage(QueueAction::CreateDatabase { name: "shop".into() });
    let twice = setup.queue.stage(QueueAction::CreateDatabase { name: "shop".into() });
    assert!(matches!(twice, Err(DiscordDbError::DatabaseExists { .. })), "{twice:?}");
    assert!(result(&setup.commit(), again).is_ok());
    assert_eq!(setup.discord.channels.len(), 1, "its tables are gone");
}

#[test]
fn tables_whose_channels_have_one_name_do_not_take_each_others_channels() {
    let mut setup = Setup::new();
    let names = ["!", "?", ".."];
    let tables = names.map(|name| setup.create_table(name));
    setup.queue.commit(setup.now);
    let mut issues = setup.issues();
    while let Some(issue) = issues.pop() {
        // The next table is looked at before the last one goes on.
        setup.answer(issue);
        issues.splice(0..0, setup.issues());
    }
    let results = setup.queue.take_ended();
    for (id, name) in tables.into_iter().zip(names) {
        let Ok(Outcome::Table(channel, definition)) = result(&results, id) else {
            panic!("{name}: {results:?}")
        };
        let written = codec::decode_definition(&definition.content).expect("a definition");
        assert_eq!((channel.name.as_str(), written.name.as_deref()), ("table", Some(name)));
    }
    assert_eq!(setup.discord.channels.len(), 2 + names.len());
}

#[test]
fn a_half_made_table_is_adopted_and_a_channel_with_other_messages_is_not() {
    let mut setup = Setup::new();
    let empty = setup.discord.add_channel("empty", Some(setup.category), START);
    let unpinned = setup.discord.add_channel("unpinned", Some(setup.category), START);
    setup.discord.add_message(unpinned, BOT, "0\na:b", START);
    let chat = setup.discord.add_channel("chat", Some(setup.category), START);
    setup.discord.add_message(chat, 77, "hello", START);
    let [adopted, too, refused] =
        ["empty", "unpinned", "chat"].map(|name| setup.create_table(name));
    let results = setup.commit();
    assert_eq!(record_id(&result(&results, adopted)), Target::Id(empty));
    assert_eq!(record_id(&result(&results, too)), Target::Id(unpinned));
    assert_eq!(setup.discord.messages[&unpinned].len(), 2, "the definition and the notice");
    assert!(matches!(result(&results, refused), Err(DiscordDbError::TableExists { .. })));
}

#[test]
fn a_category_whose_creation_was_not_answered_is_not_made_twice() {
    let mut setup = Setup::new();
    let id = setup.stage(QueueAction::CreateDatabase { name: "new".into() });
    setup.queue.commit(setup.now);
    let list = setup.issues().pop().expect("it looks first");
    setup.answer(list);
    let create = setup.issues().pop().expect("the creation");
    setup.discord.perform(create.request, setup.now).expect("applied");
    setup.queue.replied(create.ticket, Err(lost()), setup.now);
    let results = setup.commit();
    assert!(result(&results, id).is_ok());
    let made = setup.discord.channels.values().filter(|channel| channel.name == "new").count();
    assert_eq!(made, 1);
}

#[test]
fn what_fails_for_the_network_is_tried_again() {
    let mut setup = Setup::new();
    setup.discord.errors = vec![lost(), lost(), lost()];
    let id = setup.create(&["1"]);
    assert!(result(&setup.commit(), id).is_ok());
    assert_eq!(setup.discord.records(setup.table), ["1"]);
}

#[test]
fn an_unreachable_discord_halts_the_queue_and_the_next_commit_goes_on() {
    let mut setup = Setup::new();
    setup.discord.errors = (0..40).map(|_| lost()).collect();
    let id = setup.create(&["1"]);
    assert!(setup.commit().is_empty());
    assert!(matches!(setup.queue.halted(), Some(DiscordDbError::Transport { .. })));
    assert!(setup.now >= START + OPTIONS.patience_ms);
    setup.discord.errors.clear();
    assert!(result(&setup.commit(), id).is_ok());
    assert_eq!(setup.discord.records(setup.table), ["1"]);
}

#[test]
fn an_invalid_token_halts_the_queue_and_loses_nothing() {
    let mut setup = Setup::new();
    setup.discord.errors = vec![DiscordDbError::InvalidToken];
    let id = setup.create(&["1"]);
    assert!(setup.commit().is_empty());
    assert!(matches!(setup.queue.halted(), Some(DiscordDbError::InvalidToken)));
    assert!(result(&setup.commit(), id).is_ok());
}

#[test]
fn a_staged_action_is_not_sent_and_can_be_withdrawn() {
    let mut setup = Setup::new();
    let id = setup.create(&["1"]);
    assert!(setup.issues().is_empty());
    assert!(setup.queue.withdraw(id, DiscordDbError::Stopped));
    assert!(!setup.queue.withdraw(id, DiscordDbError::Stopped));
    setup.commit();
    assert_eq!(setup.discord.records(setup.table), [""; 0]);
}

#[test]
fn an_equal_older_record_is_not_taken_for_one_whose_answer_was_lost() {
    let mut setup = Setup::new();
    setup.create(&["same"]);
    setup.commit();
    setup.now += 600_000;
    let second = setup.create(&["same"]);
    setup.queue.commit(setup.now);
    let issue = setup.issues().pop().expect("the creation");
    setup.queue.replied(issue.ticket, Err(lost()), setup.now);
    // Longer than Discord remembers nonces.
    setup.now += 600_000;
    assert!(result(&setup.commit(), second).is_ok());
    assert_eq!(setup.discord.records(setup.table), ["same", "same"]);
}

#[test]
fn a_table_is_deleted_after_everything_queued_for_it_and_404_is_an_error_at_first() {
    let mut setup = Setup::new();
    setup.create(&["1"]);
    let (database, table) = (Target::Id(setup.category), Target::Id(setup.table));
    let drop_table =
        setup.stage(QueueAction::DeleteTable { database, table, name: "orders".into() });
    let results = setup.commit();
    assert!(matches!(results[1], (id, Ok(Outcome::Deleted)) if id == drop_table));
    let missing = QueueAction::DeleteTable { database, table, name: "orders".into() };
    let missing = setup.stage(missing);
    assert!(matches!(result(&setup.commit(), missing), Err(DiscordDbError::NotFound { .. })));
}

#[test]
fn a_delete_that_was_done_without_an_answer_is_done() {
    let mut setup = Setup::new();
    let id = setup.discord.add_message(setup.table, BOT, "1:2", START);
    let delete = setup.delete(Target::Id(id));
    setup.queue.commit(setup.now);
    let issue = setup.issues().pop().expect("the delete");
    assert!(matches!(setup.discord.perform(issue.request, START), Ok(Reply::Done)));
    setup.queue.replied(issue.ticket, Err(lost()), setup.now);
    assert!(matches!(result(&setup.commit(), delete), Ok(Outcome::Deleted)));
}
