//! The limiter against the model, and each kind of 429.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{
    LaneKey, Limiter, LimiterOptions, RateHeaders, RateReply, Scope, Standing, Stop, Ticket,
    Variant,
    model::{Model, OtherClient, Outcome, Pattern, Rules},
};

const SECOND: Duration = Duration::from_secs(1);

/// The least time for `count` requests when every window but the last is full: a window begins when
/// its first request arrives, and that it has ended is known half a round trip later at the earliest.
fn best(rules: &Rules, count: u32, per_window: u32) -> Duration {
    let round_trip = Duration::from_millis(2 * rules.latency_ms.start);
    (rules.window + round_trip) * (count.div_ceil(per_window) - 1) + round_trip
}

fn assert_fast(outcome: &Outcome, best: Duration, slack: Duration) {
    let allowed = best.div_f64(0.95) + slack;
    assert!(outcome.took <= allowed, "{:?}, best is {best:?}", outcome.took);
}

fn rules() -> impl Strategy<Value = Rules> {
    let later = prop::option::of((2_u32..6, 1_u32..8));
    (
        (1_u32..12, 250_u64..6000, later, any::<bool>()),
        (0_u64..80, 1_u64..300, 0_u32..6, any::<bool>()),
    )
        .prop_map(
            |((limit, window_ms, later, is_shared), (from, spread, lost_percent, reset))| Rules {
                limit,
                window: Duration::from_millis(window_ms),
                later,
                is_shared,
                latency_ms: from..from + spread,
                lost_percent,
                shows_reset: reset,
                ..Rules::default()
            },
        )
}

/// Once in a window of five seconds, often right after its first request.
fn pattern() -> impl Strategy<Value = Pattern> {
    let after = |range: std::ops::Range<u64>| {
        range.prop_map(|ms| Pattern::AfterOpening(Duration::from_millis(ms)))
    };
    prop_oneof![Just(Pattern::Every(5 * SECOND)), after(0..100), after(0..5000)]
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn alone_it_never_sees_a_429(rules in rules(), seed in any::<u64>(), channels in 1_u64..5) {
        let (limit, later) = (rules.limit, rules.later);
        let lost_percent = rules.lost_percent;
        let mut model = Model::new(Rules { lost_percent: 0, ..rules }, seed);
        // Which routes share a bucket shows in their first replies.
        for route in ["a", "b"] {
            model.enqueue(route, 1, 1);
            model.run();
            model.idle(10 * SECOND);
        }
        model.rules.lost_percent = lost_percent;
        for channel in 1..=channels {
            model.enqueue("a", channel, 40);
            model.enqueue("b", channel, 20);
        }
        let outcome = model.run();
        prop_assert_eq!(outcome.stats.caused_by_us, 0);
        // Nobody can know that a limit sinks while requests are on their way.
        let sinks = later.is_some_and(|(_, later)| later < limit);
        let unknowable = if sinks { u64::from(limit) * 2 * channels } else { 0 };
        prop_assert!(outcome.stats.limited() <= unknowable, "{:?}", outcome.refused_at);
    }

    #[test]
    fn alone_it_uses_nearly_all_of_every_window(
        limit in 1_u32..10,
        window_ms in 1000_u64..8000,
        latency in 0_u64..40,
        seed in any::<u64>(),
    ) {
        let window = Duration::from_millis(window_ms);
        let rules = Rules { limit, window, latency_ms: latency..latency + 1, ..Rules::default() };
        let mut model = Model::new(rules.clone(), seed);
        for channel in 1..=3 {
            model.enqueue("a", channel, 100);
        }
        let outcome = model.run();
        prop_assert_eq!(outcome.stats.limited(), 0);
        assert_fast(&outcome, best(&rules, 100, limit), SECOND);
    }

    #[test]
    fn another_client_gets_its_share_and_the_rest_is_used(
        takes in 1_u32..4,
        more in 2_u32..5,
        latency in 1_u64..30,
        pattern in pattern(),
        seed in any::<u64>(),
    ) {
        let limit = takes + more;
        let others =
            OtherClient { takes, pattern, until: Duration::from_secs(90_000) };
        let latency_ms = latency..latency + 1;
        let rules = Rules { limit, latency_ms, others: Some(others), ..Rules::default() };
        let mut model = Model::new(rules.clone(), seed);
        for channel in 1..=3 {
            model.enqueue("a", channel, 120);
        }
        let outcome = model.run();
        prop_assert_eq!(outcome.stats.caused_by_us, 0);
        // That there is another client, and how much it takes, shows in the first windows.
        let settled = 3 * rules.window;
        prop_assert!(outcome.refused_at.iter().all(|at| *at < settled), "{:?}", outcome.refused_at);
        assert_fast(&outcome, best(&rules, 120, more), 6 * rules.window);
    }
}

