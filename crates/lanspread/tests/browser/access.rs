//! Accessibility of the page: labels, roles and contrast by the rules of WCAG 2.1 (checked by axe-core), widths from
//! a phone to 4K, dark and light, and reduced motion.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::driver::{Browser, Driver};
use crate::lab::{Peer, VERSION, game, tiny_game};
use crate::npm;
use crate::scenes::{DIALOGS, Make, Scene, weak_pass_phrase};

/// The script with the rules; `None` if npm cannot install it.
pub fn rules() -> Option<PathBuf> {
    npm::file("axe-core", "4.10.3", "axe.min.js")
}

/// Every view, with a selector of something to see in it.
const VIEWS: [(&str, &str); 5] = [
    ("", "game-card"),
    ("game/mine", "game-page h1"),
    ("room", "room-page .ready .people li"),
    ("downloads", "downloads-page form"),
    ("settings", "settings-page .catalog"),
];

fn peers() -> (Peer, Peer) {
    let ada = Peer::run("ada", &[], |games| tiny_game(games, "theirs"));
    let me = Peer::run("me", &[], |games| game(games, "mine", VERSION, 1000));
    me.meet(&ada);
    (ada, me)
}

fn show(browser: &Browser, view: &str, sign: &str) {
    browser.eval(&format!("location.hash = {}", json!(format!("#/{view}"))));
    browser.wait(&format!("document.querySelector({})", json!(sign)));
}

/// Every view obeys the rules in both colour schemes.
pub fn obeys(driver: &Driver, rules: &Path) {
    let rules = std::fs::read_to_string(rules).unwrap();
    let (_ada, me) = peers();
    let browser = driver.browser();
    browser.open(&me.page());
    browser.wait("document.querySelectorAll('game-card').length === 2");
    // The library is returned as a value, so that the policy against inline code does not apply.
    browser.eval(&format!("{rules}; window.axe = axe;"));
    for scheme in ["dark", "light"] {
        // Without motion, because a colour in transition is neither of the two.
        browser.prefer(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]);
        for (view, sign) in VIEWS {
            show(&browser, view, sign);
            assert_eq!(violations(&browser), Vec::<String>::new(), "{view} in the {scheme}");
        }
        browser.eval("[...document.querySelectorAll('button')].find((b) => b.textContent.startsWith('Add a game')).click()");
        browser.wait("document.querySelector('dialog[open]')");
        assert_eq!(violations(&browser), Vec::<String>::new(), "a dialog in the {scheme}");
        browser.eval("document.querySelector('dialog').close()");
    }
    for make in DIALOGS.into_iter().chain([weak_pass_phrase as Make]) {
        let Scene { name, browser, .. } = &make(driver);
        browser.eval(&format!("{rules}; window.axe = axe;"));
        for scheme in ["dark", "light"] {
            browser.prefer(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]);
            assert_eq!(violations(browser), Vec::<String>::new(), "{name} in the {scheme}");
        }
    }
    let newcomer = Peer::newcomer();
    let browser = driver.browser();
    browser.open(&newcomer.page());
    browser.wait("document.querySelector('first-run')");
    browser.eval(&format!("{rules}; window.axe = axe;"));
    assert_eq!(violations(&browser), Vec::<String>::new(), "the first run");
}

/// Findings of axe, each with the first element that it concerns.
fn violations(browser: &Browser) -> Vec<String> {
    let found = browser.eval_async(
        "const done = arguments[arguments.length - 1];
         axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] })
           .then((r) => done(r.violations.map((v) => `${v.id}: ${v.nodes[0].html} ${v.nodes[0].failureSummary}`)), (e) => done([String(e)]))",
    );
    found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Nothing is cut off at the sides at any width. 737 is the narrowest width with the views in the bar, and German
/// words are longer.
pub fn every_width(driver: &Driver) {
    let (_ada, me) = peers();
    let browser = driver.browser();
    browser.open(&me.page());
    browser.wait("document.querySelectorAll('game-card').length === 2");
    for language in ["en", "de"] {
        me.post("settings", &json!({ "language": language }));
        browser.wait(&format!("document.documentElement.lang === {}", json!(language)));
        for width in [360, 737, 768, 1025, 3840] {
            browser.resize(width, 900);
            for (view, sign) in VIEWS {
                show(&browser, view, sign);
                let beyond = browser.eval(
                    "const wide = document.documentElement.clientWidth;
                     return [...document.querySelectorAll('body *')].filter((e) => {
                       const box = e.getBoundingClientRect();
                       const scrolls = e.closest('.chips, pre, .folders, .skip, .unseen, svg, .log');
                       return box.width > 0 && !scrolls && (box.right > wide + 1 || box.left < -1);
                     }).map((e) => e.outerHTML.slice(0, 120))",
                );
                assert_eq!(beyond, json!([]), "{view} at {width} in {language}");
            }
        }
    }
}

/// A user who wants no motion sees none.
pub fn without_motion(driver: &Driver) {
    let ada = Peer::run("ada", &["--upload-limit", "3M"], |games| game(games, "big", VERSION, 9_000_000));
    let me = Peer::run("me", &[], |_| {});
    me.meet(&ada);
    let browser = driver.browser();
    browser.open(&me.page());
    browser.click("game-card a");
    browser.click(".actions .primary");
    browser.wait("document.querySelector('swarm-picture line')");
    let moving = |browser: &Browser| -> Value {
        browser.eval("return document.getAnimations().filter((a) => a.playState === 'running').length")
    };
    assert_ne!(moving(&browser), json!(0), "there is motion to be without");
    browser.prefer(&[("prefers-reduced-motion", "reduce")]);
    assert_eq!(moving(&browser), json!(0));
}
