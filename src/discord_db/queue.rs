//! The commit queue: which writes are wanted, which of them may run now, and what came of them.
//!
//! Actions are *staged* until `commit`, which brings them into *lanes*: one per table, and one for the
//! channels of the guild. Lanes do not wait for one another. In a table's lane creations keep their
//! order, and so does everything about one record; an update may be overtaken by later actions on
//! other records. Several updates of a record become one request, an update of a record that is not
//! written yet becomes part of its message, and deletes become bulk deletes.
//!
//! **Invariant:** everything that must survive a crash is in a [`Note`] before the request that depends on
//! it is given out; whoever drives the queue writes the notes first.

mod check;
mod drop_database;
mod end;
mod failure;
mod guild;
mod job;
mod known;
mod lane;
mod make_database;
mod make_table;
mod post;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

pub use self::known::{Queued, Reading};
use self::{
    failure::{Verdict, delay_ms, judge},
    guild::GuildLane,
    job::{Context, Job, Step},
    known::Known,
    lane::{Lane, Planning, Slot},
};
use super::{
    DiscordDbError,
    action::{ActionId, ActionResult, JournalIdentity, Outcome, QueueAction, Target},
    discord::{Reply, Request, UnixMs},
    journal::{Note, Recovered, Unfinished},
    mirror::Written,
};

/// What a queue needs to know from the start.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// The guild.
    pub guild_id: u64,
    /// The bot's user id.
    pub bot_id: u64,
    /// How long Discord may be unreachable before commits fail, in milliseconds. Their actions stay
    /// queued.
    pub patience_ms: u64,
}

/// Tells requests that are under way apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// A request to send once all notes taken before it are durable.
#[derive(Clone, Debug)]
pub struct Issue {
    /// Comes back with the answer.
    pub ticket: Ticket,
    /// What to send.
    pub request: Request,
}

/// What a job occupies.
#[derive(Clone, Copy)]
enum Place {
    Guild,
    /// The channel that a table's job works on exists; nobody waits for the job but its lane.
    Nothing,
    Lane(u64, Slot),
}

struct Running {
    job: Job,
    place: Place,
    /// In a row.
    failures: u32,
}

/// See the module.
pub struct CommitQueue {
    options: QueueOptions,
    identity: JournalIdentity,
    next_id: u64,
    recovered_up_to: ActionId,
    /// Everything that has not ended, staged or in a lane.
    actions: BTreeMap<ActionId, Unfinished>,
    /// Who refers to what an unfinished action makes.
    referring: HashMap<ActionId, Vec<ActionId>>,
    staged: BTreeSet<ActionId>,
    known: Known,
    guild: GuildLane,
    lanes: HashMap<Target, Lane>,
    /// The newest message that is known, by channel.
    newest: HashMap<u64, u64>,
    /// Lanes that may have a job to begin.
    stirred: BTreeSet<Target>,
    jobs: HashMap<Ticket, Running>,
    next_ticket: u64,
    ready: VecDeque<Ticket>,
    waiting: BTreeSet<(UnixMs, Ticket)>,
    failing_since: Option<UnixMs>,
    halted: Option<DiscordDbError>,
    notes: Vec<Note>,
    ended: Vec<(ActionId, ActionResult)>,
    written: Vec<Written>,
}

impl CommitQueue {
    /// A queue that begins with what an earlier process left; that is committed already.
    #[must_use]
    pub fn new(options: QueueOptions, recovered: Recovered, now: UnixMs) -> Self {
        let mut queue = Self {
            options,
            identity: recovered.identity,
            next_id: recovered.next.0,
            recovered_up_to: ActionId(recovered.next.0.saturating_sub(1)),
            actions: BTreeMap::new(),
            referring: HashMap::new(),
            staged: BTreeSet::new(),
            known: Known::default(),
            guild: GuildLane::default(),
            lanes: HashMap::new(),
            newest: HashMap::new(),
            stirred: BTreeSet::new(),
            jobs: HashMap::new(),
            next_ticket: 0,
            ready: VecDeque::new(),
            waiting: BTreeSet::new(),
            failing_since: None,
            halted: None,
            notes: Vec::new(),
            ended: Vec::new(),
            written: Vec::new(),
        };
        for (id, unfinished) in recovered.unfinished {
            queue.admit(id, unfinished);
        }
        queue.commit(now);
        queue
    }

