//! The engine under faults: planner, feeder, sessions and ledger of several nodes, on a simulated database, relay and time.
//!
//! Every fault comes from a seed. Time is tokio's paused clock, so minutes pass in milliseconds, and one thread runs it
//! all. After every step a model that knows nothing of the engine looks at the record and at what the relay took.
//!
//! `ENLACE_SEEDS=100000` makes the run long, `ENLACE_SEED=4711` repeats one. The order in which tokio polls branches that are
//! ready at the same instant is not seeded, so a repetition meets the same faults in nearly the same order.
#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::unit_arg,
    clippy::manual_is_multiple_of,
    clippy::collapsible_match,
    clippy::explicit_auto_deref,
    clippy::map_entry
)]

mod chance;
mod database;
mod model;
mod relay;
mod world;

use std::time::Instant;

use world::{Shape, World};

/// Seeds of an ordinary run.
const SEEDS: u64 = 200;

fn run(seed: u64, shape: &Shape) -> Result<world::Told, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(World::play(seed, shape))));
    // What still hangs belongs to nodes that died.
    runtime.shutdown_background();
    match outcome {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(format!("panicked: {}", text.unwrap_or_default()))
        }
    }
}

#[test]
fn nothing_is_lost_and_little_repeated_whatever_fails() {
    let shape = Shape::new();
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds: Vec<u64> = match number("ENLACE_SEED") {
        Some(seed) => vec![seed],
        None => {
            let first = number("ENLACE_FIRST_SEED").unwrap_or(1);
            (first..first + number("ENLACE_SEEDS").unwrap_or(SEEDS)).collect()
        }
    };
    let begun = Instant::now();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failures = std::sync::Mutex::new(Vec::new());
    let told = std::sync::Mutex::new(world::Told::default());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, |count| count.get().min(8)) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    let Some(seed) = seeds.get(at) else { break };
                    match run(*seed, &shape) {
                        Ok(one) => told.lock().unwrap().add(&one),
                        Err(text) => failures.lock().unwrap().push(format!("seed {seed}: {text}")),
                    }
                }
            });
        }
    });
    let told = told.into_inner().unwrap();
    println!("{} seeds from {} in {:.1} s: {told}", seeds.len(), seeds[0], begun.elapsed().as_secs_f64());
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {} seeds failed:\n{}", failures.len(), seeds.len(), failures.join("\n"));
    assert!(seeds.len() < 50 || told.is_rich(), "hardly anything went wrong: {told}");
}

/// The model itself is tried: an engine that forgets or repeats is found out.
#[test]
fn planted_faults_are_found() {
    for plant in [world::Plant::LosesAnOutcome, world::Plant::ForgetsLeases, world::Plant::LosesAPost] {
        let mut shape = Shape::new();
        shape.plant = Some(plant);
        let found = (1..=40).any(|seed| run(seed, &shape).is_err());
        assert!(found, "{plant:?} was not found");
    }
}
