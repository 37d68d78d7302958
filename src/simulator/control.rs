//! Commands to a simulator as lines of text, for a process that runs one as its child, or for a person.
//!
//! Each command is one line and is answered with one line of JSON: `{"ok": …}` or `{"error": "…"}`.
//!
//! **Invariant:** a bad command is answered and changes nothing.

mod rest;

use std::{
    fs::File,
    io::{self, BufRead, BufWriter, Write},
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};

use super::{Simulator, TruthTable, remote, scenario};

/// How long a scenario waits for a client that takes what was sent or identifies again.
const PATIENCE: Duration = Duration::from_secs(60);

/// The commands, one per line: what to type and what it does.
pub const COMMANDS: &[(&str, &str)] = &[
    ("urls", "the gateway's and the API's URL"),
    ("stats", "what was counted so far"),
    ("rate N", "N live events per second from now on"),
    ("pause", "no live events until `rate` or `unpause`"),
    ("unpause", "live events again"),
    ("step N", "exactly N live events now"),
    (
        "scenario NAME",
        "play a scenario to whoever is connected, and tell what happened step by step",
    ),
    ("hush on|off", "leave requests for member lists unanswered, or answer them again"),
    (
        "settled",
        "the last sequence of each shard, once everything was handed to sockets; else null",
    ),
    ("sequences", "the last sequence of each shard, handed to a socket or not"),
    (
        "truth DIRECTORY",
        "write what a reader must know to DIRECTORY, a file of JSON lines per table",
    ),
    ("drop", "end every connection without a word"),
    ("reconnect SHARD", "ask a shard to reconnect (op 7)"),
    ("invalidate SHARD true|false", "invalidate a shard's session (op 9), resumable or not"),
    ("close SHARD CODE", "close a shard's connection with a close code"),
    ("forget", "forget all sessions"),
    ("outage GUILD on|off", "begin or end an outage of a guild"),
    ("remove GUILD", "remove the bot from a guild"),
    ("rejoin GUILD", "add it again"),
    ("join MEMBERS", "add the bot to a new guild with so many members, and tell the guild's id"),
    ("empty-guild", "add the bot to a new guild without channels, and tell the guild's id"),
    (
        "permit ID PERMISSION on|off",
        "give the bot a permission in a guild or channel, or take it away",
    ),
    ("real-clock on|off", "let the world's clock follow the system's, or only what happens"),
    ("forward SECONDS", "put the world's clock forward, so that messages get older"),
    (
        "insert CHANNEL SECONDS bot|owner TEXT",
        "put a message of that age into a channel, tell nobody, and answer with its id",
    ),
    ("limits on|off", "refuse what is beyond the rate limits, or nothing"),
    ("scale FACTOR", "multiply the length of every rate limit's window"),
    ("limit LIMIT REQUESTS SECONDS", "set a rate limit"),
    ("other SHARE once|spread", "let another client take a share of every bucket; 0 for none"),
    (
        "fault KIND VALUE SKIP COUNT TARGET",
        "let COUNT requests of a target go wrong, after SKIP that do not",
    ),
    ("clear-faults", "cancel the faults that are still to come"),
];

/// Answers the commands of `input` on `output` until the input ends.
///
/// # Errors
/// When reading or writing fails.
pub fn serve(simulator: &Simulator, input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    for line in input.lines() {
        let answer = match execute(simulator, &line?) {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": error }),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn execute(simulator: &Simulator, line: &str) -> Result<Value, String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    match words[..] {
        ["urls"] => {
            return Ok(json!({ "gateway": simulator.gateway_url(), "api": simulator.api_url() }));
        }
        ["stats"] => return Ok(stats(simulator)),
        ["settled"] => {
            return Ok(simulator.settled().map_or(Value::Null, |sequences| json!(sequences)));
        }
        ["sequences"] => return Ok(json!(simulator.sequences())),
        ["truth", directory] => {
            let written = write_truth(simulator, Path::new(directory));
            written.map_err(|error| format!("cannot write to {directory}: {error}"))?;
        }
        ["rate", rate] => simulator.set_rate(number::<f64>(rate)?),
        ["pause"] => drop(simulator.pause()),
        ["unpause"] => simulator.unpause(),
        ["step", count] => simulator.step(number(count)?),
        ["scenario", name] => return play(simulator, name),
        ["hush", state] => simulator.hush(switch(state)?),
        ["drop"] => simulator.drop_connections(),
        ["reconnect", shard] => simulator.reconnect(number(shard)?),
        ["invalidate", shard, resumable] => {
            simulator.invalidate(number(shard)?, number(resumable)?)
        }
        ["close", shard, code] => simulator.close(number(shard)?, number(code)?),
        ["forget"] => simulator.forget_sessions(),
        ["outage", guild, state] => {
            return Ok(simulator.outage(number(guild)?, switch(state)?).into());
        }
        ["remove", guild] => return Ok(simulator.remove_from_guild(number(guild)?).into()),
        ["join", members] => return Ok(simulator.join_guild(number(members)?).into()),
        ["rejoin", guild] => return Ok(simulator.rejoin_guild(number(guild)?).into()),
        _ => {
            if let Some(answer) = rest::execute(simulator, &words, line) {
                return answer;
            }
            let known = COMMANDS.iter().map(|(usage, _)| *usage).collect::<Vec<_>>().join(", ");
            return Err(format!("no such command: {line:?}; there are: {known}"));
        }
    }
    Ok(Value::Null)
}

/// Plays a scenario; where nobody is connected it happens unseen.
fn play(simulator: &Simulator, name: &str) -> Result<Value, String> {
    let scenario = scenario::find(name).ok_or_else(|| {
        let names: Vec<&str> = scenario::all().map(|scenario| scenario.name).collect();
        format!("no such scenario: {name:?}; there are: {}", names.join(", "))
    })?;
    if simulator.stats().connections == 0 {
        return Ok(simulator.play_unseen(scenario).into());
    }
    let mut lines = Vec::new();
    let played = simulator.play(scenario, PATIENCE, |line| lines.push(line.to_owned()));
    played.map(|()| lines.into()).map_err(|error| error.to_string())
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word:?} is not what belongs here"))
}

