//! Names and values of any content, made from a seed.

use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};

/// What a format, a trimming or a stripping could get wrong.
const ODD: [&str; 44] = [
    ":",
    "\\",
    "\n",
    "\r",
    "\r\n",
    "\0",
    "\u{1}",
    " ",
    "  ",
    "\t",
    "\u{7f}",
    "\u{a0}",
    "\u{2003}",
    "\u{3000}",
    "\u{200b}",
    "\u{200d}",
    "\u{200f}",
    "\u{202e}",
    "\u{2066}",
    "\u{2069}",
    "\u{2028}",
    "\u{feff}",
    "\u{ad}",
    "e\u{301}",
    "\u{301}",
    "\u{e0061}",
    "\u{ffff}",
    "\u{10ffff}",
    "👩\u{200d}👧",
    "🇩🇪",
    "❤\u{fe0f}",
    "שלום",
    "مرحبا",
    "漢字",
    "@everyone",
    "<@1>",
    "<#2>",
    "<:a:3>",
    "**",
    "```",
    "||",
    "https://example.com/?a=b",
    r"\n",
    r"\u{41}",
];

/// Words that the specification's format and Discord leave alone.
const PLAIN: [&str; 14] = [
    "a",
    "tea",
    "42",
    "-7.5",
    "größe",
    "漢字",
    "🎉",
    "@everyone",
    "<@1>",
    "**bold**",
    "`x`",
    "name",
    "0",
    "~",
];

/// Any text of up to about so many characters.
pub(crate) fn any(rng: &mut SmallRng, characters: usize) -> String {
    let length = rng.random_range(0..=characters);
    match rng.random_range(0..6) {
        0 => String::new(),
        1 => " ".repeat(length.min(3)),
        2 => plain(rng),
        // Scalar values of every plane.
        3 => (0..length).map(|_| rng.random::<char>()).collect(),
        _ => {
            let mut text = String::new();
            while text.chars().count() < length {
                let atoms = if rng.random_bool(0.6) { &ODD[..] } else { &PLAIN[..] };
                text += atoms.choose(rng).expect("there are some");
            }
            text.chars().take(characters).collect()
        }
    }
}

/// A text that is written as it is.
pub(crate) fn plain(rng: &mut SmallRng) -> String {
    let words = rng.random_range(1..4);
    let words: Vec<_> = (0..words).map(|_| *PLAIN.choose(rng).expect("there are some")).collect();
    words.join(" ")
}

/// What `make` makes, as often as it takes to make something new.
pub(crate) fn distinct(
    known: &[String],
    rng: &mut SmallRng,
    mut make: impl FnMut(&mut SmallRng) -> String,
) -> String {
    loop {
        let text = make(rng);
        if !known.contains(&text) {
            return text;
        }
    }
}