    /// Takes an action to be done after the next [`commit`](Self::commit).
    ///
    /// # Errors
    /// When it cannot be done, as far as that is known without asking Discord.
    pub fn stage(&mut self, action: QueueAction) -> Result<ActionId, DiscordDbError> {
        self.check(&action)?;
        let id = ActionId(self.next_id);
        self.next_id += 1;
        self.notes.push(Note::Queued { id, action: action.clone() });
        self.admit(id, Unfinished::new(action));
        Ok(id)
    }

    /// Takes an update of some fields; the others keep the newest values that are known.
    ///
    /// # Errors
    /// When the record is going to be deleted or would become too long.
    pub fn stage_update(
        &mut self,
        table: Target,
        record: Target,
        reading: &Reading,
        changes: Vec<(usize, String)>,
    ) -> Result<ActionId, DiscordDbError> {
        let newest = self.known.newest(record, reading).ok_or_else(|| gone(record))?;
        let mut values = newest.to_vec();
        for (place, value) in changes {
            if values.len() <= place {
                values.resize(place + 1, String::new());
            }
            values[place] = value;
        }
        self.stage(QueueAction::UpdateRecord { table, record, values })
    }

    /// An action that was just staged does what a row of `discorddb.requests` asks for.
    pub fn requested(&mut self, id: ActionId, request_id: i64) {
        self.notes.push(Note::Requested { id, request_id });
    }

    /// Somebody saw a message in a channel. Knowing the newest one, a message whose answer was lost is
    /// not taken for an older one of the same text.
    pub fn seen(&mut self, channel_id: u64, message_id: u64) {
        let newest = self.newest.entry(channel_id).or_default();
        *newest = message_id.max(*newest);
    }

    /// Gives up an action that is still staged; says whether it was.
    pub fn withdraw(&mut self, id: ActionId, error: DiscordDbError) -> bool {
        let is_staged = self.staged.contains(&id);
        if is_staged {
            self.end(id, Err(error));
        }
        is_staged
    }

    /// Brings everything that is staged on its way, and goes on after a halt. Returns what has not
    /// ended.
    pub fn commit(&mut self, now: UnixMs) -> BTreeSet<ActionId> {
        self.halted = None;
        self.failing_since = None;
        for id in std::mem::take(&mut self.staged) {
            self.enter(id, now);
        }
        self.actions.keys().copied().collect()
    }

    /// What has not ended, in order.
    pub fn actions(&self) -> impl Iterator<Item = (ActionId, &QueueAction)> {
        self.actions.iter().map(|(id, unfinished)| (*id, &unfinished.action))
    }

    /// What is queued for the records of a table.
    #[must_use]
    pub fn queued_for(&self, table: Target) -> Vec<(Target, Queued)> {
        self.known.of_table(table)
    }

    /// The next request to send, if one may be sent now.
    pub fn next(&mut self, now: UnixMs) -> Option<Issue> {
        if self.halted.is_some() {
            return None;
        }
        while let Some(&(at, ticket)) = self.waiting.first()
            && at <= now
        {
            self.waiting.pop_first();
            self.ready.push_back(ticket);
        }
        if self.ready.is_empty() {
            self.begin_job(now);
        }
        let ticket = self.ready.pop_front()?;
        let running = self.jobs.get_mut(&ticket)?;
        let mut context = Context {
            now,
            identity: self.identity,
            bot_id: self.options.bot_id,
            notes: &mut self.notes,
        };
        Some(Issue { ticket, request: running.job.request(&mut context) })
    }