fn switch(word: &str) -> Result<bool, String> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{word:?} is neither on nor off")),
    }
}

fn stats(simulator: &Simulator) -> Value {
    let stats = simulator.stats();
    json!({
        "connections": stats.connections,
        "connections_total": stats.connections_total,
        "identifies": stats.identifies,
        "resumes": stats.resumes,
        "resumed_ok": stats.resumed_ok,
        "heartbeats": stats.heartbeats,
        "op8_requests": stats.op8_requests,
        "dispatches": stats.dispatches,
        "dispatched_bytes": stats.dispatched_bytes,
        "rest_requests": stats.rest_requests,
        "rest": rest::stats(&stats),
    })
}

fn write_truth(simulator: &Simulator, directory: &Path) -> io::Result<()> {
    let truth = simulator.truth();
    for table in truth.tables() {
        write_table(&directory.join(format!("{}.jsonl", table.name)), table)?;
    }
    let users = directory.join(format!("{}.jsonl", remote::USER_HISTORY));
    write_table(&users, truth.user_history())?;
    let file = File::create(directory.join("unknown_dispatches.json"))?;
    serde_json::to_writer(file, truth.unknown_dispatches())?;
    Ok(())
}

fn write_table(path: &Path, table: TruthTable<'_>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for row in table.rows {
        serde_json::to_writer(&mut file, &row)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::SimulatorConfig;

    #[test]
    fn every_command_is_answered_with_one_line() {
        let simulator =
            Simulator::start(SimulatorConfig { guilds: 2, ..SimulatorConfig::default() })
                .expect("a free port");
        let guild = simulator.guild_ids()[0];
        let directory = tempfile::TempDir::new().expect("made");
        let (guild_text, path) = (guild.to_string(), directory.path().display().to_string());
        let example = |word| match word {
            "N" | "REQUESTS" | "SECONDS" | "COUNT" | "FACTOR" => "3",
            "on|off" => "on",
            "MEMBERS" => "20",
            "true|false" => "true",
            "bot|owner" => "bot",
            "once|spread" => "once",
            "SHARD" | "SKIP" | "VALUE" => "0",
            "SHARE" => "0.5",
            "NAME" => "outage-and-return",
            "CODE" => "4000",
            "GUILD" | "ID" => &guild_text,
            "CHANNEL" => "1",
            "PERMISSION" => "send_messages",
            "LIMIT" => "create_message",
            "KIND" => "lost_applied",
            "TARGET" => "POST /channels/{channel.id}/messages",
            "TEXT" => "some text",
            "DIRECTORY" => &path,
            word => word,
        };
        let lines: Vec<String> = COMMANDS
            .iter()
            .map(|(usage, _)| usage.split(' ').map(example).collect::<Vec<_>>().join(" "))
            .collect();
        let mut output = Vec::new();
        serve(&simulator, lines.join("\n").as_bytes(), &mut output).expect("nothing fails");
        let output = String::from_utf8(output).expect("JSON is text");
        assert_eq!(output.lines().count(), COMMANDS.len());
        for (line, answer) in lines.iter().zip(output.lines()) {
            assert!(answer.starts_with(r#"{"ok":"#), "{line}: {answer}");
        }
        assert!(directory.path().join("guilds.jsonl").is_file());
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let simulator =
            Simulator::start(SimulatorConfig { guilds: 0, ..SimulatorConfig::default() })
                .expect("a free port");
        for line in [
            "scenario nothing",
            "permit 1 fly on",
            "forward -1",
            "insert 1 0 nobody x",
            "scale -1",
            "limit nothing 1 1",
            "limit global 1 nan",
            "other 2 once",
            "other 0.5 never",
            "fault error 404 0 1 any",
            "fault lost 0 0 1 POST /nowhere",
            "fault fire 0 0 1 any",
        ] {
            assert!(execute(&simulator, line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_bad_command_is_answered_with_what_there_is() {
        let simulator =
            Simulator::start(SimulatorConfig { guilds: 1, ..SimulatorConfig::default() })
                .expect("a free port");
        let mut output = Vec::new();
        serve(&simulator, &b"rate fast\nrun\n"[..], &mut output).expect("nothing fails");
        let output = String::from_utf8(output).expect("JSON is text");
        let answers: Vec<&str> = output.lines().collect();
        assert!(answers[0].contains("fast") && answers[1].contains("hush on|off"), "{output}");
    }
}
