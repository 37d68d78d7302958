//! The REST side: routes a request to the world and answers as Discord does.
//!
//! A request passes in order: an ordered fault of Cloudflare, a ban of the address, the token, the limit on
//! everything, the limit of its bucket, other ordered faults, and then its route, which looks at what is
//! there, at the bot's permissions and at the body.
//!
//! **Invariant:** a route reads or changes the world at once; nothing waits. A new route is a line of
//! [`route::ROUTES`], an arm of [`perform`] and a function of a file below this one.

mod channels;
mod faults;
mod form;
mod guilds;
mod limits;
mod mentions;
mod messages;
mod nonces;
mod permissions;
mod pins;
mod place;
mod reply;
mod route;
mod text;

use std::time::{Duration, Instant};

use hyper::{StatusCode, header::AUTHORIZATION, http::request::Parts};
use serde_json::json;

pub(super) use self::{faults::Faults, limits::Limits, nonces::Nonces, reply::Reply};
pub use self::{
    faults::{RestFault, RestFaultOrder},
    route::route_names,
};
use self::{
    limits::{Bucket, Verdict},
    route::{Action, Matched},
};
use super::{
    config::{LimitName, LimitsConfig},
    hub::Hub,
};

/// Messages younger than this are deleted under a limit of their own, and so are those of two weeks.
const YOUNG_MS: i64 = 10_000;
const OLD_MS: i64 = 14 * 24 * 3_600_000;

/// What the REST side keeps besides the world.
#[derive(Debug)]
pub(super) struct RestState {
    pub(super) limits: Limits,
    pub(super) faults: Faults,
    pub(super) nonces: Nonces,
}

impl RestState {
    /// Nothing used, nothing ordered.
    pub(super) fn new(limits: LimitsConfig, now: Instant) -> Self {
        Self {
            limits: Limits::new(limits, now),
            faults: Faults::default(),
            nonces: Nonces::default(),
        }
    }
}

/// What becomes of a request: the reply, if any, and when it is sent.
pub(super) struct Outcome {
    /// `None` ends the connection.
    pub(super) reply: Option<Reply>,
    pub(super) delay: Duration,
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Self { reply: Some(reply), delay: Duration::ZERO }
    }
}

/// What a route answers with; either way it is an answer.
type Answered = Result<Reply, Reply>;

/// A request that is being carried out.
struct Call<'a> {
    hub: &'a mut Hub,
    matched: Matched,
    query: &'a str,
    body: &'a [u8],
    now: Instant,
}

/// Answers one request.
pub(super) fn answer(hub: &mut Hub, head: &Parts, body: &[u8], now: Instant) -> Outcome {
    hub.follow_clock();
    let matched = route::find(&head.method, head.uri.path());
    hub.stats.rest_requests += 1;
    *hub.stats.rest_by_route.entry(matched.spec.name).or_default() += 1;
    if let Some(RestFault::Cloudflare { retry_after }) = hub.rest.faults.at_the_edge(matched.spec) {
        count_fault(hub, "cloudflare");
        hub.rest.limits.count_invalid(now);
        return Reply::cloudflare(retry_after).into();
    }
    if let Some(wait) = hub.rest.limits.ban(now) {
        count_429(hub, &matched, "cloudflare");
        return Reply::cloudflare(wait).into();
    }
    let token = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    // The URL alone is public; everything else needs the bot's token.
    let is_public = matched.spec.action == Action::Gateway;
    if !is_public && !hub.is_token(token.filter(|token| token.starts_with("Bot "))) {
        hub.rest.limits.count_invalid(now);
        return Reply::error(StatusCode::UNAUTHORIZED, 0, "401: Unauthorized").into();
    }
    let query = head.uri.query().unwrap_or_default();
    limited(&mut Call { hub, matched, query, body, now })
}

/// Answers a request within the limits.
fn limited(call: &mut Call<'_>) -> Outcome {
    let bucket = bucket_of(call);
    let quota = match call.hub.rest.limits.take(bucket, call.now) {
        Verdict::Granted(quota) => quota,
        Verdict::Refused(quota) => {
            count_429(call.hub, &call.matched, "user");
            call.hub.rest.limits.count_invalid(call.now);
            return Reply::limited(quota.reset_after).with_quota(&bucket, quota).into();
        }
        Verdict::RefusedGlobally(wait) => {
            count_429(call.hub, &call.matched, "global");
            call.hub.rest.limits.count_invalid(call.now);
            return Reply::limited_globally(wait).into();
        }
    };
    let fault = call.hub.rest.faults.inside(call.matched.spec);
    let mut outcome = faulty(call, fault);
    outcome.reply = outcome.reply.map(|reply| reply.with_quota(&bucket, quota));
    outcome
}