    /// When [`next`](Self::next) may have a request again without anything else happening.
    #[must_use]
    pub fn wakes_at(&self) -> Option<UnixMs> {
        self.waiting.first().map(|(at, _)| *at).filter(|_| self.halted.is_none())
    }

    /// Takes the answer to a request.
    pub fn replied(&mut self, ticket: Ticket, result: Result<Reply, DiscordDbError>, now: UnixMs) {
        match result.as_ref().err().map(judge) {
            None => self.failing_since = None,
            Some(Verdict::Refused) => self.failing_since = None,
            Some(Verdict::Again { maybe_applied }) => {
                self.failed(ticket, maybe_applied, now);
                if let (Err(error), true) = (result, self.is_out_of_patience(now)) {
                    self.halt(error);
                }
                return;
            }
            Some(Verdict::Halt) => {
                self.ready.push_back(ticket);
                if let Err(error) = result {
                    self.halt(error);
                }
                return;
            }
        }
        self.answered(ticket, result, now);
    }

    /// The notes made since the last call, to be written before anything else is sent.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// What Discord has confirmed since this was last asked for.
    pub fn take_written(&mut self) -> Vec<Written> {
        std::mem::take(&mut self.written)
    }

    /// The actions that have ended since the last call.
    pub fn take_ended(&mut self) -> Vec<(ActionId, ActionResult)> {
        std::mem::take(&mut self.ended)
    }

    /// Why nothing is sent until the next [`commit`](Self::commit).
    #[must_use]
    pub fn halted(&self) -> Option<&DiscordDbError> {
        self.halted.as_ref()
    }

    /// Sends nothing until the next [`commit`](Self::commit).
    pub fn halt(&mut self, error: DiscordDbError) {
        self.halted.get_or_insert(error);
    }

    fn failed(&mut self, ticket: Ticket, maybe_applied: bool, now: UnixMs) {
        let Some(running) = self.jobs.get_mut(&ticket) else { return };
        if maybe_applied {
            running.job.lost();
        }
        self.waiting.insert((now + delay_ms(running.failures), ticket));
        running.failures += 1;
        self.failing_since.get_or_insert(now);
    }

    fn is_out_of_patience(&self, now: UnixMs) -> bool {
        let failing_for = self.failing_since.map(|since| now.saturating_sub(since));
        failing_for.is_some_and(|failing_for| failing_for >= self.options.patience_ms)
    }

    fn answered(&mut self, ticket: Ticket, result: Result<Reply, DiscordDbError>, now: UnixMs) {
        let Some(running) = self.jobs.get_mut(&ticket) else { return };
        running.failures = 0;
        let mut context = Context {
            now,
            identity: self.identity,
            bot_id: self.options.bot_id,
            notes: &mut self.notes,
        };
        match running.job.replied(&mut context, result) {
            Step::Further => self.ready.push_back(ticket),
            Step::LeavesGuild => {
                running.place = Place::Nothing;
                self.guild.is_busy = false;
                self.ready.push_back(ticket);
            }
            Step::Split => self.split(ticket),
            Step::Ended(results) => self.job_ended(ticket, results, now),
        }
    }

    fn split(&mut self, ticket: Ticket) {
        let Some(Running { job: Job::Remove(remove), place: Place::Lane(channel_id, _), .. }) =
            self.jobs.remove(&ticket)
        else {
            return;
        };
        let target = Target::Id(channel_id);
        if let Some(lane) = self.lanes.get_mut(&target) {
            lane.split(&remove);
            self.stirred.insert(target);
        }
    }

