//! Kicks, bans, auto moderation and the audit log.
//!
//! **Invariant:** an execution of a rule has a keyword of its own, so that it can be told from others
//! although Discord gives it no id.

use std::sync::Arc;

use rand::Rng;
use serde_json::{Value, json};

use super::{Scene, any};
use crate::simulator::{
    event::{Change, Event, ModerationEvent, Person},
    model::{AuditLogEntry, AutoModerationExecution, AutoModerationRule},
    wire::Snowflake,
    world::{names, things},
};

/// Actions in the audit log.
const KICKED: u16 = 20;
const BANNED: u16 = 22;
const UNBANNED: u16 = 23;

/// How a member is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulator) enum Removal {
    Left,
    Kicked,
    Banned,
}

/// An entry of the audit log, by the guild's owner.
pub(super) fn entry(
    scene: &mut Scene<'_>,
    action_type: u16,
    target_id: u64,
    changes: Vec<Value>,
    options: Option<Value>,
) -> Arc<AuditLogEntry> {
    let (id, guild_id) = (scene.world.next_id(), scene.guild_id);
    let owner_id = scene.world.made_guild(guild_id).map(|guild| guild.guild.owner_id);
    let reason = scene.rng.random_bool(0.4).then(|| names::text(scene.rng, 6).into());
    Arc::new(AuditLogEntry {
        id,
        guild_id: Snowflake(guild_id),
        user_id: owner_id,
        target_id: Some(Snowflake(target_id)),
        action_type,
        changes,
        options,
        reason,
    })
}

/// Tells an event and its entry in the audit log, which comes shortly before or after it.
pub(super) fn emit_audited(scene: &mut Scene<'_>, event: Event, entry: Arc<AuditLogEntry>) {
    let entry = Event::Moderation(ModerationEvent::AuditLog(entry));
    let (first, second) = if scene.rng.random_bool(0.5) { (entry, event) } else { (event, entry) };
    scene.emit(first);
    scene.emit(second);
}

/// A member leaves, or is made to.
pub(in crate::simulator) fn remove_member(scene: &mut Scene<'_>, person: Person, how: Removal) {
    let (guild_id, user_id) = (scene.guild_id, person.user.id.0);
    let Some(guild) = scene.guild() else { return };
    guild.remove_member(user_id);
    if how == Removal::Banned {
        guild.entities.bans.insert(user_id);
    }
    let removed = Event::MemberRemove(guild_id, Arc::clone(&person.user));
    match how {
        Removal::Left => scene.emit(removed),
        Removal::Kicked => {
            let entry = entry(scene, KICKED, user_id, Vec::new(), None);
            emit_audited(scene, removed, entry);
        }
        Removal::Banned => {
            let entry = entry(scene, BANNED, user_id, Vec::new(), None);
            let ban = ModerationEvent::Ban { guild_id, user: person.user, is_added: true };
            emit_audited(scene, Event::Moderation(ban), entry);
            scene.emit(removed);
        }
    }
}

/// A ban that the reader knows of is lifted.
pub(super) fn unban(scene: &mut Scene<'_>) {
    let (guild_id, truth, has_audience) = (scene.guild_id, scene.truth, scene.has_audience);
    let Some(guild) = scene.guild() else { return };
    let known = guild.entities.bans.iter().copied();
    let known: Vec<u64> =
        known.filter(|id| !has_audience || truth.knows_ban(guild_id, *id)).collect();
    let Some(user_id) = any(scene.rng, known.into_iter()) else { return };
    unban_one(scene, user_id);
}

/// Lifts a ban, if the reader knows the user as they are.
pub(in crate::simulator) fn unban_one(scene: &mut Scene<'_>, user_id: u64) {
    let guild_id = scene.guild_id;
    let Some(user) = scene.world.user(user_id).cloned() else { return };
    if scene.has_audience && !scene.truth.is_user_current(&user) {
        return;
    }
    if let Some(guild) = scene.guild() {
        guild.entities.bans.remove(&user_id);
    }
    let entry = entry(scene, UNBANNED, user_id, Vec::new(), None);
    let lifted = ModerationEvent::Ban { guild_id, user, is_added: false };
    emit_audited(scene, Event::Moderation(lifted), entry);
}

