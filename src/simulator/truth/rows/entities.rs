//! Rows of everything besides guilds, roles, channels, people and messages.
//!
//! **Invariant:** the tombstone of each table is named here, and compared as set or not set.

use serde::Serialize;

use super::{TruthRow, TruthTable, row_of, set, set_or_not, table, wire};
use crate::simulator::truth::{
    Truth,
    columns::{self, Columns, project},
    entities::{EntitiesTold, ExecutionTold},
    reaction::{ReactionKey, ReactionTold, emoji_key},
    shelf::{End, Entry, Shelf},
};

const DELETED_AT: Option<&str> = Some("deleted_at");

impl Truth {
    pub(super) fn entity_tables(&self) -> Vec<TruthTable<'_>> {
        vec![
            self.shelf("emojis", columns::EMOJIS, |told| &told.emojis),
            self.shelf("stickers", columns::STICKERS, |told| &told.stickers),
            self.shelf("soundboard_sounds", columns::SOUNDS, |told| &told.sounds),
            self.shelf("scheduled_events", columns::SCHEDULED_EVENTS, |told| {
                &told.scheduled_events
            }),
            self.shelf("stage_instances", columns::STAGE_INSTANCES, |told| &told.stages),
            self.shelf("integrations", columns::INTEGRATIONS, |told| &told.integrations),
            self.shelf("auto_moderation_rules", columns::RULES, |told| &told.rules),
            self.shelf_by(
                "thread_members",
                &["guild_id", "thread_id", "user_id"],
                columns::THREAD_MEMBERS,
                Some("left_at"),
                |told| &told.thread_members,
            ),
            self.shelf_by("invites", &["guild_id", "code"], columns::INVITES, DELETED_AT, |told| {
                &told.invites
            }),
            self.shelf_by(
                "audit_log_entries",
                &["guild_id", "id"],
                columns::AUDIT_LOG_ENTRIES,
                None,
                |told| &told.audit_log,
            ),
            self.shelf_by(
                "application_command_permissions",
                &["guild_id", "application_id", "id"],
                columns::COMMAND_PERMISSIONS,
                None,
                |told| &told.command_permissions,
            ),
            self.executions(),
            self.effects(),
            self.subscribers(),
            self.bans(),
            self.reactions(),
            self.votes(),
            self.entitlements(),
            self.subscriptions(),
        ]
    }

    fn shelf<'a, T: Serialize + 'a>(
        &'a self,
        name: &'static str,
        columns: Columns,
        shelf: fn(&EntitiesTold) -> &Shelf<u64, T>,
    ) -> TruthTable<'a> {
        self.shelf_by(name, &["guild_id", "id"], columns, DELETED_AT, shelf)
    }

    fn shelf_by<'a, K: Ord + 'a, T: Serialize + 'a>(
        &'a self,
        name: &'static str,
        key: &'static [&'static str],
        columns: Columns,
        tombstone: Option<&'static str>,
        shelf: fn(&EntitiesTold) -> &Shelf<K, T>,
    ) -> TruthTable<'a> {
        let rows = self.guilds.iter().flat_map(move |(&guild_id, guild)| {
            shelf(&guild.entities).iter().map(move |(_, entry)| {
                let mut row = entry_row(entry, columns, tombstone);
                set(&mut row, "guild_id", guild_id);
                row
            })
        });
        table(name, key, rows)
    }

    /// Their `id` is the receiver's.
    fn executions(&self) -> TruthTable<'_> {
        let rows = self.guilds.iter().flat_map(|(&guild_id, guild)| {
            guild.entities.executions.iter().map(move |(_, entry)| {
                let mut row = execution_row(&entry.object);
                set(&mut row, "guild_id", guild_id);
                row
            })
        });
        table("auto_moderation_executions", &["guild_id", "matched_keyword"], rows)
    }

    /// Their `id` is the receiver's.
    fn effects(&self) -> TruthTable<'_> {
        let rows = self.guilds.iter().flat_map(|(&guild_id, guild)| {
            guild.entities.effects.iter().map(move |(_, entry)| {
                let effect = entry.object.as_ref();
                let mut row = row_of(effect, columns::EFFECTS);
                set(&mut row, "guild_id", guild_id);
                if let Some(emoji) = &effect.emoji {
                    set(&mut row, "emoji_id", emoji.id.map(|id| id.0));
                    set(&mut row, "emoji_name", emoji.name.as_ref());
                }
                set_or_not(&mut row, "sent_at", true);
                row
            })
        });
        table("voice_channel_effects", &["guild_id", "animation_id"], rows)
    }

    fn subscribers(&self) -> TruthTable<'_> {
        let rows = self.guilds.iter().flat_map(|(&guild_id, guild)| {
            guild.entities.subscribers.iter().map(move |(&(event_id, user_id), end)| {
                let mut row = TruthRow::new();
                set(&mut row, "guild_id", guild_id);
                set(&mut row, "scheduled_event_id", event_id);
                set(&mut row, "user_id", user_id);
                set_or_not(&mut row, "subscribed_at", true);
                set_end(&mut row, "removed_at", *end);
                row
            })
        });
        table("scheduled_event_users", &["guild_id", "scheduled_event_id", "user_id"], rows)
    }

    fn bans(&self) -> TruthTable<'_> {
        let rows = self.guilds.iter().flat_map(|(&guild_id, guild)| {
            guild.entities.bans.iter().map(move |(&user_id, end)| {
                let mut row = TruthRow::new();
                set(&mut row, "guild_id", guild_id);
                set(&mut row, "user_id", user_id);
                set_or_not(&mut row, "banned_at", true);
                set_end(&mut row, "deleted_at", *end);
                row
            })
        });
        table("bans", &["guild_id", "user_id"], rows)
    }

    fn reactions(&self) -> TruthTable<'_> {
        let rows = self.reactions.reactions.iter().map(|(key, told)| reaction_row(key, told));
        table("reactions", &["guild_id", "message_id", "emoji_key", "user_id", "type"], rows)
    }

    fn votes(&self) -> TruthTable<'_> {
        let rows = self.reactions.votes.iter().map(
            |(&(guild_id, message_id, answer_id, user_id), told)| {
                let mut row = TruthRow::new();
                set(&mut row, "guild_id", guild_id);
                set(&mut row, "message_id", message_id);
                set(&mut row, "answer_id", answer_id);
                set(&mut row, "user_id", user_id);
                set(&mut row, "channel_id", told.channel_id);
                set_or_not(&mut row, "voted_at", told.was_added);
                set_end(&mut row, "removed_at", told.end);
                row
            },
        );
        table("poll_votes", &["guild_id", "message_id", "answer_id", "user_id"], rows)
    }

    fn entitlements(&self) -> TruthTable<'_> {
        let rows = self.premium.entitlements.iter().map(|(&(guild_id, _), entry)| {
            let mut row = entry_row(entry, columns::ENTITLEMENTS, DELETED_AT);
            set(&mut row, "guild_id", guild_id);
            row
        });
        table("entitlements", &["guild_id", "id"], rows)
    }

    fn subscriptions(&self) -> TruthTable<'_> {
        let rows = self.premium.subscriptions.iter();
        let rows = rows.map(|(_, entry)| entry_row(entry, columns::SUBSCRIPTIONS, DELETED_AT));
        table("subscriptions", &["id"], rows)
    }
}

