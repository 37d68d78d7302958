//! The guest book of the examples, against the simulated Discord.

use actix_web::{
    App,
    test::{TestRequest, call_and_read_body_json, call_service, init_service},
    web::Data,
};
use dsqlstate::{
    config::Secret,
    discord_db::{DiscordDbOptions, JournalPlace},
    simulator::{LimitsConfig, Simulator, SimulatorConfig},
};
use serde_json::{Value, json};

#[path = "../examples/discord_db.rs"]
#[allow(dead_code, unreachable_pub, reason = "its main function is for when it runs by itself")]
mod example;

#[actix::test]
async fn the_guest_book_keeps_what_is_written_and_finds_it_again() {
    let simulator = Simulator::start(SimulatorConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        guilds: 0,
        empty_guilds: 1,
        real_clock: true,
        limits: LimitsConfig::scaled(0.01),
        ..SimulatorConfig::default()
    })
    .unwrap();
    let dir = tempfile::TempDir::new().unwrap();
    let options = || {
        let journal = JournalPlace::File(dir.path().join("journal"));
        let mut options =
            DiscordDbOptions::new(simulator.guild_ids()[0], Secret::new("any"), journal);
        options.rest.api_url = simulator.api_url();
        options
    };
    let book = Data::new(example::open(options()).await.unwrap());
    let app = init_service(App::new().configure(example::routes(book.clone()))).await;
    for (name, text) in [("Ann", "Hello:\nall"), ("Bo", ""), ("Ann", "Bye")] {
        let post = TestRequest::post().set_json(json!({ "name": name, "text": text }));
        let written: Value = call_and_read_body_json(&app, post.to_request()).await;
        assert_eq!(written["text"], text);
    }
    let long = TestRequest::post().set_json(json!({ "name": "Ann", "text": "x".repeat(2000) }));
    assert_eq!(call_service(&app, long.to_request()).await.status(), 413);

    example::close(&book).await;
    let book = Data::new(example::open(options()).await.unwrap());
    let app = init_service(App::new().configure(example::routes(book.clone()))).await;
    let get = TestRequest::get().uri("/?name=Ann").to_request();
    let found: Value = call_and_read_body_json(&app, get).await;
    let texts: Vec<_> = found.as_array().unwrap().iter().map(|entry| &entry["text"]).collect();
    assert_eq!(texts, ["Hello:\nall", "Bye"]);
}
