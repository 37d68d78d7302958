//! Messages: history, what still exists, search, polls and reactions.

use serde_json::json;

use super::Questions;

const MESSAGES: &str = r#"
    insert into discord.channels (guild_id, id, type, deleted_at, updated_at)
    values (1, 100, 0, null, now()), (1, 101, 0, '2026-01-03Z', now()), (1, 102, 11, '2026-01-03Z', now());
    insert into discord.messages (guild_id, id, channel_id, author_id, content, pinned, revision, seen_at, deleted_at, delete_cause, updated_at)
    values (1, 1, 100, 10, 'The quick brown foxes', true, 1, '2026-01-02Z', null, null, now()),
           (1, 2, 100, 11, 'quick as light', true, 0, '2026-01-01Z', '2026-01-02Z', 'single', now()),
           (1, 3, 101, 10, 'quick and gone', true, 0, '2026-01-01Z', null, null, now()),
           (1, 4, 101, 10, 'quick and gone before', false, 0, '2026-01-01Z', '2026-01-02Z', 'bulk', now()),
           (1, 5, 102, 10, 'a quick thread', false, 0, '2026-01-01Z', null, null, now()),
           (1, 6, 103, 11, 'brown bears', false, 0, '2026-01-01Z', null, null, now()),
           (0, 7, 900, 11, 'quick note', false, 0, '2026-01-01Z', null, null, now()),
           (1, 8, 100, 11, null, null, 0, null, null, null, now());
    insert into discord.message_revisions (guild_id, id, revision, channel_id, content, cause, seen_at, superseded_at)
    values (1, 1, 0, 100, 'The slow brown fox', 'edit', '2026-01-01Z', '2026-01-02Z');"#;

#[actix::test]
async fn the_history_shows_messages_of_deleted_channels_as_deleted() {
    let questions = Questions::with(MESSAGES).await;
    let history = "select id, revision, is_current, (deleted_at at time zone 'UTC')::date, delete_cause, cause \
                     from discord.message_history where guild_id = 1 and id <= 6 order by id, revision";
    let expected = [
        json!([1, 0, false, null, null, "edit"]),
        json!([1, 1, true, null, null, null]),
        json!([2, 0, true, "2026-01-02", "single", null]),
        json!([3, 0, true, "2026-01-03", "channel", null]),
        json!([4, 0, true, "2026-01-02", "bulk", null]),
        json!([5, 0, true, "2026-01-03", "channel", null]),
        json!([6, 0, true, null, null, null]),
    ];
    assert_eq!(questions.rows(history).await, expected);
}

#[actix::test]
async fn the_columns_of_the_history_keep_their_place() {
    let questions = Questions::new().await;
    let columns = "select column_name::text from information_schema.columns \
                    where table_schema = 'discord' and table_name = 'message_history' order by ordinal_position";
    let expected = [
        "guild_id",
        "id",
        "revision",
        "channel_id",
        "content",
        "embeds",
        "attachments",
        "edited_timestamp",
        "seen_at",
        "superseded_at",
        "cause",
        "is_current",
        "deleted_at",
        "delete_cause",
    ];
    assert_eq!(questions.column(columns).await, expected);
}

#[actix::test]
async fn current_messages_and_pins_are_neither_deleted_nor_in_a_deleted_channel() {
    let questions = Questions::with(MESSAGES).await;
    let current = "select id from discord.current_messages order by id";
    assert_eq!(questions.column(current).await, [1, 6, 7, 8]);
    assert_eq!(questions.column("select id from discord.pins").await, [1]);
}

/// What a search finds, as ids.
async fn found(questions: &Questions, arguments: &str) -> Vec<serde_json::Value> {
    questions.column(&format!("select id from discord.search_messages({arguments})")).await
}

