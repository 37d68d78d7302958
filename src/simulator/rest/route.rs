//! The routes: which request is meant, and which limit it counts against.
//!
//! **Invariant:** a route is one line of [`ROUTES`]; matching, counting, limits and documentation follow
//! from that line.

use hyper::Method;

use crate::simulator::config::LimitName;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Gateway,
    GatewayBot,
    OwnUser,
    Application,
    Guild,
    Roles,
    OwnMember,
    Member,
    GuildChannels,
    CreateChannel,
    Channel,
    EditChannel,
    DeleteChannel,
    Messages,
    CreateMessage,
    BulkDelete,
    Pins,
    Pin,
    Unpin,
    Message,
    EditMessage,
    DeleteMessage,
    FirstPins,
    Unknown,
}

/// One route.
#[derive(Clone, Copy, Debug)]
pub(super) struct RouteSpec {
    /// Method and path as Discord's documentation writes them.
    pub(super) name: &'static str,
    pub(super) action: Action,
    pub(super) limit: LimitName,
}

const fn route(name: &'static str, action: Action, limit: LimitName) -> RouteSpec {
    RouteSpec { name, action, limit }
}

/// Every route, a literal segment before the id that could stand in its place.
pub(super) const ROUTES: &[RouteSpec] = &[
    route("GET /gateway", Action::Gateway, LimitName::Other),
    route("GET /gateway/bot", Action::GatewayBot, LimitName::Other),
    route("GET /users/@me", Action::OwnUser, LimitName::Other),
    route("GET /applications/@me", Action::Application, LimitName::Other),
    route("GET /oauth2/applications/@me", Action::Application, LimitName::Other),
    route("GET /guilds/{guild.id}", Action::Guild, LimitName::Other),
    route("GET /guilds/{guild.id}/roles", Action::Roles, LimitName::Other),
    route("GET /guilds/{guild.id}/members/@me", Action::OwnMember, LimitName::Other),
    route("GET /guilds/{guild.id}/members/{user.id}", Action::Member, LimitName::Other),
    route("GET /guilds/{guild.id}/channels", Action::GuildChannels, LimitName::Other),
    route("POST /guilds/{guild.id}/channels", Action::CreateChannel, LimitName::CreateChannel),
    route("GET /channels/{channel.id}", Action::Channel, LimitName::Other),
    route("PATCH /channels/{channel.id}", Action::EditChannel, LimitName::EditChannel),
    route("DELETE /channels/{channel.id}", Action::DeleteChannel, LimitName::DeleteChannel),
    route("GET /channels/{channel.id}/messages", Action::Messages, LimitName::Other),
    route("POST /channels/{channel.id}/messages", Action::CreateMessage, LimitName::CreateMessage),
    route(
        "POST /channels/{channel.id}/messages/bulk-delete",
        Action::BulkDelete,
        LimitName::BulkDelete,
    ),
    route("GET /channels/{channel.id}/messages/pins", Action::Pins, LimitName::ReadPins),
    route("PUT /channels/{channel.id}/messages/pins/{message.id}", Action::Pin, LimitName::Pin),
    route(
        "DELETE /channels/{channel.id}/messages/pins/{message.id}",
        Action::Unpin,
        LimitName::Pin,
    ),
    route("GET /channels/{channel.id}/messages/{message.id}", Action::Message, LimitName::Other),
    route(
        "PATCH /channels/{channel.id}/messages/{message.id}",
        Action::EditMessage,
        LimitName::EditMessage,
    ),
    route(
        "DELETE /channels/{channel.id}/messages/{message.id}",
        Action::DeleteMessage,
        LimitName::DeleteMessage,
    ),
    route("GET /channels/{channel.id}/pins", Action::FirstPins, LimitName::ReadPins),
    route("PUT /channels/{channel.id}/pins/{message.id}", Action::Pin, LimitName::Pin),
    route("DELETE /channels/{channel.id}/pins/{message.id}", Action::Unpin, LimitName::Pin),
];

/// What is no route.
const UNKNOWN: RouteSpec = route("unknown", Action::Unknown, LimitName::Other);

/// A route and the ids in the path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matched {
    pub(super) spec: &'static RouteSpec,
    /// The ids in their order; `None` for one that is no number.
    ids: [Option<u64>; 2],
}

impl Matched {
    /// The top-level resource: the guild or channel that buckets are kept apart by.
    pub(super) fn major(&self) -> u64 {
        self.ids[0].unwrap_or(0)
    }

    /// The id at a place of the path.
    pub(super) fn id(&self, place: usize) -> Option<u64> {
        self.ids[place]
    }
}

impl RouteSpec {
    /// Whether a fault's target means this route.
    pub(super) fn is_meant_by(&self, target: &str) -> bool {
        target.is_empty() || target == self.name || self.name.split(' ').next() == Some(target)
    }

    fn matches(&self, method: &Method, segments: &[&str]) -> Option<[Option<u64>; 2]> {
        let (own_method, path) = self.name.split_once(" /")?;
        if own_method != method.as_str() || path.split('/').count() != segments.len() {
            return None;
        }
        let mut ids = [None; 2];
        let mut place = 0;
        for (own, segment) in path.split('/').zip(segments) {
            if own.starts_with('{') {
                ids[place] = segment.parse().ok();
                place += 1;
            } else if own != *segment {
                return None;
            }
        }
        Some(ids)
    }
}

/// The route of a request.
pub(super) fn find(method: &Method, path: &str) -> Matched {
    let path = path.strip_prefix("/api/v10").or_else(|| path.strip_prefix("/api")).unwrap_or(path);
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    ROUTES
        .iter()
        .find_map(|spec| Some(Matched { spec, ids: spec.matches(method, &segments)? }))
        .unwrap_or(Matched { spec: &UNKNOWN, ids: [None; 2] })
}

/// The names of all routes, such as `POST /channels/{channel.id}/messages`.
pub fn route_names() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|route| route.name)
}

/// The route of a name.
#[cfg(test)]
pub(super) fn spec_of(name: &str) -> Option<&'static RouteSpec> {
    ROUTES.iter().find(|route| route.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(method: &Method, path: &str) -> &'static str {
        find(method, path).spec.name
    }

    #[test]
    fn every_route_is_found_by_its_own_path() {
        for route in ROUTES {
            let (method, path) = route.name.split_once(' ').expect("method and path");
            let path: String = path
                .split('/')
                .map(|segment| if segment.starts_with('{') { "/5" } else { segment })
                .collect::<Vec<_>>()
                .join("/")
                .replace("//", "/");
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            assert_eq!(name_of(&method, &path), route.name, "{path}");
        }
    }

    #[test]
    fn the_versions_prefix_is_optional() {
        assert_eq!(name_of(&Method::GET, "/api/v10/users/@me"), "GET /users/@me");
        assert_eq!(name_of(&Method::GET, "/api/users/@me"), "GET /users/@me");
        assert_eq!(name_of(&Method::GET, "/users/@me/nothing"), "unknown");
    }

    #[test]
    fn an_id_that_is_no_number_is_none() {
        let matched = find(&Method::GET, "/channels/abc");
        assert_eq!((matched.spec.action, matched.id(0)), (Action::Channel, None));
        assert_eq!(find(&Method::GET, "/channels/7/messages/9").id(1), Some(9));
    }
}
