// A message to and fro through two channels of 1, between two tasks: on one thread, and on two,
// where the two tasks may settle on one. As `time_pings` of bench/handover.c does it.
//
// usage: handover ROUNDS; prints, for each number of threads, the median of the rounds and the
// lowest, in nanoseconds.

use std::time::Instant;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

const ROUND_TRIPS: u64 = 200_000;

async fn to_and_fro() -> f64 {
    let (there, mut arrived) = mpsc::channel::<u64>(1);
    let (back, mut returned) = mpsc::channel::<u64>(1);
    let begin = Instant::now();
    let pong = tokio::spawn(async move {
        while let Some(item) = arrived.recv().await {
            back.send(item).await.expect("ping waits for it");
        }
    });
    let ping = tokio::spawn(async move {
        for i in 0..ROUND_TRIPS {
            there.send(i).await.expect("pong waits for it");
            assert_eq!(returned.recv().await, Some(i));
        }
    });
    ping.await.expect("ping ends");
    pong.await.expect("pong ends");
    begin.elapsed().as_nanos() as f64 / ROUND_TRIPS as f64
}

fn measure(threads: usize, rounds: usize, make: impl Fn() -> Runtime) {
    let mut spent: Vec<f64> = (0..rounds).map(|_| make().block_on(to_and_fro())).collect();
    spent.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
    println!("{} {:.1} {:.1}", threads, spent[rounds / 2], spent[0]);
}

fn main() {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(9);
    measure(1, rounds, || Builder::new_current_thread().build().expect("a runtime"));
    measure(2, rounds, || {
        Builder::new_multi_thread().worker_threads(2).build().expect("a runtime")
    });
}
