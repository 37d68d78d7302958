//! What the bot may do in a guild, and in one channel of it.
//!
//! **Invariant:** the order is Discord's, since later steps undo earlier ones:
//! <https://discord.com/developers/docs/topics/permissions#permission-overwrites>.

use twilight_model::guild::Permissions;

use super::{Channel, Guild, Overwrite, Rest};
use crate::discord_db::DiscordDbError;

impl Rest {
    /// What the bot may do in `guild`, or in `channel` of it. Takes two requests.
    ///
    /// # Errors
    /// As Discord answers.
    pub async fn own_permissions(
        &self,
        guild: &Guild,
        channel: Option<&Channel>,
    ) -> Result<Permissions, DiscordDbError> {
        let user_id = self.current_user().await?.id;
        let roles = self.member_roles(guild.id, user_id).await?;
        let overwrites = channel.map_or(&[][..], |channel| &channel.overwrites);
        Ok(permissions(guild, overwrites, user_id, &roles))
    }
}

/// What a member with `roles` may do under the overwrites of a channel.
fn permissions(
    guild: &Guild,
    overwrites: &[Overwrite],
    user_id: u64,
    roles: &[u64],
) -> Permissions {
    if guild.owner_id == Some(user_id) {
        return Permissions::all();
    }
    // `@everyone` has the guild's id, and members do not list it.
    let held = |id: u64| id == guild.id || roles.contains(&id);
    let of_roles = guild.roles.iter().filter(|role| held(role.id));
    let base = of_roles.fold(0, |bits, role| bits | role.permissions);
    if Permissions::from_bits_retain(base).contains(Permissions::ADMINISTRATOR) {
        return Permissions::all();
    }
    let everyone = |overwrite: &&Overwrite| !overwrite.is_member && overwrite.id == guild.id;
    let of_role = |overwrite: &&Overwrite| {
        !overwrite.is_member && overwrite.id != guild.id && held(overwrite.id)
    };
    let own = |overwrite: &&Overwrite| overwrite.is_member && overwrite.id == user_id;
    let bits = apply(base, overwrites.iter().filter(everyone));
    let bits = apply(bits, overwrites.iter().filter(of_role));
    Permissions::from_bits_retain(apply(bits, overwrites.iter().filter(own)))
}

/// Takes what any denies, then gives what any allows.
fn apply<'a>(bits: u64, overwrites: impl Iterator<Item = &'a Overwrite>) -> u64 {
    let (deny, allow) = overwrites
        .fold((0, 0), |(deny, allow), overwrite| (deny | overwrite.deny, allow | overwrite.allow));
    bits & !deny | allow
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEND: u64 = Permissions::SEND_MESSAGES.bits();
    const VIEW: u64 = Permissions::VIEW_CHANNEL.bits();

    fn guild(of_role: u64) -> Guild {
        let text = format!(
            r#"{{"id":"1","owner_id":"9","roles":[{{"id":"1","permissions":"{VIEW}"}},
                {{"id":"2","permissions":"{of_role}"}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn overwrite(id: u64, is_member: bool, allow: u64, deny: u64) -> Overwrite {
        Overwrite { id, is_member, allow, deny }
    }

    #[test]
    fn roles_add_up_and_owner_and_administrator_may_everything() {
        assert_eq!(permissions(&guild(SEND), &[], 5, &[]).bits(), VIEW);
        assert_eq!(permissions(&guild(SEND), &[], 5, &[2]).bits(), VIEW | SEND);
        assert_eq!(permissions(&guild(0), &[], 9, &[]), Permissions::all());
        let administrator = guild(Permissions::ADMINISTRATOR.bits());
        let denied = [overwrite(5, true, 0, SEND)];
        assert_eq!(permissions(&administrator, &denied, 5, &[2]), Permissions::all());
    }

    #[test]
    fn overwrites_go_from_everyone_over_roles_to_the_member() {
        let guild = guild(SEND);
        let everyone = overwrite(1, false, 0, SEND | VIEW);
        assert_eq!(permissions(&guild, &[everyone], 5, &[2]).bits(), 0);
        let role = overwrite(2, false, VIEW, 0);
        assert_eq!(permissions(&guild, &[role, everyone], 5, &[2]).bits(), VIEW);
        assert_eq!(permissions(&guild, &[role, everyone], 5, &[]).bits(), 0);
        let member = overwrite(5, true, SEND, VIEW);
        assert_eq!(permissions(&guild, &[member, role, everyone], 5, &[2]).bits(), SEND);
    }

    #[test]
    fn a_role_that_allows_beats_a_role_that_denies() {
        let guild = guild(0);
        let rules = [overwrite(2, false, SEND, 0), overwrite(3, false, 0, SEND)];
        assert_eq!(permissions(&guild, &rules, 5, &[2, 3]).bits(), VIEW | SEND);
    }
}
