//! Measures the speed of the page for `just bench-page`; `docs/page.md` has the results.

use serde_json::{Value, json};

use crate::driver::Driver;
use crate::lab::{Peer, VERSION, game, tiny_game};

const GAMES: usize = 1000;
/// Number of times that a thousand games change at once during a download.
const CHANGES: usize = 10;

/// Median, least and most.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    match (values.first(), values.get(values.len() / 2), values.last()) {
        (Some(least), Some(median), Some(most)) => format!("{median:.0} ({least:.0} to {most:.0})"),
        _ => "none".to_owned(),
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

/// Opens the page `runs` times with a thousand games, then lets all of them change while a download runs.
pub fn print(driver: &Driver, runs: usize) {
    let library =
        |games: &std::path::Path| (0..GAMES).for_each(|n| tiny_game(games, &format!("game-{n:04}")));
    let crowd = Peer::run("crowd", &[], library);
    let seed = Peer::run("seed", &["--upload-limit", "4M"], |games| game(games, "big", VERSION, 100_000_000));
    let mut guest = Peer::run("guest", &[], library);
    let me = Peer::run("me", &[], |_| {});
    me.meet(&crowd);
    me.meet(&seed);

    let (mut paint, mut again, mut cards, mut weight) = (Vec::new(), Vec::new(), Vec::new(), 0.0);
    for _ in 0..runs {
        let browser = driver.browser();
        // The first opening turns the token in the address into a cookie. The second has the cookie, like a bookmark
        // that is opened later, and is the one that is measured.
        browser.open(&me.page());
        browser.wait("performance.getEntriesByName('games').length");
        browser.open("about:blank");
        browser.open(&me.address());
        browser.wait("performance.getEntriesByName('games').length");
        browser.wait("performance.getEntriesByType('paint').length > 1");
        let measured = browser.eval(
            "const size = (e) => /\\/api\\//.test(e.name) ? 0 : e.encodedBodySize;
             const of = (type) => performance.getEntriesByType(type);
             return { paint: of('paint').find((e) => e.name === 'first-contentful-paint').startTime,
                      cards: performance.getEntriesByName('games')[0].startTime,
                      weight: [...of('navigation'), ...of('resource')].reduce((sum, e) => sum + size(e), 0) }",
        );
        paint.push(number(&measured["paint"]));
        browser.open(&me.address());
        browser.wait("performance.getEntriesByType('paint').length > 1");
        let anew = "return performance.getEntriesByName('first-contentful-paint')[0].startTime";
        again.push(number(&browser.eval(anew)));
        cards.push(number(&measured["cards"]));
        weight = number(&measured["weight"]).max(weight);
    }
    println!("first contentful paint, ms: {} in {runs} openings, of a new tab", spread(paint));
    println!("  of a tab that has the page already: {}", spread(again));
    println!("first cards of {GAMES} games, ms: {}", spread(cards));
    println!("loaded for the library, kB: {:.1} (uncompressed, covers and data apart)", weight / 1000.0);

    let browser = driver.browser();
    browser.open(&me.page());
    browser.wait(&format!("document.querySelectorAll('game-card').length > {GAMES}"));
    browser.eval(
        "window.long = []; window.frames_ = [];
         new PerformanceObserver((list) => long.push(...list.getEntries().map((e) => e.duration))).observe({ type: 'longtask' });
         let last = performance.now();
         const frame = (now) => { frames_.push(now - last); last = now; requestAnimationFrame(frame); };
         requestAnimationFrame(frame);",
    );
    browser.click("game-card:has(a[href='#/game/big']) .step");
    browser.wait("document.querySelector('game-card progress:not([hidden])')");
    for n in 0..CHANGES {
        let (there, expected) = (n % 2 == 0, if n % 2 == 0 { "2 have it" } else { "1 has it" });
        if there {
            if n > 0 {
                guest.start();
            }
            me.meet(&guest);
        } else {
            guest.kill();
        }
        browser.wait(&format!(
            "[...document.querySelectorAll('game-card .badge')].filter((e) => e.textContent === {}).length >= {GAMES}",
            json!(expected)
        ));
    }
    let running = browser.eval("return document.querySelectorAll('game-card progress:not([hidden])').length");
    let floats = |name: &str| {
        let values = browser.eval(&format!("return {name}"));
        values.as_array().unwrap().iter().map(number).collect::<Vec<f64>>()
    };
    let (long, frames) = (floats("long"), floats("frames_"));
    println!("{CHANGES} times {GAMES} games changed at once, a download running: {}", running == json!(1));
    println!("  long tasks (50 ms and more): {}, ms: {}", long.len(), spread(long));
    let late = frames.iter().filter(|ms| **ms > 100.0).count();
    println!("  frames: {}, of them later than 100 ms: {late}", frames.len());
    let keys = browser.eval(
        "const search = document.querySelector('input[type=search]'); const took = [];
         for (const text of ['g', 'ga', 'game-0', 'game-01', 'game', '']) {
           const begin = performance.now(); search.value = text; search.dispatchEvent(new Event('input'));
           document.body.offsetHeight; took.push(performance.now() - begin); }
         return took",
    );
    println!(
        "  one key in the search, ms: {}",
        spread(keys.as_array().unwrap().iter().map(number).collect())
    );
}
