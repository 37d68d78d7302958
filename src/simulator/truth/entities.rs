//! What was told of a guild besides itself, its roles, channels and people.
//!
//! **Invariant:** what hangs on a channel or an event goes with it, although nothing is told of it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    guild::GuildTold,
    shelf::{End, Shelf},
};
use crate::simulator::{
    event::{
        AccessEvent, Change, ExpressionEvent, GuildSnapshot, ModerationEvent, ScheduleEvent,
        ThreadEvent, ThreadList, VoiceEvent,
    },
    model::{
        AuditLogEntry, AutoModerationExecution, AutoModerationRule, CommandPermissions, Emoji,
        Guild, Integration, Invite, ScheduledEvent, SoundboardSound, StageInstance, Sticker,
        ThreadMember, VoiceEffect,
    },
    wire::Snowflake,
};

/// A scheduled event that is over: completed or cancelled.
const OVER: [u8; 2] = [3, 4];

/// What one session was told that a rule did.
#[derive(Clone, Debug)]
pub(super) struct ExecutionTold {
    pub(super) execution: Arc<AutoModerationExecution>,
    pub(super) content_told: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct EntitiesTold {
    pub(super) emojis: Shelf<u64, Emoji>,
    pub(super) stickers: Shelf<u64, Sticker>,
    pub(super) sounds: Shelf<u64, SoundboardSound>,
    /// By thread and user.
    pub(super) thread_members: Shelf<(u64, u64), ThreadMember>,
    pub(super) scheduled_events: Shelf<u64, ScheduledEvent>,
    /// By event and user.
    pub(super) subscribers: BTreeMap<(u64, u64), End>,
    pub(super) stages: Shelf<u64, StageInstance>,
    pub(super) invites: Shelf<Box<str>, Invite>,
    pub(super) bans: BTreeMap<u64, End>,
    pub(super) integrations: Shelf<u64, Integration>,
    pub(super) integrations_updated: bool,
    pub(super) rules: Shelf<u64, AutoModerationRule>,
    /// By the keyword that matched: see the invariant of live moderation.
    pub(super) executions: Shelf<Box<str>, ExecutionTold>,
    pub(super) audit_log: Shelf<u64, AuditLogEntry>,
    /// By the number of the animation: see the invariant of live voice events.
    pub(super) effects: Shelf<u64, VoiceEffect>,
    /// By application and command.
    pub(super) command_permissions: Shelf<(u64, u64), CommandPermissions>,
}

impl EntitiesTold {
    /// What GUILD_CREATE and GUILD_UPDATE both list.
    pub(super) fn list_expressions(&mut self, guild: &Guild) {
        self.emojis.replace(guild.emojis.iter().map(|emoji| (emoji.id.0, emoji)));
        self.stickers.replace(guild.stickers.iter().map(|sticker| (sticker.id.0, sticker)));
    }

    /// What only GUILD_CREATE lists.
    pub(super) fn list(&mut self, snapshot: &GuildSnapshot, bot_id: u64) {
        let sounds = &snapshot.soundboard_sounds;
        self.sounds.replace(sounds.iter().map(|sound| (sound.sound_id.0, sound)));
        let stages = &snapshot.stage_instances;
        self.stages.replace(stages.iter().map(|stage| (stage.id.0, stage)));
        let events = &snapshot.scheduled_events;
        let gone = self.scheduled_events.replace(events.iter().map(|event| (event.id.0, event)));
        for event_id in gone {
            self.end_subscribers(event_id);
        }
        for (thread, member) in &snapshot.threads {
            match member {
                Some(member) => self.join_thread(*member),
                // No documentation says that a membership that is not named here has ended.
                None => self.thread_members.leave_open(&(thread.id.0, bot_id)),
            }
        }
    }

    /// A channel is gone: nobody is invited to it any more.
    pub(super) fn end_invites(&mut self, channel_id: u64) {
        self.invites.end_where(|_, invite| invite.channel_id.0 == channel_id);
    }

    /// A channel was deleted.
    pub(super) fn delete_channel(&mut self, channel_id: u64) {
        let in_it = Some(Snowflake(channel_id));
        for event_id in self.scheduled_events.end_where(|_, event| event.channel_id == in_it) {
            self.end_subscribers(event_id);
        }
        self.stages.end_where(|_, stage| stage.channel_id.0 == channel_id);
        self.end_invites(channel_id);
        self.end_thread(channel_id);
    }

    /// A thread was deleted.
    pub(super) fn end_thread(&mut self, thread_id: u64) {
        self.thread_members.end_where(|(id, _), _| *id == thread_id);
    }

    pub(super) fn join_thread(&mut self, member: ThreadMember) {
        self.thread_members.put((member.id.0, member.user_id.0), &Arc::new(member));
    }

    fn end_subscribers(&mut self, event_id: u64) {
        for (_, end) in self.subscribers.range_mut((event_id, 0)..=(event_id, u64::MAX)) {
            end.end();
        }
    }

