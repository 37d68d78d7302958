//! A recorded stream: gateway payloads, one per line, sent again to whoever identifies.
//!
//! **Invariant:** recorded payloads go out as they were recorded; only sequences are numbered anew, and
//! READY tells of this session.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    config::SimulatorConfig,
    session::{Session, Wishes},
    truth::Truth,
    world::World,
};

/// Why a recording cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The recording.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is no gateway payload.
    #[error("{path}:{line}: not a gateway payload such as {{\"t\":…,\"s\":…,\"op\":0,\"d\":…}}")]
    Line {
        /// The recording.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct Payload<'a> {
    op: u8,
    #[serde(borrow)]
    t: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    d: Option<&'a RawValue>,
}

/// A recorded dispatch.
#[derive(Debug)]
struct Recorded {
    name: Box<str>,
    payload: Box<str>,
}

/// A recording, read and checked.
#[derive(Clone, Debug)]
pub(super) struct Recording {
    dispatches: Arc<[Recorded]>,
}

impl Recording {
    /// Reads a file of newline-delimited payloads; empty lines and payloads that are no dispatches are
    /// passed over.
    pub(super) fn read(path: &Path) -> Result<Self, ReplayError> {
        let read = |source| ReplayError::Read { path: path.to_owned(), source };
        let mut dispatches = Vec::new();
        for (index, line) in BufReader::new(File::open(path).map_err(read)?).lines().enumerate() {
            let line = line.map_err(read)?;
            if line.trim().is_empty() {
                continue;
            }
            let bad = |source| ReplayError::Line { path: path.to_owned(), line: index + 1, source };
            let payload: Payload<'_> = serde_json::from_str(&line).map_err(bad)?;
            if payload.op == 0 {
                let name = payload
                    .t
                    .ok_or_else(|| bad(serde::de::Error::custom("a dispatch needs `t`")))?;
                // `d` may be null, which is the same as absent here.
                let d = payload.d.map_or("null", RawValue::get);
                dispatches.push(Recorded { name: (*name).into(), payload: d.into() });
            }
        }
        Ok(Self { dispatches: dispatches.into() })
    }

    /// Number of recorded dispatches.
    fn len(&self) -> usize {
        self.dispatches.len()
    }

    /// A session that gets the recording. Its READY is the recorded one with this session's identity,
    /// or one made from the guilds that the recording tells of.
    pub(super) fn open(
        &self,
        id: Box<str>,
        wishes: Wishes,
        config: &SimulatorConfig,
        resume_gateway_url: &str,
        world: &mut World,
        truth: &mut Truth,
    ) -> Session {
        let config = SimulatorConfig {
            replay_frames: config.replay_frames.max(self.len() + 16),
            replay_bytes: usize::MAX,
            ..config.clone()
        };
        let mut ready = self.ready().unwrap_or_else(|| self.made_ready(world));
        ready["session_id"] = (*id).into();
        ready["resume_gateway_url"] = resume_gateway_url.into();
        ready["shard"] = json!(wishes.shard);
        let mut session = Session::bare(id, wishes, &config, world.bot_id());
        session.push_raw("READY", &ready.to_string(), truth);
        session.play(Playback {
            recording: self.clone(),
            place: 0,
            pace: config.replay_per_second,
            granted: 0.0,
        });
        session
    }

    /// The recorded READY.
    fn ready(&self) -> Option<Value> {
        let recorded = self.dispatches.iter().find(|recorded| &*recorded.name == "READY")?;
        serde_json::from_str(&recorded.payload).ok().filter(Value::is_object)
    }

    /// The bot that the recorded READY names, whom REST must name too.
    pub(super) fn bot(&self) -> Option<Value> {
        self.ready()?.get_mut("user").map(Value::take).filter(Value::is_object)
    }

    fn made_ready(&self, world: &World) -> Value {
        let guilds: Vec<Value> = self
            .dispatches
            .iter()
            .filter(|recorded| &*recorded.name == "GUILD_CREATE")
            .filter_map(|recorded| serde_json::from_str::<Value>(&recorded.payload).ok())
            .map(|guild| json!({ "id": guild["id"], "unavailable": true }))
            .collect();
        let bot = world.user(world.bot_id()).map(|bot| json!(super::event::current_user(bot)));
        json!({
            "v": 10, "user": bot, "guilds": guilds,
            "application": { "id": super::wire::Snowflake(world.bot_id()), "flags": 0 },
        })
    }
}

/// A recording on its way to one session.
#[derive(Debug)]
pub(crate) struct Playback {
    recording: Recording,
    place: usize,
    /// Payloads per second; `None` is as fast as they are taken.
    pace: Option<f64>,
    granted: f64,
}

impl Playback {
    /// Whether everything has been sent.
    pub(crate) fn is_over(&self) -> bool {
        self.rest().next().is_none()
    }

    /// Adds the payloads of some seconds to what may be sent; true if that is at least one.
    pub(crate) fn grant(&mut self, seconds: f64) -> bool {
        let Some(pace) = self.pace else { return false };
        self.granted = (self.granted + pace * seconds).min(pace.max(1.0));
        self.granted >= 1.0
    }

    /// The next payload with its event name, if its time has come.
    pub(crate) fn next(&mut self) -> Option<(&str, &str)> {
        if self.pace.is_some() && self.granted < 1.0 {
            return None;
        }
        self.granted -= 1.0;
        let place = self.rest().next()?;
        self.place = place + 1;
        let recorded = &self.recording.dispatches[place];
        Some((&recorded.name, &recorded.payload))
    }

    /// Places still to be sent; the session's own READY and RESUMEDs stand for the recorded ones.
    fn rest(&self) -> impl Iterator<Item = usize> + '_ {
        (self.place..self.recording.len()).filter(|&place| {
            !matches!(&*self.recording.dispatches[place].name, "READY" | "RESUMED")
        })
    }
}
