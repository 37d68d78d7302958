//! Commands about the REST side.
//!
//! **Invariant:** a value that is out of range is refused here, before anything is changed.

use std::time::Duration;

use serde_json::{Value, json};
use twilight_model::guild::Permissions;

use super::{number, switch};
use crate::simulator::{
    LIMITS, Limit, LimitName, OtherClient, Pace, RestFault, RestFaultOrder, Simulator, route_names,
};

/// What a fault's target is called when it is every request.
const ANY: &str = "any";

/// Carries out a command; `None` if there is none of that name and form.
pub(super) fn execute(
    simulator: &Simulator,
    words: &[&str],
    line: &str,
) -> Option<Result<Value, String>> {
    Some(match words {
        ["empty-guild"] => Ok(simulator.join_empty_guild().to_string().into()),
        ["permit", id, permission, state] => permit(simulator, id, permission, state),
        ["real-clock", state] => switch(state).map(|is_followed| {
            simulator.follow_real_clock(is_followed);
            Value::Null
        }),
        ["forward", seconds] => time(seconds).map(|time| {
            simulator.pass_time(time);
            Value::Null
        }),
        ["insert", channel, seconds, author, _, ..] => {
            insert(simulator, channel, seconds, author, rest_of(line, 4))
        }
        ["limits", state] => switch(state).map(|enforced| {
            simulator.set_limits(move |limits| limits.enforced = enforced);
            Value::Null
        }),
        ["scale", factor] => scale(simulator, factor),
        ["limit", name, requests, seconds] => limit(simulator, name, requests, seconds),
        ["other", share, pace] => other(simulator, share, pace),
        ["fault", kind, value, skip, count, _, ..] => {
            fault(simulator, kind, value, skip, count, rest_of(line, 5))
        }
        ["clear-faults"] => {
            simulator.clear_faults();
            Ok(Value::Null)
        }
        _ => return None,
    })
}

/// What is counted of the REST side.
pub(super) fn stats(stats: &crate::simulator::SimulatorStats) -> Value {
    json!({
        "requests": stats.rest_requests,
        "by_route": stats.rest_by_route,
        "429": stats.rest_429,
        "429_by_route": stats.rest_429_by_route,
        "invalid": stats.rest_invalid,
        "faults": stats.rest_faults,
        "other_client_requests": stats.other_client_requests,
        "nonce_repeats": stats.nonce_repeats,
    })
}

fn permit(simulator: &Simulator, id: &str, name: &str, state: &str) -> Result<Value, String> {
    let permission = Permissions::from_name(&name.to_uppercase())
        .ok_or_else(|| format!("{name:?} is no permission"))?;
    Ok(simulator.permit(number(id)?, permission, switch(state)?).into())
}

fn insert(
    simulator: &Simulator,
    channel: &str,
    seconds: &str,
    author: &str,
    content: &str,
) -> Result<Value, String> {
    let is_own = match author {
        "bot" => true,
        "owner" => false,
        _ => return Err(format!("{author:?} is neither bot nor owner")),
    };
    let id = simulator.insert_message(number(channel)?, content, time(seconds)?, is_own);
    Ok(id.map_or(Value::Null, |id| id.to_string().into()))
}

fn scale(simulator: &Simulator, factor: &str) -> Result<Value, String> {
    let scale = number::<f64>(factor)?;
    if !(0.0..=1e6).contains(&scale) {
        return Err(format!("{factor} is not between 0 and 1000000"));
    }
    simulator.set_limits(move |limits| limits.scale = scale);
    Ok(Value::Null)
}

fn limit(
    simulator: &Simulator,
    name: &str,
    requests: &str,
    seconds: &str,
) -> Result<Value, String> {
    let limit = Limit { requests: number(requests)?, window: time(seconds)? };
    let name = limit_of(name)?;
    simulator.set_limits(move |limits| {
        limits.changed.insert(name, limit);
    });
    Ok(Value::Null)
}

fn limit_of(name: &str) -> Result<LimitName, String> {
    LIMITS.iter().find(|(_, known, _)| *known == name).map(|(limit, ..)| *limit).ok_or_else(|| {
        let known: Vec<&str> = LIMITS.iter().map(|(_, known, _)| *known).collect();
        format!("no such limit: {name:?}; there are: {}", known.join(", "))
    })
}

fn other(simulator: &Simulator, share: &str, pace: &str) -> Result<Value, String> {
    let share = number::<f64>(share)?;
    if !(0.0..=1.0).contains(&share) {
        return Err(format!("{share} is not between 0 and 1"));
    }
    let pace = match pace {
        "once" => Pace::AtOnce,
        "spread" => Pace::Spread,
        _ => return Err(format!("{pace:?} is neither once nor spread")),
    };
    simulator.set_limits(move |limits| {
        limits.other_client = (share > 0.0).then_some(OtherClient { share, pace });
    });
    Ok(Value::Null)
}

fn fault(
    simulator: &Simulator,
    kind: &str,
    value: &str,
    skip: &str,
    count: &str,
    target: &str,
) -> Result<Value, String> {
    let status = || match number::<u16>(value)? {
        status @ 500..=599 => Ok(status),
        _ => Err(format!("{value} is no status of a server error")),
    };
    let fault = match kind {
        "shared" => RestFault::SharedLimit { retry_after: time(value)? },
        "cloudflare" => RestFault::Cloudflare { retry_after: time(value)? },
        "error" => RestFault::ServerError { status: status()?, is_applied: false },
        "error_applied" => RestFault::ServerError { status: status()?, is_applied: true },
        "lost" => RestFault::Lost { is_applied: false },
        "lost_applied" => RestFault::Lost { is_applied: true },
        "slow" => RestFault::Slow { delay: time(value)? },
        _ => return Err(format!("no such fault: {kind:?}")),
    };
    let is_known = target == ANY
        || route_names().any(|name| name == target || name.split(' ').next() == Some(target));
    if !is_known {
        return Err(format!("{target:?} is neither a route, nor a method, nor {ANY:?}"));
    }
    let target = if target == ANY { String::new() } else { target.to_owned() };
    let (skip, count) = (number(skip)?, number(count)?);
    simulator.order_fault(RestFaultOrder { fault, target, skip, count });
    Ok(Value::Null)
}

fn time(seconds: &str) -> Result<Duration, String> {
    Duration::try_from_secs_f64(number(seconds)?)
        .map_err(|_| format!("{seconds} is no number of seconds"))
}

/// What follows the first words of a line, as it was typed.
fn rest_of(line: &str, words: usize) -> &str {
    (0..words).fold(line.trim_start(), |rest, _| {
        rest.split_once(|mark: char| mark.is_ascii_whitespace())
            .map_or("", |(_, rest)| rest.trim_start())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_line_keeps_its_blanks() {
        assert_eq!(rest_of(" insert 1  2 bot a  b ", 4), "a  b ");
        assert_eq!(rest_of("insert 1", 4), "");
    }
}
