use super::*;

const DOCUMENTED: &str = include_str!("../../config/dsqlstate.toml");

fn no_env(_: &str) -> Option<String> {
    None
}

fn env(name: &'static str, value: &'static str) -> impl Fn(&str) -> Option<String> {
    move |asked| (asked == name).then(|| value.to_owned())
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), text).expect("the temporary file is writable");
    file
}

#[test]
fn the_documented_file_holds_every_key_at_its_default() {
    let parsed = Config::parse(DOCUMENTED, Path::new("config/dsqlstate.toml")).expect("valid");
    assert_eq!(parsed, Config::default());
    let table: toml::Table = DOCUMENTED.parse().expect("valid");
    let written: Vec<String> = table
        .iter()
        .flat_map(|(section, keys)| {
            let keys = keys.as_table().expect("only sections at the top");
            keys.keys().map(move |key| format!("{section}.{key}"))
        })
        .collect();
    for key in KEYS {
        assert!(written.iter().any(|path| path == key.path), "{} is missing", key.path);
    }
    assert_eq!(written.len(), KEYS.len());
}

/// The file above holds all of [`KEYS`] and parses, so no key is without a field; here is the
/// other direction.
#[test]
fn every_field_has_a_rule() {
    let shown = format!("{:#?}", Config::default());
    let fields: Vec<_> = shown
        .lines()
        .filter(|line| line.starts_with("        ") && !line.starts_with("         "))
        .filter_map(|line| line.trim().split_once(": "))
        .map(|(field, _)| field)
        .collect();
    let names: Vec<_> = KEYS.iter().map(Key::name).collect();
    assert_eq!(fields, names);
}

#[test]
fn every_key_of_the_documented_file_is_explained() {
    let lines: Vec<_> = DOCUMENTED.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(lines[index - 1].starts_with('#'), "{line} has no comment above it");
        }
    }
}

#[test]
fn a_named_file_must_exist() {
    let error = Config::load(Some(Path::new("/does/not/exist.toml")), no_env).expect_err("missing");
    assert_eq!(error.to_string(), "cannot read /does/not/exist.toml");
}

#[test]
fn the_environment_goes_before_the_file() {
    let file = file("[discord]\ntoken = \"from-file\"\n");
    let config = Config::load(Some(file.path()), env("DISCORD_TOKEN", "Bot from-env"));
    assert_eq!(config.expect("valid").discord.token.expose(), "from-env");
    let config = Config::load(Some(file.path()), env("DISCORD_TOKEN", "")).expect("valid");
    assert_eq!(config.discord.token.expose(), "from-file");
    let config = Config::load(Some(file.path()), env("DATABASE_URL", "postgres://h/d"));
    assert_eq!(config.expect("valid").database.url.expose(), "postgres://h/d");
}

#[test]
fn a_token_file_is_read_and_trimmed() {
    let token = file("  Bot abc.def\n");
    let config = file(&format!("[discord]\ntoken_file = {:?}\n", token.path()));
    let config = Config::load(Some(config.path()), no_env).expect("valid");
    assert_eq!(config.require_token().expect("there is one").expose(), "abc.def");
}

