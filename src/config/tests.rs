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