#[test]
fn five_in_five_seconds_are_spent_whole() {
    let mut model = Model::new(Rules::default(), 1);
    for channel in 0..10 {
        model.enqueue("messages", channel, 500);
    }
    let outcome = model.run();
    assert_eq!(outcome.stats.limited(), 0);
    assert_fast(&outcome, Duration::from_secs(99 * 5), Duration::ZERO);
}

#[test]
fn a_channels_requests_arrive_in_order_when_the_network_keeps_it() {
    let mut model = Model::new(Rules::default(), 1);
    model.enqueue("messages", 1, 50);
    let order = model.run().order;
    assert_eq!(order.len(), 50);
    assert!(order.is_sorted());
}

#[test]
fn what_another_client_took_is_used_when_it_has_stopped() {
    let others = OtherClient { takes: 2, pattern: Pattern::Every(5 * SECOND), until: 100 * SECOND };
    let rules = Rules { others: Some(others), ..Rules::default() };
    let mut model = Model::new(rules.clone(), 1);
    model.enqueue("messages", 1, 60);
    model.run();
    model.enqueue("messages", 1, 500);
    let outcome = model.run();
    assert_eq!(outcome.stats.limited(), 0);
    assert_fast(&outcome, best(&rules, 500, 5), 4 * rules.window);
}

#[test]
fn all_routes_together_stay_below_fifty_a_second() {
    let rules = Rules { shows_bucket: false, latency_ms: 1..60, ..Rules::default() };
    let mut model = Model::new(rules, 7);
    for channel in 0..200 {
        model.enqueue("a", channel, 5);
    }
    let outcome = model.run();
    assert_eq!(outcome.stats.limited(), 0);
    // Fifty in a second and the longest round trip.
    assert!(outcome.took < Duration::from_millis(1125) * 20, "{:?}", outcome.took);
}

/// A limiter and a clock.
struct Bench {
    limiter: Limiter,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { limiter: Limiter::new(LimiterOptions::default(), 1), now: Instant::now() }
    }

    fn enqueue(&mut self, path: &str, variant: Option<Variant>) -> Ticket {
        let ticket = self.limiter.enqueue(LaneKey::of("PATCH", path, variant), self.now);
        self.limiter.grant(self.now);
        ticket
    }

    fn reply(&mut self, ticket: Ticket, reply: &RateReply) {
        self.limiter.complete(ticket, reply, self.now);
        self.limiter.grant(self.now);
    }

    fn standing(&mut self, ticket: Ticket) -> Standing {
        self.limiter.grant(self.now);
        self.limiter.standing(ticket, self.now)
    }

    /// How long a ticket waits from now on; `None` when it does not know.
    fn waits(&mut self, ticket: Ticket) -> Option<Duration> {
        match self.standing(ticket) {
            Standing::Waiting(until) => until.map(|until| until - self.now),
            standing => panic!("{standing:?}"),
        }
    }

    fn is_granted(&mut self, ticket: Ticket) -> bool {
        self.standing(ticket) == Standing::Granted
    }
}

fn plain(status: u16) -> RateReply {
    RateReply { status, headers: RateHeaders::default(), limited: None }
}

fn told(remaining: u32, limit: u32, reset_after: Duration) -> RateReply {
    let headers = RateHeaders {
        bucket: Some("b".into()),
        limit: Some(limit),
        remaining: Some(remaining),
        reset: None,
        reset_after: Some(reset_after),
    };
    RateReply { status: 200, headers, limited: None }
}

fn limited(scope: Scope, retry_after: Option<u64>) -> RateReply {
    let retry_after = retry_after.map(Duration::from_secs);
    RateReply { status: 429, limited: Some((scope, retry_after)), ..plain(429) }
}

const MESSAGE: &str = "channels/1/messages/2";