fn entry_row<T: Serialize>(
    entry: &Entry<T>,
    columns: Columns,
    tombstone: Option<&'static str>,
) -> TruthRow {
    let mut row = row_of(entry.object.as_ref(), columns);
    if let Some(tombstone) = tombstone {
        set_end(&mut row, tombstone, entry.end);
    }
    row
}

fn set_end(row: &mut TruthRow, column: &str, end: End) {
    match end {
        End::Present => set_or_not(row, column, false),
        End::Gone => set_or_not(row, column, true),
        End::Unsaid => {}
    }
}

fn execution_row(told: &ExecutionTold) -> TruthRow {
    let mut wire = wire(told.execution.as_ref());
    let mut row = TruthRow::new();
    project(&mut wire, columns::EXECUTIONS, &mut row);
    if told.content_told {
        project(&mut wire, columns::EXECUTION_CONTENT, &mut row);
    }
    set_or_not(&mut row, "executed_at", true);
    row
}

fn reaction_row(&(guild_id, ..): &ReactionKey, told: &ReactionTold) -> TruthRow {
    let reaction = told.reaction.as_ref();
    let mut row = row_of(reaction, columns::REACTIONS);
    set(&mut row, "guild_id", guild_id);
    set(&mut row, "emoji_key", emoji_key(&reaction.emoji));
    set(&mut row, "emoji_id", reaction.emoji.id.map(|id| id.0));
    set(&mut row, "emoji_name", reaction.emoji.name.as_ref());
    if let Some(animated) = reaction.emoji.animated {
        set(&mut row, "emoji_animated", animated);
    }
    if told.was_added {
        if let Some(author_id) = reaction.message_author_id {
            set(&mut row, "message_author_id", author_id.0);
        }
        set(&mut row, "burst_colors", reaction.burst_colors.to_vec());
    }
    set_or_not(&mut row, "reacted_at", told.was_added);
    set_end(&mut row, "removed_at", told.end);
    row
}
