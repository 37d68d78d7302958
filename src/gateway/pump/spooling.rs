//! When the shard's events go to the disk, and when they are back.
//!
//! **Invariant:** the resume point that is reported to the engine stays the one of the database: the log has its own.

use std::time::Instant;

use tracing::{error, info, warn};

use super::{Next, Pump, now, unix_micros};
use crate::{
    error::OneLine,
    gateway::{connector::Wait, spooler::SpoolStep},
    spool::SpoolError,
};

impl Pump {
    /// Begins or ends spooling if it is time, and lets go of what the disk need not keep.
    pub(super) fn look_after_spool(&mut self, now: Instant) {
        let Some(spooler) = &mut self.spooler else { return };
        let waiting_since_us = self.intake.checkpoint.waiting_since_us();
        let overflow = &mut self.intake.overflow;
        if !overflow.is_spooling() {
            if waiting_since_us.is_some() && overflow.is_due(waiting_since_us, unix_micros(), now) {
                self.begin_spooling(now, "PostgreSQL takes no events, or not fast enough");
            }
            return;
        }
        if spooler.is_refused {
            self.intake.load_waiting(now);
        }
        let overflow = &mut self.intake.overflow;
        let settled = self.intake.checkpoint.settled();
        if let Some(position) = overflow.next_release(settled) {
            spooler.release(position);
        }
        if let Some(spooled) = overflow.end_if_caught_up(waiting_since_us, unix_micros(), now) {
            spooler.close(self.intake.checkpoint.resume_point());
            info!(
                bot = self.key.bot_id,
                shard = self.key.shard_id,
                events = spooled.events,
                seconds = spooled.lasted.as_secs_f64(),
                "PostgreSQL has caught up: events go to it without the spool"
            );
        }
    }

    /// From now on events go to the disk. Says whether they can.
    pub(super) fn begin_spooling(&mut self, now: Instant, why: &str) -> bool {
        if self.spooler.is_none() || self.intake.overflow.is_spooling() {
            return false;
        }
        self.intake.spool(now);
        self.gate.relieved();
        self.counters.spoolings.increment();
        warn!(
            bot = self.key.bot_id,
            shard = self.key.shard_id,
            outstanding = self.intake.outstanding(),
            "{why}: what comes is spooled on disk, the connection stays open"
        );
        true
    }

    /// Whether a connection that was given up may be made again.
    pub(super) fn has_room(&self) -> bool {
        match &self.spooler {
            Some(spooler) if self.intake.overflow.is_spooling() => {
                self.intake.overflow.is_on_disk() && spooler.spool().has_room()
            }
            _ => self.intake.outbox.is_empty(),
        }
    }

    pub(super) fn on_spooled(&mut self, step: SpoolStep) -> Option<Next> {
        let (bot, shard) = (self.key.bot_id, self.key.shard_id);
        let spooler = self.spooler.as_mut()?;
        match step {
            SpoolStep::Appended(Ok(position)) => {
                if std::mem::take(&mut spooler.is_refused) {
                    info!(bot, shard, "the spool takes events again");
                }
                self.intake.overflow.appended(position);
            }
            SpoolStep::Appended(Err(refusal)) => {
                if !std::mem::replace(&mut spooler.is_refused, true) {
                    let refusal = OneLine(&refusal).to_string();
                    error!(
                        bot,
                        shard,
                        refusal,
                        "the spool takes no events: discord has to wait, and the session is resumed later"
                    );
                }
                self.intake.overflow.refused(now());
            }
            SpoolStep::Read(Ok(read)) => {
                self.intake.load(read, now());
                self.intake.overflow.read();
            }
            SpoolStep::Read(Err(refusal @ SpoolError::Damaged { .. })) => {
                let refusal = OneLine(&refusal).to_string();
                error!(
                    bot,
                    shard,
                    refusal,
                    "events on disk cannot be read any more: discord is asked for them again"
                );
                return Some(self.rewind());
            }
            SpoolStep::Read(Err(refusal)) => {
                let refusal = OneLine(&refusal).to_string();
                warn!(bot, shard, refusal, "cannot read events from the spool: trying again");
                self.intake.overflow.unread(now());
            }
            SpoolStep::Closed(Ok(())) => {}
            SpoolStep::Closed(Err(refusal)) => {
                let refusal = OneLine(&refusal).to_string();
                warn!(bot, shard, refusal, "the spool keeps what it does not need any more");
            }
        }
        None
    }

    /// Everything that is not durable in the database is forgotten, and Discord asked for it.
    fn rewind(&mut self) -> Next {
        let now = now();
        self.delivery.reset();
        self.intake.rewind(now);
        self.intake.members.connection_lost(now);
        self.counters.rewinds.increment();
        if let Some(spooler) = &mut self.spooler {
            spooler.close(self.intake.checkpoint.resume_point());
        }
        self.why = "events on disk were damaged before READY was durable".into();
        self.connect(Wait::For(std::time::Duration::ZERO))
    }
}