#[test]
fn an_unknown_route_sends_one_and_waits_for_its_reply() {
    let mut bench = Bench::new();
    let first = bench.enqueue(MESSAGE, None);
    let second = bench.enqueue(MESSAGE, None);
    let elsewhere = bench.enqueue("channels/9/messages/2", None);
    assert!(bench.is_granted(first));
    assert!(bench.is_granted(elsewhere));
    assert_eq!(bench.waits(second), None);
    bench.reply(first, &told(4, 5, 5 * SECOND));
    assert!(bench.is_granted(second));
}

#[test]
fn without_headers_nothing_is_assumed() {
    let mut bench = Bench::new();
    let first = bench.enqueue(MESSAGE, None);
    bench.reply(first, &plain(200));
    for _ in 0..20 {
        let ticket = bench.enqueue(MESSAGE, None);
        assert!(bench.is_granted(ticket));
    }
}

#[test]
fn an_empty_bucket_waits_for_its_window_to_end() {
    let mut bench = Bench::new();
    let first = bench.enqueue(MESSAGE, None);
    bench.now += Duration::from_millis(100);
    bench.reply(first, &told(0, 5, Duration::from_millis(4500)));
    let second = bench.enqueue(MESSAGE, None);
    assert_eq!(bench.waits(second), Some(Duration::from_millis(4500)));
    bench.now += Duration::from_millis(4500);
    assert!(bench.is_granted(second));
}

#[test]
fn replies_that_are_quicker_than_their_times_are_exact_tell_of_one_window() {
    let mut bench = Bench::new();
    let micros = Duration::from_micros;
    // The window ends after 500.05 ms; each reply takes 0.1 ms and rounds what is left of it up.
    let (began, ends) = (bench.now, bench.now + micros(500_050));
    for (remaining, sent) in [(4, 0), (3, 900), (2, 1100), (1, 1900), (0, 2100)] {
        bench.now = began + micros(sent);
        let ticket = bench.enqueue(MESSAGE, None);
        assert!(bench.is_granted(ticket));
        let left = ends - bench.now;
        bench.now += micros(100);
        let rounded_up = Duration::from_millis(left.as_micros().div_ceil(1000) as u64);
        bench.reply(ticket, &told(remaining, 5, rounded_up));
    }
    let next = bench.enqueue(MESSAGE, None);
    let waits = bench.waits(next).expect("the window is spent");
    assert!(bench.now + waits >= ends, "{waits:?}");
    bench.now += waits;
    let others = bench.enqueue(MESSAGE, None);
    assert!(bench.is_granted(next));
    bench.reply(next, &told(4, 5, SECOND));
    // Nobody else was seen, so nothing is left for others.
    assert!(bench.is_granted(others));
}

#[test]
fn a_late_reply_of_an_older_window_changes_nothing() {
    let named = |mut reply: RateReply, reset| {
        reply.headers.reset = Some(Duration::from_secs(reset));
        reply
    };
    // Of a long window the times alone say which is newer, of a short one its name does.
    for window in [5 * SECOND, SECOND] {
        let mut bench = Bench::new();
        let first = bench.enqueue(MESSAGE, None);
        bench.reply(first, &named(told(4, 5, SECOND), 1001));
        let slow = bench.enqueue(MESSAGE, None);
        bench.now += 2 * SECOND;
        let opener = bench.enqueue(MESSAGE, None);
        assert!(bench.is_granted(opener));
        bench.now += SECOND / 10;
        bench.reply(opener, &named(told(4, 5, window), 1003));
        bench.reply(slow, &named(told(0, 5, SECOND), 1001));
        let next = bench.enqueue(MESSAGE, None);
        assert!(bench.is_granted(next), "{window:?}");
    }
}

