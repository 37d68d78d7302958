//! Coalesced ≡ sequential, where it is hard: few things to which everything happens again and again.
//!
//! The simulated Discord rarely does two things to one row within a portion. Here a handful of channels,
//! threads, messages and users get random events of every family, so that rows are made, removed, made
//! again, listed, left out of lists and taken along by what is gone, many times in one portion.
//!
//! **Invariant:** as in [`super::portions`], with the time of every tombstone.

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::{Value, json};

use super::portions::{Dump, compare, tables};
use crate::support::{
    samples::{
        CHANNEL, MESSAGE, THREAD, VOICE, added_reaction, ban, deleted_invite, emoji, in_guild,
        invite, joined_thread, reaction, scheduled_event, sound, stage, subscriber, thread,
        thread_joined, thread_member, voice_channel, voice_state, vote, whole_guild,
    },
    stream::{BOT, GUILD, Stream, channel, member, message, role},
};

/// The events follow from it.
const SEEDS: [u64; 2] = [21, 31];
/// Events of each seed.
const EVENTS: usize = 200;
/// Largest portions.
const LARGEST: [usize; 3] = [4, 25, EVENTS];

type Event = (&'static str, Value);

/// One of a few users.
fn user(rng: &mut SmallRng) -> u64 {
    rng.random_range(7..9)
}

/// Some of a few ids.
fn some(rng: &mut SmallRng, first: u64) -> Vec<u64> {
    (first..first + 3).filter(|_| rng.random_bool(0.6)).collect()
}

fn list<T>(of: &[T], make: impl Fn(&T) -> Value) -> Value {
    of.iter().map(make).collect()
}

/// GUILD_CREATE with a random part of everything.
fn part_of_the_guild(rng: &mut SmallRng) -> Value {
    let mut guild = whole_guild();
    guild["threads"] = list(&some(rng, THREAD), |id| joined_thread(*id));
    guild["emojis"] = list(&some(rng, 200), |id| emoji(*id, "e"));
    guild["guild_scheduled_events"] = list(&some(rng, 240), |id| scheduled_event(*id));
    guild["stage_instances"] = list(&some(rng, 230), |id| stage(*id));
    let channels = [channel(CHANNEL, &some(rng, 4)), voice_channel()];
    guild["channels"] = channels.into_iter().filter(|_| rng.random_bool(0.7)).collect();
    if rng.random_bool(0.4) {
        guild["roles"] = json!([role(GUILD, "@everyone")]);
    }
    if rng.random_bool(0.3) {
        guild["voice_states"] = json!([]);
    }
    guild
}

fn of_threads(rng: &mut SmallRng) -> Event {
    let id = rng.random_range(THREAD..THREAD + 3);
    let mut archived = thread(id);
    archived["thread_metadata"]["archived"] = json!(rng.random_bool(0.5));
    match rng.random_range(0..7) {
        0 => ("THREAD_CREATE", joined_thread(id)),
        1 => ("THREAD_UPDATE", archived),
        2 => (
            "THREAD_DELETE",
            in_guild(json!({"id": id.to_string(), "parent_id": CHANNEL.to_string(), "type": 11})),
        ),
        3 => ("THREAD_MEMBER_UPDATE", in_guild(thread_member(id, BOT))),
        4 => {
            let mut sync = in_guild(json!({"members": [thread_member(id, BOT)]}));
            sync["threads"] = list(&some(rng, THREAD), |id| thread(*id));
            if rng.random_bool(0.5) {
                let parent = if rng.random_bool(0.5) { CHANNEL } else { VOICE };
                sync["channel_ids"] = json!([parent.to_string()]);
            }
            ("THREAD_LIST_SYNC", sync)
        }
        5 => ("THREAD_MEMBERS_UPDATE", thread_joined(id, user(rng))),
        _ => {
            let removed =
                json!({"id": id.to_string(), "member_count": 1, "removed_member_ids": ["7"]});
            ("THREAD_MEMBERS_UPDATE", in_guild(removed))
        }
    }
}

fn of_messages(rng: &mut SmallRng) -> Event {
    let custom = json!({"id": "200", "name": "blob", "animated": true});
    let emoji = [json!({"id": null, "name": "🦆"}), custom].choose(rng).unwrap().clone();
    let of_message = json!({"channel_id": CHANNEL.to_string(), "message_id": MESSAGE.to_string()});
    match rng.random_range(0..8) {
        0 | 1 => ("MESSAGE_REACTION_ADD", added_reaction(user(rng), &emoji)),
        2 => ("MESSAGE_REACTION_REMOVE", reaction(user(rng), &emoji)),
        3 => {
            let mut of_emoji = in_guild(of_message);
            of_emoji["emoji"] = emoji;
            ("MESSAGE_REACTION_REMOVE_EMOJI", of_emoji)
        }
        4 => ("MESSAGE_REACTION_REMOVE_ALL", in_guild(of_message)),
        5 => ("MESSAGE_POLL_VOTE_ADD", vote(user(rng), 1)),
        6 => ("MESSAGE_POLL_VOTE_REMOVE", vote(user(rng), 1)),
        _ => {
            let ids = json!({"id": MESSAGE.to_string(), "channel_id": CHANNEL.to_string()});
            ("MESSAGE_DELETE", in_guild(ids))
        }
    }
}

fn of_channels(rng: &mut SmallRng) -> Event {
    match rng.random_range(0..7) {
        0 => ("CHANNEL_CREATE", channel(CHANNEL, &some(rng, 4))),
        1 => ("CHANNEL_UPDATE", channel(CHANNEL, &some(rng, 4))),
        2 => ("CHANNEL_UPDATE", voice_channel()),
        3 => ("CHANNEL_DELETE", channel(CHANNEL, &[])),
        4 => ("CHANNEL_DELETE", voice_channel()),
        5 => ("MESSAGE_CREATE", message(MESSAGE + rng.random_range(1..9), "x")),
        _ => ("WEBHOOKS_UPDATE", in_guild(json!({"channel_id": CHANNEL.to_string()}))),
    }
}

fn of_people(rng: &mut SmallRng) -> Event {
    let id = user(rng);
    match rng.random_range(0..8) {
        0 => ("GUILD_BAN_ADD", ban(id)),
        1 => ("GUILD_BAN_REMOVE", ban(id)),
        2 => ("GUILD_MEMBER_ADD", in_guild(member(id, "ann", &some(rng, 4)))),
        3 => {
            let user = crate::support::stream::user(id, "ann");
            ("GUILD_MEMBER_REMOVE", in_guild(json!({"user": user})))
        }
        4 | 5 => {
            let place = [None, Some(VOICE), Some(VOICE + 1)].choose(rng).copied().flatten();
            ("VOICE_STATE_UPDATE", voice_state(id, place))
        }
        6 => ("GUILD_ROLE_DELETE", in_guild(json!({"role_id": "5"}))),
        _ => ("GUILD_ROLE_UPDATE", in_guild(json!({"role": role(5, "role")}))),
    }
}

fn of_the_guild(rng: &mut SmallRng) -> Event {
    let event_id = rng.random_range(240..242);
    match rng.random_range(0..13) {
        0 => ("GUILD_CREATE", part_of_the_guild(rng)),
        1 | 2 => {
            let emojis = list(&some(rng, 200), |id| emoji(*id, "e"));
            ("GUILD_EMOJIS_UPDATE", in_guild(json!({"emojis": emojis})))
        }
        3 => ("GUILD_SOUNDBOARD_SOUND_CREATE", sound(220, "quack")),
        4 => ("GUILD_SOUNDBOARD_SOUND_DELETE", in_guild(json!({"sound_id": "220"}))),
        5 => ("GUILD_SCHEDULED_EVENT_UPDATE", scheduled_event(event_id)),
        6 => ("GUILD_SCHEDULED_EVENT_DELETE", scheduled_event(event_id)),
        7 => ("GUILD_SCHEDULED_EVENT_USER_ADD", subscriber(event_id, user(rng))),
        8 => ("GUILD_SCHEDULED_EVENT_USER_REMOVE", subscriber(event_id, user(rng))),
        9 => ("STAGE_INSTANCE_CREATE", stage(230)),
        10 => ("STAGE_INSTANCE_DELETE", stage(230)),
        11 => ("INVITE_CREATE", invite("abc")),
        _ => ("INVITE_DELETE", deleted_invite("abc")),
    }
}

fn random_event(rng: &mut SmallRng) -> Event {
    match rng.random_range(0..5) {
        0 => of_threads(rng),
        1 => of_messages(rng),
        2 => of_channels(rng),
        3 => of_people(rng),
        _ => of_the_guild(rng),
    }
}

async fn dump(events: &[Event], largest: usize, seed: u64) -> Dump {
    let mut sizes = SmallRng::seed_from_u64(seed);
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    let mut rest = events;
    while !rest.is_empty() {
        let size = sizes.random_range(1..=largest).min(rest.len());
        let (portion, later) = rest.split_at(size);
        stream.send_all(portion).await;
        rest = later;
    }
    tables(&stream.client).await
}

#[actix::test]
async fn few_things_that_change_all_the_time_end_the_same_in_portions_of_any_size() {
    for seed in SEEDS {
        let mut rng = SmallRng::seed_from_u64(seed);
        let events: Vec<Event> = (0..EVENTS).map(|_| random_event(&mut rng)).collect();
        let one_by_one = dump(&events, 1, seed).await;
        let of = |name: &str| one_by_one.iter().find(|(table, _)| table == name).unwrap().1.len();
        for table in
            ["thread_members", "reactions", "poll_votes", "scheduled_event_users", "invites"]
        {
            assert!(of(table) > 0, "{table} is empty");
        }
        assert_eq!(of("rejected_events"), 0);
        for largest in LARGEST {
            let in_portions = dump(&events, largest, seed).await;
            compare(&one_by_one, &in_portions, &format!("seed {seed}, portions up to {largest}"));
        }
    }
}