    fn leave_subscribers_open(&mut self, event_id: u64) {
        for (_, end) in self.subscribers.range_mut((event_id, 0)..=(event_id, u64::MAX)) {
            end.leave_open();
        }
    }
}

impl GuildTold {
    pub(super) fn expression(&mut self, event: &ExpressionEvent) {
        let entities = &mut self.entities;
        match event {
            ExpressionEvent::Emojis { emojis, .. } => {
                entities.emojis.replace(emojis.iter().map(|emoji| (emoji.id.0, emoji)));
            }
            ExpressionEvent::Stickers { stickers, .. } => {
                entities.stickers.replace(stickers.iter().map(|sticker| (sticker.id.0, sticker)));
            }
            ExpressionEvent::Sound(Change::Delete, sound) => entities.sounds.end(&sound.sound_id.0),
            ExpressionEvent::Sound(_, sound) => entities.sounds.put(sound.sound_id.0, sound),
            ExpressionEvent::Sounds { sounds, .. } => {
                entities.sounds.replace(sounds.iter().map(|sound| (sound.sound_id.0, sound)));
            }
        }
    }

    pub(super) fn thread(&mut self, event: &ThreadEvent, bot_id: u64) {
        match event {
            ThreadEvent::ListSync(list) => self.list_threads(list, bot_id),
            ThreadEvent::Member(_, member) => self.entities.join_thread(*member),
            ThreadEvent::Members(members) => {
                for (member, _) in &members.added {
                    self.entities.join_thread(*member);
                }
                for user_id in &members.removed {
                    self.entities.thread_members.end(&(members.thread_id.0, user_id.0));
                }
                if let Some(told) = self.channels.get_mut(&members.thread_id.0)
                    && let Some(place) = Arc::make_mut(&mut told.channel).member_count_mut()
                {
                    *place = members.member_count;
                }
            }
        }
    }

    /// A list replaces what was told of the threads of its channels, and of the bot in them.
    fn list_threads(&mut self, list: &ThreadList, bot_id: u64) {
        self.unlist_threads(list.channel_ids.as_deref());
        for thread in &list.threads {
            self.put_channel(thread);
            if !list.members.iter().any(|member| member.id == thread.id) {
                self.entities.thread_members.end(&(thread.id.0, bot_id));
            }
        }
        for member in &list.members {
            self.entities.join_thread(*member);
        }
    }

    pub(super) fn schedule(&mut self, event: &ScheduleEvent) {
        let entities = &mut self.entities;
        match event {
            ScheduleEvent::Event(Change::Delete, event) => {
                entities.scheduled_events.put_ended(event.id.0, event);
                entities.end_subscribers(event.id.0);
            }
            ScheduleEvent::Event(_, event) => {
                entities.scheduled_events.put(event.id.0, event);
                if OVER.contains(&event.status) {
                    entities.leave_subscribers_open(event.id.0);
                }
            }
            ScheduleEvent::User { event_id, user_id, is_added, .. } => {
                let end = if *is_added { End::Present } else { End::Gone };
                entities.subscribers.insert((*event_id, *user_id), end);
            }
            ScheduleEvent::Stage(Change::Delete, stage) => {
                entities.stages.put_ended(stage.id.0, stage);
            }
            ScheduleEvent::Stage(_, stage) => entities.stages.put(stage.id.0, stage),
        }
    }

    pub(super) fn moderation(&mut self, event: &ModerationEvent, content_told: bool) {
        let entities = &mut self.entities;
        match event {
            ModerationEvent::Ban { user, is_added, .. } => {
                let end = if *is_added { End::Present } else { End::Gone };
                entities.bans.insert(user.id.0, end);
            }
            ModerationEvent::Rule(Change::Delete, rule) => {
                entities.rules.put_ended(rule.id.0, rule)
            }
            ModerationEvent::Rule(_, rule) => entities.rules.put(rule.id.0, rule),
            ModerationEvent::Executed(execution) => {
                let key = execution.matched_keyword.clone().unwrap_or_default();
                let told = ExecutionTold { execution: Arc::clone(execution), content_told };
                entities.executions.put(key, &Arc::new(told));
            }
            ModerationEvent::AuditLog(entry) => entities.audit_log.put(entry.id.0, entry),
        }
    }

    pub(super) fn access(&mut self, event: &AccessEvent) {
        let entities = &mut self.entities;
        match event {
            AccessEvent::Invite(invite) => entities.invites.put(invite.code.clone(), invite),
            AccessEvent::InviteDelete(invite) => entities.invites.end(&invite.code),
            AccessEvent::Integration(Change::Delete, integration) => {
                entities.integrations.end(&integration.id.0);
            }
            AccessEvent::Integration(_, integration) => {
                entities.integrations.put(integration.id.0, integration);
            }
            AccessEvent::Integrations(_) => entities.integrations_updated = true,
            AccessEvent::Webhooks { channel_id, .. } => {
                if let Some(told) = self.channels.get_mut(channel_id) {
                    told.webhooks_updated = true;
                }
            }
            AccessEvent::CommandPermissions(permissions) => {
                let key = (permissions.application_id.0, permissions.id.0);
                entities.command_permissions.put(key, permissions);
            }
        }
    }

    pub(super) fn voice(&mut self, event: &VoiceEvent) {
        match event {
            VoiceEvent::Status { channel_id, status, .. } => {
                if let Some(told) = self.channels.get_mut(channel_id) {
                    told.status.clone_from(status);
                }
            }
            VoiceEvent::Start { channel_id, at, .. } => {
                if let Some(told) = self.channels.get_mut(channel_id) {
                    told.voice_start_time = *at;
                }
            }
            VoiceEvent::Info { channels, .. } => {
                for info in channels {
                    if let Some(told) = self.channels.get_mut(&info.id.0) {
                        told.status.clone_from(&info.status);
                        told.voice_start_time = info.voice_start_time;
                    }
                }
            }
            VoiceEvent::Effect(effect) => self.entities.effects.put(effect.animation_id, effect),
        }
    }
}
