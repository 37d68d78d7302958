//! Words that names and texts are made of, with the characters that break careless software.
//!
//! **Invariant:** nothing here is chosen by anything but the generator that is passed in.

use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

const FIRST: [&str; 32] = [
    "alex",
    "mika",
    "noor",
    "sora",
    "lena",
    "tom",
    "yuki",
    "omar",
    "ines",
    "jana",
    "kai",
    "lux",
    "max",
    "nina",
    "otto",
    "pia",
    "quinn",
    "rosa",
    "sven",
    "tara",
    "uma",
    "vito",
    "wren",
    "xena",
    "yara",
    "zoe",
    "björn",
    "søren",
    "михаил",
    "さくら",
    "علي",
    "张伟",
];
const SECOND: [&str; 16] = [
    "wolf", "fox", "storm", "pixel", "byte", "moon", "river", "stone", "ghost", "spark", "leaf",
    "night", "cloud", "raven", "frost", "echo",
];
const TOPICS: [&str; 16] = [
    "Gaming",
    "Study",
    "Art",
    "Music",
    "Rust",
    "Minecraft",
    "Anime",
    "Café",
    "Chess",
    "Crypto",
    "Movies",
    "Books",
    "Fitness",
    "Science",
    "日本語",
    "Support",
];
const PLACES: [&str; 12] = [
    "Hub",
    "Lounge",
    "Guild",
    "Community",
    "Server",
    "Club",
    "House",
    "Corner",
    "Central",
    "HQ",
    "Zone",
    "Garden",
];
const CHANNELS: [&str; 20] = [
    "general",
    "off-topic",
    "memes",
    "help",
    "art",
    "music",
    "bot-commands",
    "introductions",
    "clips",
    "news",
    "events",
    "feedback",
    "screenshots",
    "trading",
    "looking-for-group",
    "dev",
    "日本語",
    "📢-announcements",
    "rules",
    "staff",
];
const ROLES: [&str; 16] = [
    "Moderator",
    "Admin",
    "Member",
    "VIP",
    "Artist",
    "Booster 🚀",
    "Muted",
    "Bots",
    "Event Staff",
    "he/him",
    "she/her",
    "they/them",
    "Level 10",
    "Level 50",
    "\"Legend\"",
    "Früher Vogel",
];
const WORDS: [&str; 40] = [
    "the",
    "and",
    "you",
    "that",
    "was",
    "for",
    "are",
    "with",
    "this",
    "have",
    "from",
    "one",
    "had",
    "word",
    "but",
    "not",
    "what",
    "all",
    "were",
    "when",
    "your",
    "can",
    "said",
    "there",
    "each",
    "which",
    "she",
    "how",
    "their",
    "will",
    "lol",
    "😂",
    "naïve",
    "it's",
    "\"quoted\"",
    "back\\slash",
    "❤️",
    "ありがとう",
    "https://example.com/a?b=c&d=e",
    "👩‍👩‍👧‍👦",
];
const GAMES: [&str; 12] = [
    "Minecraft",
    "VALORANT",
    "League of Legends",
    "Visual Studio Code",
    "Genshin Impact",
    "Roblox",
    "Counter-Strike 2",
    "Overwatch® 2",
    "Stardew Valley",
    "osu!",
    "Elden Ring",
    "Dota 2",
];

/// Emojis for status, roles and reactions.
pub(crate) const EMOJIS: [&str; 8] = ["👍", "🔥", "😂", "❤️", "🎉", "👀", "🚀", "✅"];

fn pick(rng: &mut ChaCha8Rng, words: &[&'static str]) -> &'static str {
    words.choose(rng).expect("the word lists are not empty")
}

/// A user name: lower case, unique by its number.
pub(crate) fn username(rng: &mut ChaCha8Rng, number: u64) -> Box<str> {
    format!("{}.{}{number}", pick(rng, &FIRST[..26]), pick(rng, &SECOND)).into()
}

/// A display name or nickname, in any script.
pub(crate) fn display_name(rng: &mut ChaCha8Rng) -> Box<str> {
    let first = pick(rng, &FIRST);
    let second = pick(rng, &SECOND);
    match rng.random_range(0..8) {
        0 => format!("✨{first}✨"),
        1 => format!("{first} \"{second}\""),
        2 => format!("{first} 🦊 | {second}"),
        3 => format!("꧁{first}꧂"),
        _ => format!("{first} {second}"),
    }
    .into()
}

/// A guild name.
pub(crate) fn guild_name(rng: &mut ChaCha8Rng) -> Box<str> {
    let topic = pick(rng, &TOPICS);
    let place = pick(rng, &PLACES);
    match rng.random_range(0..6) {
        0 => format!("{topic}'s {place}"),
        1 => format!("🌸 {topic} {place} 🌸"),
        2 => format!("{topic} & {place}"),
        _ => format!("{topic} {place}"),
    }
    .into()
}

/// A channel name; text channels are lower case on Discord.
pub(crate) fn channel_name(rng: &mut ChaCha8Rng, number: usize) -> Box<str> {
    let name = pick(rng, &CHANNELS);
    if number < 4 { name.into() } else { format!("{name}-{number}").into() }
}

/// A role name.
pub(crate) fn role_name(rng: &mut ChaCha8Rng, number: usize) -> Box<str> {
    let name = pick(rng, &ROLES);
    if number < 8 { name.into() } else { format!("{name} {number}").into() }
}

/// A game or program that someone uses.
pub(crate) fn game(rng: &mut ChaCha8Rng) -> Box<str> {
    pick(rng, &GAMES).into()
}

/// A reaction or status emoji.
pub(crate) fn emoji(rng: &mut ChaCha8Rng) -> &'static str {
    pick(rng, &EMOJIS)
}

/// A text of up to `limit` words, sometimes with line breaks.
pub(crate) fn text(rng: &mut ChaCha8Rng, limit: usize) -> String {
    let count = rng.random_range(1..=limit);
    let mut text = String::with_capacity(count * 6);
    for index in 0..count {
        if index > 0 {
            text.push(if rng.random_bool(0.03) { '\n' } else { ' ' });
        }
        text.push_str(pick(rng, &WORDS));
    }
    text
}
