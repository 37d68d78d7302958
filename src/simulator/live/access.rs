//! Invites, integrations, webhooks, commands.
//!
//! **Invariant:** only what the reader knows of is told to be gone, since a deletion names an id alone.

use std::sync::Arc;

use rand::Rng;
use serde_json::json;
use twilight_model::gateway::Intents;

use super::{Scene, any};
use crate::simulator::{
    event::{AccessEvent, Change, Event},
    model::{CommandPermissions, Integration, IntegrationBody, Invite, MemberView},
    wire::Snowflake,
    world::things,
};

const MAX_INVITES: usize = 20;
const MAX_INTEGRATIONS: usize = 8;

/// What invites to voice channels are for.
const STREAM: u8 = 1;
const EMBEDDED_APPLICATION: u8 = 2;

/// An invite is made or deleted.
pub(super) fn invite(scene: &mut Scene<'_>) {
    let (guild_id, truth, has_audience) = (scene.guild_id, scene.truth, scene.has_audience);
    let Some(guild) = scene.guild() else { return };
    let codes = guild.entities.invites.keys();
    let known: Vec<Box<str>> =
        codes.filter(|code| !has_audience || truth.knows_invite(guild_id, code)).cloned().collect();
    let is_full = guild.entities.invites.len() >= MAX_INVITES;
    if !known.is_empty() && (is_full || scene.rng.random_bool(0.35)) {
        let place = scene.rng.random_range(0..known.len());
        return delete_invite(scene, &known[place]);
    }
    let Some(guild) = scene.guild().filter(|_| !is_full) else { return };
    let channels: Vec<u64> = guild
        .channels
        .values()
        .filter(|channel| channel.kind == 0 || channel.is_voice())
        .map(|channel| channel.id.0)
        .collect();
    if let Some(channel_id) = any(scene.rng, channels.into_iter()) {
        create_invite(scene, channel_id);
    }
}

/// Makes an invite to a channel.
pub(in crate::simulator) fn create_invite(scene: &mut Scene<'_>, channel_id: u64) {
    let (guild_id, now) = (scene.guild_id, scene.world.now);
    let number = scene.world.next_number();
    let inviter = scene.known_person().map(|person| person.user);
    let target = scene.known_person().map(|person| person.user);
    let Some(guild) = scene.world.guild(guild_id) else { return };
    let is_voice = guild.channels.get(&channel_id).is_some_and(|channel| channel.is_voice());
    let role = any(scene.rng, guild.roles.values().map(|role| role.id));
    let max_age = if scene.rng.random_bool(0.3) { 0 } else { 86_400 };
    let mut invite = Invite {
        channel_id: Snowflake(channel_id),
        // Letters of both cases, as Discord's codes have, and never the same twice.
        code: format!("{}{number:x}", ["Zy", "aB", "q"][scene.rng.random_range(0..3)]).into(),
        created_at: now,
        guild_id: Snowflake(guild_id),
        inviter,
        max_age,
        max_uses: scene.rng.random_range(0..3),
        kind: 0,
        target_type: None,
        target_user: None,
        target_application: None,
        temporary: scene.rng.random_bool(0.1),
        uses: 0,
        expires_at: (max_age > 0).then(|| now.plus_seconds(i64::from(max_age))),
        role_ids: role.filter(|_| scene.rng.random_bool(0.3)).map(|role| Box::new([role]) as _),
    };
    match (is_voice, scene.rng.random_range(0..3)) {
        (true, 0) if target.is_some() => {
            invite.target_type = Some(STREAM);
            invite.target_user = target;
        }
        (true, 1) => {
            invite.target_type = Some(EMBEDDED_APPLICATION);
            invite.target_application =
                Some(json!({ "id": "880218394199220334", "name": "Watch Together", "icon": null }));
        }
        _ => {}
    }
    let invite = Arc::new(invite);
    guild.entities.invites.insert(invite.code.clone(), Arc::clone(&invite));
    scene.emit(Event::Access(AccessEvent::Invite(invite)));
}

/// Deletes an invite.
pub(in crate::simulator) fn delete_invite(scene: &mut Scene<'_>, code: &str) {
    if let Some(invite) = scene.guild().and_then(|guild| guild.entities.invites.remove(code)) {
        scene.emit(Event::Access(AccessEvent::InviteDelete(invite)));
    }
}