    fn job_ended(&mut self, ticket: Ticket, results: Vec<(ActionId, ActionResult)>, now: UnixMs) {
        let Some(Running { job, place, .. }) = self.jobs.remove(&ticket) else { return };
        match place {
            Place::Guild => self.guild.is_busy = false,
            Place::Nothing => {}
            Place::Lane(channel_id, slot) => {
                let target = Target::Id(channel_id);
                if let Some(lane) = self.lanes.get_mut(&target) {
                    lane.ended(slot, &job, now);
                    if let (Job::Post(post), Some((_, result))) = (&job, results.first()) {
                        match result.as_ref().map(Outcome::id) {
                            Ok(Some(message_id)) => {
                                lane.created(post.action, message_id, now);
                                self.seen(channel_id, message_id);
                            }
                            _ => lane.not_created(post.action),
                        }
                    }
                    self.stirred.insert(target);
                }
            }
        }
        for (id, result) in results {
            self.end(id, result);
        }
    }

    fn admit(&mut self, id: ActionId, unfinished: Unfinished) {
        for needed in unfinished.action.needs() {
            self.referring.entry(needed).or_default().push(id);
        }
        self.known.queued(id, &unfinished.action);
        self.guild.admitted(id, &unfinished.action);
        self.actions.insert(id, unfinished);
        self.staged.insert(id);
    }

    /// Brings an action into its lane.
    fn enter(&mut self, id: ActionId, now: UnixMs) {
        let Some(unfinished) = self.actions.get(&id) else { return };
        // Left over from an earlier process, which noted the failure and then ended.
        if unfinished.action.needs().any(|needed| !self.actions.contains_key(&needed)) {
            let what = "what an earlier action was to make".into();
            return self.end(id, Err(DiscordDbError::NotFound { what }));
        }
        let action = unfinished.action.clone();
        let table = match action {
            QueueAction::CreateDatabase { .. }
            | QueueAction::CreateTable { .. }
            | QueueAction::DeleteDatabase { .. } => return self.guild.enter(id),
            QueueAction::CreateRecord { table, .. }
            | QueueAction::UpdateRecord { table, .. }
            | QueueAction::DeleteRecord { table, .. }
            | QueueAction::DeleteTable { table, .. } => table,
        };
        let lane = self.lanes.entry(table).or_default();
        if let Target::Id(channel_id) = table {
            lane.opened(channel_id);
        }
        match action {
            QueueAction::UpdateRecord { record, .. } => lane.update(record, id, now),
            QueueAction::DeleteRecord { record, .. } => lane.delete(record, id, now),
            QueueAction::DeleteTable { .. } => lane.drop_table(id),
            _ => lane.create(id),
        }
        self.stirred.insert(table);
    }

    /// The place of the next action: everything before it was queued.
    #[must_use]
    pub fn next_id(&self) -> ActionId {
        ActionId(self.next_id)
    }

    /// Makes one job ready, if there is one.
    fn begin_job(&mut self, now: UnixMs) {
        let begun = self.guild.begin(&self.actions, &self.options, self.recovered_up_to);
        if let Some((occupies, job)) = begun {
            return self.run(if occupies { Place::Guild } else { Place::Nothing }, job);
        }
        while let Some(&target) = self.stirred.first() {
            let planning = Planning {
                now,
                actions: &self.actions,
                recovered_up_to: self.recovered_up_to,
                newest: &self.newest,
            };
            let begun = self.lanes.get_mut(&target).and_then(|lane| lane.begin(&planning));
            match (begun, target) {
                (Some((slot, job)), Target::Id(channel_id)) => {
                    return self.run(Place::Lane(channel_id, slot), job);
                }
                _ => self.stirred.remove(&target),
            };
        }
    }

    fn run(&mut self, place: Place, job: Job) {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.jobs.insert(ticket, Running { job, place, failures: 0 });
        self.ready.push_back(ticket);
    }
}

fn gone(record: Target) -> DiscordDbError {
    let what = match record {
        Target::Id(id) => format!("record {id}, which is queued to be deleted"),
        Target::Made(id) => format!("the record of action {id}, which is queued to be deleted"),
    };
    DiscordDbError::NotFound { what }
}