#[actix::test]
async fn the_search_finds_words_in_messages_that_still_exist() {
    let questions = Questions::with(MESSAGES).await;
    for indexed in [false, true] {
        if indexed {
            questions.execute("select discord.create_message_search_index()").await;
        }
        assert_eq!(found(&questions, "'quick'").await, [7, 1]);
        assert_eq!(found(&questions, "'QUICK', 1").await, [1]);
        assert_eq!(found(&questions, "'brown', channel => 103").await, [6]);
        assert_eq!(found(&questions, "'brown', author => 10").await, [1]);
        assert_eq!(found(&questions, "'brown -bears'").await, [1]);
        assert_eq!(found(&questions, "'\"brown foxes\" or note'").await, [7, 1]);
        assert_eq!(found(&questions, "'quick', \"limit\" => 1").await, [7]);
        assert_eq!(found(&questions, "'fox'").await, [0; 0]);
    }
}

#[actix::test]
async fn the_index_decides_the_language_of_the_search() {
    let questions = Questions::with(MESSAGES).await;
    questions.execute("select discord.create_message_search_index()").await;
    questions.execute("select discord.create_message_search_index('english')").await;
    assert_eq!(found(&questions, "'fox'").await, [1]);
    assert_eq!(found(&questions, "'bear'").await, [6]);
    let number = "select 'discord.messages_content_search'::regclass::oid";
    let before = questions.value(number).await;
    questions.execute("select discord.create_message_search_index('english')").await;
    assert_eq!(questions.value(number).await, before, "what is there is kept");
    let definition = "select indexdef from pg_indexes where indexname = 'messages_content_search'";
    let definition = questions.value(definition).await;
    assert!(definition.as_str().unwrap().contains("'english'"), "{definition}");
    questions.execute("select discord.drop_message_search_index()").await;
    let left = "select count(*) from pg_indexes where indexdef like '%to_tsvector%'";
    assert_eq!(questions.value(left).await, 0);
    assert_eq!(found(&questions, "'fox'").await, [1]);
}

const POLL: &str = r#"
    insert into discord.messages (guild_id, id, channel_id, poll, updated_at) values
    (1, 1, 100, '{"question": {"text": "Tea?"}, "answers": [{"answer_id": 1, "poll_media": {"text": "yes"}},
        {"answer_id": 2, "poll_media": {"text": "no", "emoji": {"name": "🍵"}}}],
        "results": {"is_finalized": false, "answer_counts": [{"id": 2, "count": 3, "me_voted": false}]}}', now()),
    (1, 2, 100, '{"question": {"text": "odd"}, "answers": 7}', now()),
    (1, 3, 100, '{"question": {"text": "new"}, "answers": [{"answer_id": 1, "poll_media": {}}]}', now());
    insert into discord.poll_votes (guild_id, message_id, answer_id, user_id, removed_at, updated_at)
    values (1, 1, 1, 10, null, now()), (1, 1, 1, 11, now(), now()), (1, 1, 2, 11, null, now());
    insert into discord.reactions (guild_id, message_id, emoji_key, user_id, type, channel_id, emoji_name, removed_at, updated_at)
    values (1, 1, -5, 10, 0, 100, '👍', null, now()), (1, 1, -5, 10, 1, 100, '👍', null, now()), (1, 1, -5, 11, 0, 100, '👍', now(), now()),
           (1, 1, 77, 11, 0, 100, 'cat', null, now()), (1, 2, -5, 10, 0, 100, '👍', now(), now());
    update discord.reactions set emoji_id = 77 where emoji_key = 77;"#;

#[actix::test]
async fn poll_answers_show_what_was_told_and_what_was_seen() {
    let questions = Questions::with(POLL).await;
    let answers = "select message_id, question, answer_id, text, emoji, told_votes, seen_votes, is_finalized \
                     from discord.poll_answers order by 1, 3";
    let expected = [
        json!([1, "Tea?", 1, "yes", null, null, 1, false]),
        json!([1, "Tea?", 2, "no", "🍵", 3, 1, false]),
        json!([3, "new", 1, null, null, null, 0, false]),
    ];
    assert_eq!(questions.rows(answers).await, expected);
}

#[actix::test]
async fn reactions_are_counted_by_emoji() {
    let questions = Questions::with(POLL).await;
    let counts = "select message_id, channel_id, emoji_key, emoji_id, emoji_name, count, burst_count \
                    from discord.message_reactions order by 1, 3";
    let expected = [json!([1, 100, -5, null, "👍", 2, 1]), json!([1, 100, 77, 77, "cat", 1, 0])];
    assert_eq!(questions.rows(counts).await, expected);
}