/// An integration is made, changed or deleted.
pub(super) fn integration(scene: &mut Scene<'_>) {
    let (guild_id, truth, has_audience) = (scene.guild_id, scene.truth, scene.has_audience);
    let (id, now) = (scene.world.next_id(), scene.world.now);
    let Some(guild) = scene.world.guild(guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    let role = any(scene.rng, guild.roles.values().map(|role| role.id));
    let integrations = &mut guild.entities.integrations;
    let known = integrations.keys().copied();
    let known: Vec<u64> =
        known.filter(|id| !has_audience || truth.knows_integration(guild_id, *id)).collect();
    let event = match (any(scene.rng, known.into_iter()), scene.rng.random_range(0..3)) {
        (Some(id), 0) => {
            let Some(integration) = integrations.remove(&id) else { return };
            AccessEvent::Integration(Change::Delete, integration)
        }
        (Some(id), 1) => {
            let Some(place) = integrations.get_mut(&id) else { return };
            let mut integration = Integration::clone(place);
            integration.enabled = !integration.enabled;
            if let IntegrationBody::Subscribers { subscriber_count, .. } = &mut integration.body {
                *subscriber_count += 1;
            }
            *place = Arc::new(integration);
            AccessEvent::Integration(Change::Update, Arc::clone(place))
        }
        _ if integrations.len() < MAX_INTEGRATIONS => {
            let integration = things::integration(scene.rng, id, Snowflake(guild_id), role, now);
            let integration = Arc::new(integration);
            integrations.insert(id.0, Arc::clone(&integration));
            AccessEvent::Integration(Change::Create, integration)
        }
        _ => return,
    };
    scene.emit(Event::Access(event));
    scene.emit(Event::Access(AccessEvent::Integrations(guild_id)));
}

pub(super) fn webhooks(scene: &mut Scene<'_>) {
    let guild_id = scene.guild_id;
    let Some(guild) = scene.guild() else { return };
    let channels: Vec<u64> = guild
        .channels
        .values()
        .filter(|channel| channel.kind == 0)
        .map(|channel| channel.id.0)
        .collect();
    if let Some(channel_id) = any(scene.rng, channels.into_iter()) {
        scene.emit(Event::Access(AccessEvent::Webhooks { guild_id, channel_id }));
    }
}

/// Who may use a command of the bot is set.
pub(super) fn command_permissions(scene: &mut Scene<'_>) {
    let (guild_id, bot_id) = (scene.guild_id, Snowflake(scene.world.bot_id()));
    let Some(person) = scene.person() else { return };
    let Some(guild) = scene.guild() else { return };
    let channel_id = guild.channels.values().find(|channel| channel.kind == 0).map(|at| at.id);
    let command = scene.rng.random_range(0..4);
    // The application's own id stands for all of its commands.
    let id = if command == 0 { bot_id } else { Snowflake(bot_id.0 + command) };
    let mut permissions = vec![
        json!({ "id": Snowflake(guild_id), "type": 1, "permission": scene.rng.random_bool(0.5) }),
        json!({ "id": person.user.id, "type": 2, "permission": true }),
    ];
    if let Some(channel_id) = channel_id {
        permissions.push(json!({ "id": channel_id, "type": 3, "permission": false }));
    }
    let permissions = CommandPermissions {
        id,
        application_id: bot_id,
        guild_id: Snowflake(guild_id),
        permissions,
    };
    let event = AccessEvent::CommandPermissions(Arc::new(permissions));
    scene.emit(Event::Access(event));
}

/// Someone uses a command of the bot. Its token is a secret and nothing of it is state.
pub(super) fn interaction(scene: &mut Scene<'_>) {
    let (guild_id, id, bot_id) = (scene.guild_id, scene.world.next_id(), scene.world.bot_id());
    let Some(person) = scene.known_person() else { return };
    let Some(guild) = scene.guild() else { return };
    let Some(channel) = guild.channels.values().find(|channel| channel.kind == 0).cloned() else {
        return;
    };
    let view = MemberView { guild_id: None, user: Some(&person.user), member: &person.member };
    let mut member = json!(view);
    member["permissions"] = "2147483647".into();
    let payload = json!({
        "id": id, "application_id": Snowflake(bot_id), "type": 2, "version": 1,
        "token": format!("aW50ZXJhY3Rpb246{}", id.0),
        "data": { "id": Snowflake(bot_id + 1), "name": "ping", "type": 1 },
        "guild_id": Snowflake(guild_id), "guild_locale": "en-US", "locale": "de",
        "channel_id": channel.id,
        "channel": { "id": channel.id, "type": channel.kind, "name": channel.name },
        "member": member, "app_permissions": "2147483647", "entitlements": [], "context": 0,
        "authorizing_integration_owners": { "0": Snowflake(guild_id) },
        "attachment_size_limit": 10_485_760,
    });
    scene.emit(Event::Other {
        name: "INTERACTION_CREATE".into(),
        guild_id: Some(guild_id),
        intents: Intents::empty(),
        payload: Arc::new(payload),
    });
}