#[test]
fn a_route_moves_to_the_bucket_that_its_reply_names() {
    let mut bench = Bench::new();
    let first = bench.enqueue(MESSAGE, None);
    bench.reply(first, &told(0, 5, 60 * SECOND));
    let waiting = bench.enqueue(MESSAGE, None);
    assert_eq!(bench.waits(waiting), Some(60 * SECOND));
    let other_route = bench.enqueue("channels/1/pins/2", None);
    assert!(bench.is_granted(other_route));
    bench.reply(other_route, &told(0, 5, 60 * SECOND));
    let shares = bench.enqueue("channels/1/pins/2", None);
    assert_eq!(bench.waits(shares), Some(60 * SECOND), "both routes share the bucket");
    bench.now += 61 * SECOND;
    assert!(bench.is_granted(waiting), "the older goes first");
    assert_eq!(bench.waits(shares), None);
    let mut elsewhere = told(4, 5, SECOND);
    elsewhere.headers.bucket = Some("c".into());
    bench.reply(waiting, &elsewhere);
    assert!(bench.is_granted(shares), "the bucket that was left waits for nobody");
}

#[test]
fn a_shared_429_stops_its_bucket_alone_and_is_not_invalid() {
    let mut bench = Bench::new();
    let first = bench.enqueue(MESSAGE, None);
    bench.reply(first, &limited(Scope::Shared, Some(30)));
    let same = bench.enqueue(MESSAGE, None);
    assert_eq!(bench.waits(same), Some(30 * SECOND));
    let other = bench.enqueue("channels/3/messages/4", None);
    assert!(bench.is_granted(other));
    let stats = bench.limiter.stats(bench.now);
    assert_eq!((stats.limited_shared, stats.invalid_in_window), (1, 0));
}

#[test]
fn a_429_of_the_bucket_waits_as_long_as_it_says() {
    let mut bench = Bench::new();
    let first = bench.enqueue(MESSAGE, None);
    bench.reply(first, &told(4, 5, 5 * SECOND));
    let second = bench.enqueue(MESSAGE, None);
    let mut reply = told(0, 5, 2 * SECOND);
    (reply.status, reply.limited) = (429, Some((Scope::User, Some(7 * SECOND))));
    bench.reply(second, &reply);
    bench.limiter.requeue(second, bench.now);
    assert_eq!(bench.waits(second), Some(7 * SECOND));
    let stats = bench.limiter.stats(bench.now);
    assert_eq!((stats.limited_user, stats.caused_by_us, stats.invalid_in_window), (1, 0, 1));
}

#[test]
fn a_429_that_our_own_requests_explain_is_ours() {
    let mut bench = Bench::new();
    let first = bench.enqueue(MESSAGE, None);
    bench.reply(first, &told(1, 2, 5 * SECOND));
    let second = bench.enqueue(MESSAGE, None);
    bench.reply(second, &told(1, 2, 5 * SECOND));
    let third = bench.enqueue(MESSAGE, None);
    assert!(bench.is_granted(third), "the server said so");
    bench.reply(third, &limited(Scope::User, Some(1)));
    assert_eq!(bench.limiter.stats(bench.now).caused_by_us, 1);
}

#[test]
fn a_global_429_and_cloudflare_stop_everything() {
    for (scope, longest) in [(Scope::Global, 10.0), (Scope::Cloudflare, 11.0)] {
        let mut bench = Bench::new();
        let first = bench.enqueue(MESSAGE, None);
        bench.reply(first, &limited(scope, Some(10)));
        let other = bench.enqueue("channels/3/messages/4", None);
        let wait = bench.waits(other).unwrap().as_secs_f64();
        assert!((10.0..=longest).contains(&wait), "{wait}");
        bench.now += 11 * SECOND;
        assert!(bench.is_granted(other));
    }
}

#[test]
fn cloudflare_without_a_wait_is_backed_off_longer_each_time() {
    let mut bench = Bench::new();
    let ticket = bench.enqueue(MESSAGE, None);
    let mut last = Duration::ZERO;
    for _ in 0..6 {
        bench.reply(ticket, &limited(Scope::Cloudflare, None));
        bench.limiter.requeue(ticket, bench.now);
        let wait = bench.waits(ticket).unwrap();
        assert!(wait > last.mul_f64(1.4), "{wait:?} after {last:?}");
        last = wait;
        bench.now += wait;
        assert!(bench.is_granted(ticket));
    }
}

#[test]
fn a_name_changes_twice_in_ten_minutes_and_nothing_else_waits() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        let ticket = bench.enqueue("channels/1", Some(Variant::ChannelName));
        assert!(bench.is_granted(ticket));
        bench.reply(ticket, &plain(200));
    }
    let third = bench.enqueue("channels/1", Some(Variant::ChannelName));
    assert_eq!(bench.waits(third), Some(600 * SECOND));
    let parent = bench.enqueue("channels/1", None);
    let other = bench.enqueue("channels/2", Some(Variant::ChannelName));
    assert!(bench.is_granted(parent));
    assert!(bench.is_granted(other));
}

