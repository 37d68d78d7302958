//! Every situation that the simulator can play, played to an engine: afterwards every table is as the
//! simulator knows it to be.

use dsqlstate::simulator::scenario;

use crate::support::engine::{Lab, stop};

/// Scenarios of payloads that no Discord would send, of which the truth knows nothing. What becomes of
/// them is in the tests of payloads.
const BEYOND_THE_TRUTH: [&str; 2] = ["nul-and-surrogates", "odd-elements"];

#[actix::test]
async fn every_scenario_ends_with_the_tables_as_they_truly_are() {
    let mut played = 0;
    for scenario in scenario::all().filter(|it| !BEYOND_THE_TRUTH.contains(&it.name)) {
        println!("{}: {}", scenario.name, scenario.description);
        let lab = Lab::in_one_order().await;
        let engine = lab.loaded().await;
        lab.play(scenario.name).await;
        lab.settled(&engine).await;
        lab.assert_equal().await;
        stop(engine).await;
        played += 1;
    }
    assert!(played > 30, "{played} scenarios were played");
}
