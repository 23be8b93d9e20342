use std::time::Duration;

use tcvit::low_level::ceiling::ceilings;
use tcvit::low_level::gpu::Internals;

use crate::gpu;

#[test]
fn ceilings_are_above_what_one_thread_could_do_and_below_what_any_machine_can() {
    let found = ceilings(gpu(), Duration::from_millis(600)).unwrap();
    println!("{found:?} on {}", gpu().describe());
    let possible = |rate: f64| (1e8..1e16).contains(&rate);
    assert!(possible(found.plain) && possible(found.copy), "{found:?}");
    assert_eq!(found.cooperative.is_some(), gpu().traits().tile.is_some());
    assert!(found.cooperative.is_none_or(possible), "{found:?}");
}