#[test]
fn old_edits_wait_alone_and_their_limit_is_learnt() {
    let mut bench = Bench::new();
    let old = Some(Variant::OldEdit);
    let first = bench.enqueue(MESSAGE, old);
    bench.reply(first, &plain(200));
    let second = bench.enqueue(MESSAGE, old);
    bench.reply(second, &limited(Scope::OldEdits, Some(40)));
    bench.limiter.requeue(second, bench.now);
    assert_eq!(bench.waits(second), Some(40 * SECOND));
    let young = bench.enqueue(MESSAGE, None);
    let elsewhere = bench.enqueue("channels/5/messages/6", old);
    assert!(bench.is_granted(young));
    assert!(bench.is_granted(elsewhere));
    bench.now += 40 * SECOND;
    assert!(bench.is_granted(second));
    bench.reply(second, &plain(200));
    let third = bench.enqueue(MESSAGE, old);
    assert_eq!(bench.waits(third), Some(40 * SECOND), "one each 40 s");
}

#[test]
fn a_401_stops_everything_and_so_does_the_budget_of_invalid_requests() {
    let mut bench = Bench::new();
    bench.limiter.options.invalid_request_budget = 3;
    for path in ["channels/1", "channels/2", "channels/3"] {
        let ticket = bench.enqueue(path, None);
        bench.reply(ticket, &plain(403));
    }
    let refused = bench.enqueue(MESSAGE, None);
    let stop = Stop::InvalidRequests { count: 3 };
    assert_eq!(bench.standing(refused), Standing::Stopped(stop));
    bench.now += 600 * SECOND;
    assert!(bench.is_granted(refused), "ten minutes later");
    let waiting = bench.enqueue(MESSAGE, None);
    bench.limiter.complete(refused, &plain(401), bench.now);
    assert!(bench.limiter.grant(bench.now).contains(&waiting), "who waits is told");
    assert_eq!(bench.standing(waiting), Standing::Stopped(Stop::Unauthorized));
}

#[test]
fn a_lost_request_counts_until_its_window_has_ended() {
    let mut bench = Bench::new();
    let first = bench.enqueue(MESSAGE, None);
    bench.reply(first, &told(1, 2, 5 * SECOND));
    let lost = bench.enqueue(MESSAGE, None);
    bench.limiter.lost(lost, bench.now);
    let next = bench.enqueue(MESSAGE, None);
    assert_eq!(bench.waits(next), Some(5 * SECOND));
}

#[test]
fn an_unsent_request_does_not_count() {
    let mut bench = Bench::new();
    let first = bench.enqueue(MESSAGE, None);
    bench.reply(first, &told(1, 2, 5 * SECOND));
    let unsent = bench.enqueue(MESSAGE, None);
    bench.limiter.unsent(unsent, bench.now);
    let next = bench.enqueue(MESSAGE, None);
    assert!(bench.is_granted(next));
    assert_eq!(bench.limiter.stats(bench.now).sent, 2);
}

#[test]
fn whoever_leaves_the_queue_lets_the_next_one_pass() {
    let mut bench = Bench::new();
    let first = bench.enqueue(MESSAGE, None);
    let second = bench.enqueue(MESSAGE, None);
    let third = bench.enqueue(MESSAGE, None);
    bench.limiter.forget(second, bench.now);
    bench.limiter.forget(first, bench.now);
    assert!(bench.limiter.grant(bench.now).contains(&third));
    assert!(bench.is_granted(third));
}

#[test]
fn idle_channels_are_forgotten() {
    let mut bench = Bench::new();
    for channel in 0..2000 {
        let ticket = bench.enqueue(&format!("channels/{channel}"), Some(Variant::ChannelName));
        bench.now += SECOND;
        bench.reply(ticket, &told(4, 5, SECOND));
        bench.limiter.forget(ticket, bench.now);
    }
    assert!(bench.limiter.lanes.len() < 1000 && bench.limiter.buckets.len() < 1000);
    assert!(bench.limiter.hidden.len() < 1000);
    assert!(bench.limiter.requests.is_empty());
}
