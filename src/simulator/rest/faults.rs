//! Faults of the REST side that are ordered ahead, so that a test knows which request they hit.
//!
//! **Invariant:** a fault hits only requests of its target, in their order, and exactly as often as was
//! asked for.

use std::time::Duration;

use super::route::RouteSpec;

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestFault {
    /// 429 of scope `shared`: others use up the resource. The client is not to blame.
    SharedLimit {
        /// What `retry_after` says.
        retry_after: Duration,
    },
    /// 429 of Cloudflare: HTML, no bucket, only `Retry-After`.
    Cloudflare {
        /// What `Retry-After` says, in whole seconds rounded up.
        retry_after: Duration,
    },
    /// A server error such as 500, 502 or 503.
    ServerError {
        /// Its status.
        status: u16,
        /// Whether the request was carried out all the same.
        is_applied: bool,
    },
    /// The connection ends without a reply.
    Lost {
        /// Whether the request was carried out all the same.
        is_applied: bool,
    },
    /// The reply comes late; the request is carried out at once.
    Slow {
        /// How much later.
        delay: Duration,
    },
}

impl RestFault {
    /// Its name in commands and counts.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SharedLimit { .. } => "shared",
            Self::Cloudflare { .. } => "cloudflare",
            Self::ServerError { is_applied: false, .. } => "error",
            Self::ServerError { is_applied: true, .. } => "error_applied",
            Self::Lost { is_applied: false } => "lost",
            Self::Lost { is_applied: true } => "lost_applied",
            Self::Slow { .. } => "slow",
        }
    }

    /// Whether it strikes before Discord itself sees the request.
    fn is_at_the_edge(&self) -> bool {
        matches!(self, Self::Cloudflare { .. })
    }
}

/// An order for faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestFaultOrder {
    /// What goes wrong.
    pub fault: RestFault,
    /// A method such as `POST`, or a route as [`super::route_names`] writes it; empty for every request.
    pub target: String,
    /// Requests of the target that are spared first.
    pub skip: u64,
    /// Requests of the target that are hit after those.
    pub count: u64,
}

/// The orders that are not yet carried out.
#[derive(Debug, Default)]
pub(in crate::simulator) struct Faults {
    orders: Vec<RestFaultOrder>,
}

impl Faults {
    /// Adds an order.
    pub(in crate::simulator) fn order(&mut self, order: RestFaultOrder) {
        self.orders.push(order);
    }

    /// Forgets all orders.
    pub(in crate::simulator) fn clear(&mut self) {
        self.orders.clear();
    }

    /// The fault that keeps a request from reaching Discord, if it is its turn.
    pub(super) fn at_the_edge(&mut self, route: &RouteSpec) -> Option<RestFault> {
        self.take(route, true)
    }

    /// The fault that hits a request which the limits let through.
    pub(super) fn inside(&mut self, route: &RouteSpec) -> Option<RestFault> {
        self.take(route, false)
    }

    /// Orders are independent: each counts every request, and the first whose turn it is hits.
    fn take(&mut self, route: &RouteSpec, at_the_edge: bool) -> Option<RestFault> {
        let mut hit = None;
        for order in &mut self.orders {
            if order.fault.is_at_the_edge() != at_the_edge || !route.is_meant_by(&order.target) {
                continue;
            }
            if order.skip > 0 {
                order.skip -= 1;
            } else if hit.is_none() && order.count > 0 {
                order.count -= 1;
                hit = Some(order.fault);
            }
        }
        self.orders.retain(|order| order.count > 0);
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::{super::route::spec_of, *};

    const POST: &str = "POST /channels/{channel.id}/messages";

    fn lost(target: &str, skip: u64, count: u64) -> RestFaultOrder {
        let fault = RestFault::Lost { is_applied: true };
        RestFaultOrder { fault, target: target.to_owned(), skip, count }
    }

    #[test]
    fn the_requests_after_the_spared_ones_are_hit() {
        let mut faults = Faults::default();
        faults.order(lost(POST, 2, 1));
        let post = spec_of(POST).expect("it is a route");
        let hits: Vec<_> = (0..5).map(|_| faults.inside(post).is_some()).collect();
        assert_eq!(hits, [false, false, true, false, false]);
    }

    #[test]
    fn other_routes_are_neither_hit_nor_counted() {
        let mut faults = Faults::default();
        faults.order(lost(POST, 0, 1));
        let bulk = spec_of("POST /channels/{channel.id}/messages/bulk-delete").expect("a route");
        assert_eq!(faults.inside(bulk), None);
        assert!(faults.inside(spec_of(POST).expect("a route")).is_some());
    }

    #[test]
    fn a_method_stands_for_all_its_routes() {
        let mut faults = Faults::default();
        faults.order(lost("POST", 0, 2));
        assert_eq!(faults.inside(spec_of("GET /users/@me").expect("a route")), None);
        assert!(faults.inside(spec_of(POST).expect("a route")).is_some());
    }

    #[test]
    fn cloudflare_answers_before_anything_else() {
        let mut faults = Faults::default();
        let fault = RestFault::Cloudflare { retry_after: Duration::from_secs(3) };
        faults.order(RestFaultOrder { fault, target: String::new(), skip: 0, count: 1 });
        let post = spec_of(POST).expect("it is a route");
        assert_eq!(faults.inside(post), None);
        assert_eq!(faults.at_the_edge(post), Some(fault));
        assert_eq!(faults.at_the_edge(post), None);
    }
}