/// Carries a request out, or not, as an ordered fault has it.
fn faulty(call: &mut Call<'_>, fault: Option<RestFault>) -> Outcome {
    let Some(fault) = fault else { return perform_counted(call).into() };
    count_fault(call.hub, fault.name());
    match fault {
        RestFault::SharedLimit { retry_after } => Reply::limited_by_others(retry_after).into(),
        RestFault::Cloudflare { retry_after } => Reply::cloudflare(retry_after).into(),
        RestFault::ServerError { status, is_applied } => {
            if is_applied {
                perform_counted(call);
            }
            Reply::server_error(status).into()
        }
        RestFault::Lost { is_applied } => {
            if is_applied {
                perform_counted(call);
            }
            Outcome { reply: None, delay: Duration::ZERO }
        }
        RestFault::Slow { delay } => Outcome { reply: Some(perform_counted(call)), delay },
    }
}

fn perform_counted(call: &mut Call<'_>) -> Reply {
    let reply = perform(call).unwrap_or_else(|refusal| refusal);
    match reply.status() {
        StatusCode::FORBIDDEN => call.hub.rest.limits.count_invalid(call.now),
        StatusCode::TOO_MANY_REQUESTS if reply.scope() == Some("user") => {
            count_429(call.hub, &call.matched, "user");
            call.hub.rest.limits.count_invalid(call.now);
        }
        _ => {}
    }
    reply
}

fn perform(call: &mut Call<'_>) -> Answered {
    match call.matched.spec.action {
        Action::Gateway => Ok(Reply::ok(json!({ "url": call.hub.gateway_url }))),
        Action::GatewayBot => guilds::gateway_bot(call),
        Action::OwnUser => Ok(Reply::ok(guilds::own_user(call.hub))),
        Action::Application => Ok(Reply::ok(guilds::application(call.hub))),
        Action::Guild => guilds::guild(call),
        Action::Roles => guilds::roles(call),
        Action::OwnMember => guilds::own_member(call),
        Action::Member => guilds::member(call),
        Action::GuildChannels => channels::of_guild(call),
        Action::CreateChannel => channels::create(call),
        Action::Channel => channels::one(call),
        Action::EditChannel => channels::edit(call),
        Action::DeleteChannel => channels::delete(call),
        Action::Messages => messages::list(call),
        Action::CreateMessage => messages::create(call),
        Action::BulkDelete => messages::delete_bulk(call),
        Action::Pins => pins::list(call),
        Action::Pin => pins::pin(call),
        Action::Unpin => pins::unpin(call),
        Action::Message => messages::one(call),
        Action::EditMessage => messages::edit(call),
        Action::DeleteMessage => messages::delete(call),
        Action::FirstPins => pins::first(call),
        Action::Unknown => Err(Reply::not_found(0, "404: Not Found")),
    }
}

fn bucket_of(call: &Call<'_>) -> Bucket {
    let spec = call.matched.spec;
    let limit = if spec.action == Action::DeleteMessage { deletion(call) } else { spec.limit };
    let route = if limit == LimitName::Other { spec.name } else { "" };
    Bucket { limit, route, major: call.matched.major() }
}

/// The age of a message decides which limit its deletion counts against; an unknown one counts as young.
fn deletion(call: &Call<'_>) -> LimitName {
    let (Some(channel_id), Some(id)) = (call.matched.id(0), call.matched.id(1)) else {
        return LimitName::DeleteMessage;
    };
    let is_known = place::Place::find(call.hub, channel_id)
        .and_then(|(guild_id, _)| call.hub.world.made_guild(guild_id)?.message(channel_id, id))
        .is_some();
    match messages::age_ms(call.hub, id) {
        _ if !is_known => LimitName::DeleteMessage,
        OLD_MS.. => LimitName::DeleteOldMessage,
        YOUNG_MS.. => LimitName::DeleteOlderMessage,
        _ => LimitName::DeleteMessage,
    }
}

fn count_fault(hub: &mut Hub, name: &'static str) {
    *hub.stats.rest_faults.entry(name).or_default() += 1;
}

fn count_429(hub: &mut Hub, matched: &Matched, scope: &'static str) {
    *hub.stats.rest_429.entry(scope).or_default() += 1;
    *hub.stats.rest_429_by_route.entry(matched.spec.name).or_default() += 1;
}