#[test]
fn a_token_with_white_space_is_refused_and_not_shown() {
    let token = file("hunter2 hunter2\n");
    let in_file = file(&format!("[discord]\ntoken_file = {:?}\n", token.path()));
    let inline = file("[discord]\ntoken = \"hunter2\\u0007\"\n");
    let empty = file("");
    let errors = [
        Config::load(Some(in_file.path()), no_env).expect_err("white space"),
        Config::load(Some(inline.path()), no_env).expect_err("a control character"),
        Config::load(Some(empty.path()), env("DISCORD_TOKEN", "hunter2\n"))
            .expect_err("a new line"),
        Config::load(Some(empty.path()), env("DATABASE_URL", "hunter2")).expect_err("no url"),
    ];
    for error in errors {
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn without_a_token_the_error_says_where_to_put_it() {
    let error = Config::default().require_token().expect_err("there is none");
    assert!(error.to_string().contains("DISCORD_TOKEN"));
}

#[test]
fn urls_lose_the_slash_at_their_end() {
    let text =
        "[discord]\ngateway_url = \"ws://127.0.0.1:7000/\"\napi_url = \"http://[::1]:7000/p//\"";
    let config = Config::parse(text, Path::new("f")).expect("valid");
    assert_eq!(config.discord.gateway_url, "ws://127.0.0.1:7000");
    assert_eq!(config.discord.api_url, "http://[::1]:7000/p");
}

#[test]
fn shards_and_their_range_are_read() {
    let text = "[discord]\nshards = 16\nshard_range = [0, 3]\nintents = [\"guilds\"]";
    let discord = Config::parse(text, Path::new("f")).expect("valid").discord;
    assert_eq!(discord.shards, ShardCount::Fixed(16));
    assert_eq!(discord.shard_range, Some(0..=3));
    assert_eq!(discord.intents, Intents::GUILDS);
}

#[test]
fn no_address_means_no_listener() {
    assert_eq!(Config::default().http.address(), Some(([127, 0, 0, 1], 9110).into()));
    let config = Config::parse("[http]\nlisten = \"\"", Path::new("f")).expect("valid");
    assert_eq!(config.http.address(), None);
}

const TWO_BOTS: &str = r#"
[discord]
token = "of.discord"
shards = 4
intents = ["guilds"]

[[bots]]
name = "first"
shard_range = [0, 1]

[[bots]]
token_env = "SECOND_TOKEN"
token = "in.file"
shards = 2
intents = ["guilds", "guild_members"]
api_url = "http://127.0.0.1:7000/"
"#;

#[test]
fn a_bot_has_what_it_names_and_the_rest_from_discord() {
    let file = file(TWO_BOTS);
    let config =
        Config::load(Some(file.path()), env("SECOND_TOKEN", "Bot from.env")).expect("valid");
    let [first, second] = &config.bots[..] else { panic!("{:?}", config.bots) };
    assert_eq!((&*first.name, first.discord.token.expose()), ("first", "of.discord"));
    assert_eq!(
        (first.discord.shards, &first.discord.shard_range),
        (ShardCount::Fixed(4), &Some(0..=1))
    );
    assert_eq!(
        (second.discord.token.expose(), second.discord.shards),
        ("from.env", ShardCount::Fixed(2))
    );
    assert_eq!(second.discord.intents, Intents::GUILDS | Intents::GUILD_MEMBERS);
    assert_eq!(second.discord.api_url, "http://127.0.0.1:7000");
    assert_eq!(config.every_bot().len(), 2);
    assert_eq!(config.first_bot(), &first.discord);

    let config = Config::load(Some(file.path()), no_env).expect("valid");
    assert_eq!(config.bots[1].discord.token.expose(), "in.file");
    let config = Config::load(Some(file.path()), env("DISCORD_TOKEN", "of.env")).expect("valid");
    let tokens: Vec<_> = config.bots.iter().map(|bot| bot.discord.token.expose()).collect();
    assert_eq!(tokens, ["of.env", "in.file"], "it is for who names none");
}

#[test]
fn without_entries_discord_is_the_only_bot() {
    let config = Config::parse("[discord]\ntoken = \"a\"", Path::new("f")).expect("valid");
    let [only] = &config.every_bot()[..] else { panic!("{config:?}") };
    assert_eq!(only.discord, config.discord);
    assert_eq!(config.first_bot(), &config.discord);
}

#[test]
fn a_bot_without_a_token_is_named() {
    let text = "[discord]\ntoken = \"a\"\n[[bots]]\n[[bots]]\ntoken_env = \"OTHER\"\n";
    let config = Config::parse(text, Path::new("f")).expect("valid");
    let error = config.require_token().expect_err("the second has none").to_string();
    assert!(
        error.starts_with("entry 2 of [[bots]]: no token: set the environment variable OTHER"),
        "{error}"
    );
    let text = "[[bots]]\nname = \"x\"\n";
    let config = Config::parse(text, Path::new("f")).expect("valid");
    let error = config.require_token().expect_err("there is none").to_string();
    assert!(error.starts_with("\"x\" in [[bots]]: no token: set its token_env"), "{error}");
}

#[test]
fn every_key_of_discord_is_one_of_bots_too() {
    for key in KEYS.iter().filter(|key| key.section() == "discord") {
        let of_bots = BOT_KEYS.iter().find(|of_bots| of_bots.name() == key.name());
        let of_bots = of_bots.unwrap_or_else(|| panic!("{} is missing", key.path));
        assert_eq!(format!("{:?}", of_bots.rule), format!("{:?}", key.rule));
        assert_eq!(of_bots.secret, key.secret);
    }
}

#[test]
fn the_documented_bots_are_what_they_say() {
    let (_, example) = DOCUMENTED.split_once("# [[bots]]\n").expect("an example in comments");
    let lines = example.lines().take_while(|line| line.starts_with('#'));
    let example: String =
        lines.map(|line| line.trim_start_matches(['#', ' ']).to_owned() + "\n").collect();
    let text = format!("{DOCUMENTED}\n[[bots]]\n{example}");
    let config = Config::parse(&text, Path::new("config/dsqlstate.toml")).expect("valid");
    assert_eq!(config.bots.len(), 2);
    assert!(config.bots.iter().all(|bot| !bot.name.is_empty()));
}

#[test]
fn what_is_wrong_with_a_bot_names_file_line_and_key() {
    let cases = [
        (
            "[[bots]]\nname = \"a\"\n[[bots]]\nshard = 3",
            "d.toml:4: bots.shard: unknown key, did you mean \"shards\"?, known here: name, token, token_file, token_env, ",
        ),
        (
            "[[bots]]\nshards = 0",
            "d.toml:2: bots.shards: found the integer 0, allowed: \"auto\" or an integer from 1 to 1000000",
        ),
        (
            "[[bots]]\ntoken = \"hunter2 hunter2\"",
            "d.toml:2: bots.token: found a string that is not shown, allowed: ",
        ),
        (
            "[discord]\nshards = 2\n[[bots]]\nshard_range = [0, 2]",
            "d.toml:4: bots.shard_range: found the last shard 2 with shards = 2, allowed: ",
        ),
        ("[bots]\nname = \"a\"", "d.toml:1: each bot is an entry: write [[bots]]"),
        ("bots = [1]", "d.toml:1: each bot is an entry: write [[bots]]"),
        ("bots = []", "d.toml:1: each bot is an entry: write [[bots]]"),
    ];
    for (text, expected) in cases {
        let error = Config::parse(text, Path::new("d.toml")).expect_err("refused").to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
