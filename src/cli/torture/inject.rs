//! Does what the plan says to the processes.
//!
//! **Invariant:** every action is told before it is done, with its time; when this returns without an
//! error, everything that was ended or frozen runs again.

use std::time::{Duration, Instant};

use dsqlstate::embedded::Ending;
use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::{
    TortureArgs,
    plan::{Fault, SocketFault, Whom},
    stage::Stage,
    wait,
};
use crate::cli::CliError;

/// How often an outage is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Tells what is done, and when.
pub(super) struct Diary {
    began: Instant,
}

impl Diary {
    pub(super) fn begin() -> Self {
        Self { began: Instant::now() }
    }

    pub(super) fn note(&self, action: &str) {
        println!("{:>10.3} s  {action}", self.began.elapsed().as_secs_f64());
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// Lets one fault happen and mends it.
pub(super) async fn inject(
    fault: Fault,
    args: &TortureArgs,
    stage: &mut Stage,
    diary: &Diary,
) -> Result<(), CliError> {
    match fault {
        Fault::KillEngine { down, again } => {
            kill_engine(stage, diary, down).await?;
            if let Some((up, down)) = again {
                sleep(up).await;
                kill_engine(stage, diary, down).await?;
            }
        }
        Fault::EndDatabase { ending, down } => {
            diary.note(&format!("{} PostgreSQL, down for {down:?}", name_of(ending)));
            stage.server.end(ending).map_err(CliError::failed)?;
            sleep(down).await;
            launch_server(stage, diary)?;
        }
        Fault::KillBoth { down, engine_later } => {
            diary.note(&format!(
                "kill -9 of engine and PostgreSQL, down for {down:?}, the engine {engine_later:?} longer"
            ));
            stage.engine.kill().map_err(CliError::failed)?;
            stage.server.end(Ending::Killed).map_err(CliError::failed)?;
            sleep(down).await;
            launch_server(stage, diary)?;
            sleep(engine_later).await;
            diary.note("start the engine");
            stage.engine.start().map_err(CliError::failed)?;
        }
        Fault::Freeze { whom, lasts } => {
            diary.note(&format!("SIGSTOP of {whom:?} for {lasts:?}").to_lowercase());
            freeze(stage, whom)?;
            sleep(lasts).await;
            thaw(stage, whom)?;
        }
        Fault::Strand { lasts } => {
            diary.note(&format!(
                "sigstop of PostgreSQL's backends for {lasts:?}, kill -9 and start of the engine"
            ));
            stage.server.freeze_backends();
            stage.engine.kill().map_err(CliError::failed)?;
            stage.engine.start().map_err(CliError::failed)?;
            sleep(lasts).await;
            stage.server.thaw();
        }
        Fault::Socket(fault) => {
            let command = command_of(fault);
            diary.note(&format!("simulator: {command}"));
            stage.order(&command)?;
        }
        Fault::EndSession { shard } => {
            // What an ended session has not told yet nobody will hear of, and the truth counts it as told.
            stage.order("pause")?;
            wait::until_told(stage).await?;
            let before = stage.counts()?.identifies;
            let command = format!("invalidate {shard} false");
            diary.note(&format!("simulator: {command}"));
            stage.order(&command)?;
            stage.order("unpause")?;
            wait::until_identified(stage, before).await?;
        }
        Fault::FillDisk { lasts } => fill_disk(stage, diary, lasts).await?,
        Fault::Outage => outage(args, stage, diary).await?,
    }
    Ok(())
}

async fn kill_engine(stage: &mut Stage, diary: &Diary, down: Duration) -> Result<(), CliError> {
    stage.check()?;
    diary.note(&format!("kill -9 of the engine, down for {down:?}"));
    stage.engine.kill().map_err(CliError::failed)?;
    sleep(down).await;
    stage.engine.start().map_err(CliError::failed)
}

fn launch_server(stage: &mut Stage, diary: &Diary) -> Result<(), CliError> {
    let began = Instant::now();
    stage.server.launch().map_err(CliError::failed)?;
    diary.note(&format!("PostgreSQL is back after {:.2} s", began.elapsed().as_secs_f64()));
    Ok(())
}

fn freeze(stage: &mut Stage, whom: Whom) -> Result<(), CliError> {
    match whom {
        Whom::Engine => stage.engine.signal(Signal::SIGSTOP).map_err(CliError::failed),
        Whom::Database => {
            stage.server.freeze();
            Ok(())
        }
    }
}

fn thaw(stage: &mut Stage, whom: Whom) -> Result<(), CliError> {
    match whom {
        Whom::Engine => stage.engine.signal(Signal::SIGCONT).map_err(CliError::failed),
        Whom::Database => {
            stage.server.thaw();
            Ok(())
        }
    }
}

/// PostgreSQL may end on a full disk, which is its right; then it is started again once there is room.
async fn fill_disk(stage: &mut Stage, diary: &Diary, lasts: Duration) -> Result<(), CliError> {
    let Some(disk) = &stage.disk else { return Ok(()) };
    diary.note(&format!("fill PostgreSQL's disk for {lasts:?}"));
    disk.fill().map_err(CliError::failed)?;
    sleep(lasts).await;
    disk.free().map_err(CliError::failed)?;
    if stage.server.ended().is_some() {
        diary.note("PostgreSQL has ended for want of space");
        launch_server(stage, diary)?;
    }
    Ok(())
}

/// The engine has to go on reading all the time, with the memory that it has anyway.
async fn outage(args: &TortureArgs, stage: &mut Stage, diary: &Diary) -> Result<(), CliError> {
    let TortureArgs { outage_events, outage_rate, rate, .. } = args;
    diary.note(&format!(
        "fast stop of PostgreSQL until {outage_events} events were told, {outage_rate} a second"
    ));
    let (before, told_before) = (stage.counts()?, stage.told()?.values().sum::<u64>());
    let resident_before = stage.engine.resident_bytes();
    stage.server.end(Ending::Fast).map_err(CliError::failed)?;
    stage.order(&format!("rate {outage_rate}"))?;
    let began = Instant::now();
    let mut resident = resident_before;
    let mut told = 0;
    while told < *outage_events {
        sleep(LOOK).await;
        if let Some(status) = stage.engine.ended() {
            return Err(CliError::failed(EndedDuringOutage(status)));
        }
        resident = resident.max(stage.engine.resident_bytes());
        let told_now = stage.told()?.values().sum::<u64>();
        told = told_now.checked_sub(told_before).ok_or_else(|| CliError::failed(SessionLost))?;
    }
    let lasted = began.elapsed().as_secs_f64();
    stage.order(&format!("rate {rate}"))?;
    let after = stage.counts()?;
    diary.note(&format!(
        "{told} events in {lasted:.1} s: {} MB resident (before {} MB), {} MB on disk, {} connections lost",
        resident >> 20,
        resident_before >> 20,
        stage.engine.spool_bytes() >> 20,
        after.connections_total - before.connections_total,
    ));
    launch_server(stage, diary)
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the simulated Discord has ended a session that did not keep up: a lower --outage-rate is needed"
)]
struct SessionLost;

#[derive(Debug, thiserror::Error)]
#[error("the engine ended during the outage ({0}): see its log")]
struct EndedDuringOutage(std::process::ExitStatus);

fn name_of(ending: Ending) -> &'static str {
    match ending {
        Ending::Killed => "kill -9 of",
        Ending::Immediate => "immediate stop of",
        Ending::Fast => "fast stop of",
    }
}

fn command_of(fault: SocketFault) -> String {
    match fault {
        SocketFault::Drop => "drop".to_owned(),
        SocketFault::Reconnect { shard } => format!("reconnect {shard}"),
        SocketFault::Invalidate { shard } => format!("invalidate {shard} true"),
        SocketFault::Close { shard, code } => format!("close {shard} {code}"),
    }
}