/// A rule is made, changed or deleted.
pub(super) fn rule(scene: &mut Scene<'_>) {
    let Some(guild) = scene.guild() else { return };
    let ids: Vec<u64> = guild.entities.rules.keys().copied().collect();
    match (any(scene.rng, ids.iter().copied()), scene.rng.random_range(0..3)) {
        (Some(id), 0) => {
            if let Some(rule) = scene.guild().and_then(|guild| guild.entities.rules.remove(&id)) {
                scene.emit(Event::Moderation(ModerationEvent::Rule(Change::Delete, rule)));
            }
        }
        (Some(id), 1) => change_rule(scene, id),
        _ if ids.len() < 6 => {
            create_rule(scene);
        }
        (Some(id), _) => change_rule(scene, id),
        (None, _) => {}
    }
}

/// Makes a rule and returns its id.
pub(in crate::simulator) fn create_rule(scene: &mut Scene<'_>) -> Option<u64> {
    let (id, guild_id) = (scene.world.next_id(), scene.guild_id);
    let guild = scene.world.guild(guild_id).filter(|guild| guild.is_reachable())?;
    let alert = guild.channels.values().find(|channel| channel.kind == 0).map(|channel| channel.id);
    let role = any(scene.rng, guild.roles.values().map(|role| role.id));
    let owner_id = guild.guild.owner_id;
    let rule = things::rule(scene.rng, id, Snowflake(guild_id), owner_id, alert, role);
    let rule = Arc::new(rule);
    guild.entities.rules.insert(id.0, Arc::clone(&rule));
    scene.emit(Event::Moderation(ModerationEvent::Rule(Change::Create, rule)));
    Some(id.0)
}

fn change_rule(scene: &mut Scene<'_>, id: u64) {
    let guild_id = scene.guild_id;
    let Some(guild) = scene.world.guild(guild_id) else { return };
    let Some(place) = guild.entities.rules.get_mut(&id) else { return };
    *place = Arc::new(AutoModerationRule {
        enabled: !place.enabled,
        name: names::role_name(scene.rng, 0),
        ..AutoModerationRule::clone(place)
    });
    let rule = Arc::clone(place);
    scene.emit(Event::Moderation(ModerationEvent::Rule(Change::Update, rule)));
}

/// A rule blocks a message, and posts an alert if it is to.
pub(super) fn execute(scene: &mut Scene<'_>) {
    let Some(person) = scene.person() else { return };
    let number = scene.world.next_number();
    let (guild_id, alert_id) = (scene.guild_id, scene.world.next_id());
    let Some(guild) = scene.world.guild(guild_id) else { return };
    let Some(rule) = any(scene.rng, guild.entities.rules.keys().copied())
        .and_then(|id| guild.entities.rules.get(&id).cloned())
    else {
        return;
    };
    let channels = guild.channels.values().filter(|channel| channel.is_open());
    let Some(channel_id) = any(scene.rng, channels.map(|channel| channel.id)) else { return };
    let keyword = format!("cat{number}");
    for action in &rule.actions {
        let is_alert = action["type"] == 2;
        let execution = AutoModerationExecution {
            guild_id: Snowflake(guild_id),
            action: action.clone(),
            rule_id: rule.id,
            rule_trigger_type: rule.trigger_type,
            user_id: person.user.id,
            channel_id: Some(channel_id),
            message_id: None,
            alert_system_message_id: is_alert.then_some(alert_id),
            content: format!("a {keyword} \"here\"").into(),
            matched_keyword: Some(
                if is_alert { format!("{keyword}*") } else { keyword.clone() }.into(),
            ),
            matched_content: Some(keyword.as_str().into()),
        };
        scene.emit(Event::Moderation(ModerationEvent::Executed(Arc::new(execution))));
    }
}

/// What changed of a role or guild, as the audit log has it.
pub(super) fn changed(
    key: &str,
    old: &impl serde::Serialize,
    new: &impl serde::Serialize,
) -> Value {
    json!({ "key": key, "old_value": old, "new_value": new })
}
