//! Dialogs and messages that the page shows only after an event, each with the peers that cause it: for the
//! documents' pictures and the WCAG rules.

use std::fs;

use crate::cases::{click_step, opened, wait_step};
use crate::driver::{Browser, Driver};
use crate::lab::{Peer, VERSION, bomb, game_with, pack};
use crate::peer_settings;

/// A browser that shows the dialog or message, and the peers behind it.
pub struct Scene {
    pub name: &'static str,
    pub browser: Browser,
    _peers: Vec<Peer>,
}

/// Makes one scene.
pub type Make = fn(&Driver) -> Scene;

/// The dialogs.
pub const DIALOGS: [Make; 4] = [replace, first_start, organiser, unpack];

const TITLE: [&str; 2] = ["--title", "Great Game of Old"];

/// A browser that shows a game's page.
fn on_page_of(driver: &Driver, me: &Peer, game: &str, step: &str) -> Browser {
    let browser = opened(driver, me);
    wait_step(&browser, game, step);
    browser.eval(&format!("location.hash = '#/game/{game}'"));
    browser.wait_text("game-page h1", TITLE[1]);
    browser
}

fn replace(driver: &Driver) -> Scene {
    let eve = Peer::run("Eve", &[], |games| game_with(games, "ggoo", "20260202", 900_000, &TITLE));
    let me = Peer::run("me", &[], |games| game_with(games, "ggoo", VERSION, 800_000, &TITLE));
    me.meet(&eve);
    let browser = on_page_of(driver, &me, "ggoo", "update");
    browser.click(".actions .primary");
    browser.wait_text("dialog h2", "Replace");
    Scene { name: "replace", browser, _peers: vec![eve, me] }
}

fn first_start(driver: &Driver) -> Scene {
    let args = ["--title", TITLE[1], "--start", "go.sh", "--start-arg=-windowed"];
    let eve = Peer::run("Eve", &[], |games| {
        pack(games, ("go.sh", b"#!/bin/sh\n"), ("ggoo", VERSION), &args);
    });
    let me = Peer::run("me", &[], |_| {});
    me.meet(&eve);
    let browser = opened(driver, &me);
    wait_step(&browser, "ggoo", "get");
    click_step(&browser, "ggoo");
    wait_step(&browser, "ggoo", "play");
    browser.eval("location.hash = '#/game/ggoo'");
    browser.click(".actions .primary[data-step=play]");
    browser.wait_text("dialog h2", "for the first time");
    Scene { name: "first-start", browser, _peers: vec![eve, me] }
}

fn organiser(driver: &Driver) -> Scene {
    let (bela, _) = peer_settings::trusted_party();
    let me = Peer::run("me", &[], |_| {});
    let browser = opened(driver, &me);
    me.meet(&bela);
    browser.wait_text("dialog .organiser b", "Friday");
    Scene { name: "organiser", browser, _peers: vec![bela, me] }
}

fn unpack(driver: &Driver) -> Scene {
    let me = Peer::run("me", &[], |games| {
        bomb(games, "zero");
        fs::write(games.join("zero/lanspread.toml"), format!("title = {:?}", TITLE[1])).unwrap();
    });
    let browser = on_page_of(driver, &me, "zero", "install");
    browser.click(".actions .primary");
    browser.wait_text("dialog h2", "anyway");
    Scene { name: "unpack", browser, _peers: vec![me] }
}

/// The settings with a refused passphrase.
pub fn weak_pass_phrase(driver: &Driver) -> Scene {
    let me = Peer::run("me", &[], |_| {});
    let browser = opened(driver, &me);
    peer_settings::refused_phrase(&browser);
    Scene { name: "weak-pass-phrase", browser, _peers: vec![me] }
}
