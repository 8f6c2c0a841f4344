//! What the page does for those who use it every day: keys, colours, the tab's title, notices, the log.

use serde_json::json;

use crate::cases::{Case, card, click_step, ended_well, opened, wait_step, wait_until};
use crate::driver::{Browser, Driver, key};
use crate::lab::{Peer, VERSION, game, game_with, program, tiny_game, wait_for_file};
use crate::peer_settings::{press_button, settings};

pub const CASES: &[Case] = &[
    ("an empty library says what can be done about it", empty_library),
    ("a question mark shows the keys", keys),
    ("the colours are the system's, or those that were chosen", colours),
    ("the tab's title says how far a download is", tab_title),
    ("somebody who looks elsewhere is told that a download is done", notices),
    ("a running game is not started again, and says that it runs", running),
    ("the log is searched and saved", log),
    ("a dropped folder leads to adding a game", dropped),
];

fn empty_library(driver: &Driver) {
    let me = Peer::run("me", &[], |_| {});
    let browser = opened(driver, &me);
    browser.wait("document.querySelectorAll('game-library .empty button').length === 3");
    press_button(&browser, "game-library .empty", "Add a game");
    browser.wait("document.querySelector('dialog [name=folder]')");
    browser.press([key::ESCAPE]);
    browser.wait("!document.querySelector('dialog')");
    press_button(&browser, "game-library .empty", "Why is the room empty");
    browser.wait("document.querySelector('dialog .checks')");
    browser.press([key::ESCAPE]);
    browser.wait("!document.querySelector('dialog')");
    press_button(&browser, "game-library .empty", "Connect");
    browser.wait("document.activeElement.name === 'addr'");
    browser.click("nav a[data-path='']");
    browser.wait("document.querySelector('game-library .empty button')?.checkVisibility()");
    tiny_game(&me.games(), "found");
    wait_step(&browser, "found", "install");
    ended_well(&browser);
}

fn keys(driver: &Driver) {
    let me = Peer::run("me", &[], |games| tiny_game(games, "one"));
    let browser = opened(driver, &me);
    wait_step(&browser, "one", "install");
    browser.press(['?']);
    browser.wait_text("dialog .keys", "Search");
    browser.press([key::ESCAPE]);
    browser.wait("!document.querySelector('dialog')");
    // Somebody who types means the sign.
    browser.press(['/']);
    browser.wait("document.activeElement.type === 'search'");
    browser.press(['?']);
    browser.wait("document.querySelector('input[type=search]').value === '?'");
    assert_eq!(browser.eval("return document.querySelector('dialog')"), json!(null));
    ended_well(&browser);
}

fn colours(driver: &Driver) {
    let me = Peer::run("me", &[], |games| tiny_game(games, "one"));
    let browser = opened(driver, &me);
    let background =
        |browser: &Browser| browser.eval("return getComputedStyle(document.body).backgroundColor");
    let mut shown = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(&[("prefers-color-scheme", scheme)]);
        shown.push(background(&browser));
    }
    assert_ne!(shown[0], shown[1]);
    settings(&browser);
    for (chosen, expected) in [("light", &shown[0]), ("dark", &shown[1]), ("auto", &shown[1])] {
        browser.click(&format!("[name=theme] option[value={chosen}]"));
        assert_eq!(background(&browser), *expected, "{chosen} on a dark system");
    }
    browser.click("[name=theme] option[value=light]");
    browser.open(&me.address());
    browser.wait("document.querySelector('game-card')");
    assert_eq!(background(&browser), shown[0], "the browser remembers it");
    ended_well(&browser);
}

fn tab_title(driver: &Driver) {
    let ada = Peer::run("ada", &[], |games| {
        game_with(games, "big", VERSION, 9_000_000, &["--title", "Great Game"]);
    });
    let me = Peer::run("me", &["--download-limit", "600K"], |_| {});
    me.meet(&ada);
    let browser = opened(driver, &me);
    wait_step(&browser, "big", "get");
    assert_eq!(browser.eval("return document.title"), "lanspread");
    click_step(&browser, "big");
    browser.wait("/^[1-9]\\d?\\s?% · .+ – lanspread$/.test(document.title)");
    click_step(&browser, "big");
    browser.wait("document.title === 'lanspread'");
    ended_well(&browser);
}

fn notices(driver: &Driver) {
    let ada = Peer::run("ada", &[], |games| {
        game(games, "one", VERSION, 1000);
        game(games, "two", VERSION, 1000);
    });
    let me = Peer::run("me", &[], |_| {});
    me.meet(&ada);
    let browser = opened(driver, &me);
    browser.allow_notices();
    // What the system is given cannot be seen from here, so the browser's own constructor is listened to.
    browser.eval(
        "window.told = [];
         window.Notification = class extends Notification {
           constructor(title, options) { super(title, options); told.push(options.body); }
         };
         window.away = true;
         Object.defineProperty(document, 'hidden', { get: () => away });",
    );
    let told = |browser: &Browser| browser.eval("return told.join()").as_str().unwrap_or_default().to_owned();
    wait_step(&browser, "one", "get");
    click_step(&browser, "one");
    wait_step(&browser, "one", "play");
    assert_eq!(told(&browser), "", "nobody asked for it");
    settings(&browser);
    browser.click("[name=notices]");
    browser.wait("document.querySelector('[name=notices]').checked");
    browser.click("nav a[data-path='']");
    wait_step(&browser, "two", "get");
    click_step(&browser, "two");
    wait_step(&browser, "two", "play");
    browser.wait("told.some((text) => text.includes('two: Installed'))");
    assert!(!told(&browser).contains("joined"));
    ended_well(&browser);
}

fn running(driver: &Driver) {
    let me = Peer::run("me", &[], |games| {
        let folder = games.parent().unwrap().display();
        let wait = wait_for_file(&format!("{folder}/stop"));
        let script = format!("#!/bin/sh\necho ran >> {folder}/ran\n{wait}");
        program(games, "mine", &script);
    });
    let ran = || std::fs::read_to_string(me.folder().join("ran")).unwrap_or_default().lines().count();
    let browser = opened(driver, &me);
    wait_step(&browser, "mine", "install");
    click_step(&browser, "mine");
    wait_step(&browser, "mine", "play");
    click_step(&browser, "mine");
    browser.click("dialog .danger");
    wait_step(&browser, "mine", "running");
    browser.wait_text(&format!("{} .badge", card("mine")), "Running");
    wait_until("it runs", || ran() == 1);
    // Another page, and longer than clicks are taken for impatience.
    std::thread::sleep(std::time::Duration::from_secs(6));
    browser.open(&me.address());
    wait_step(&browser, "mine", "running");
    browser.eval("document.querySelector('game-card .step').click()");
    let refused = me.refusal("play", &json!({ "game_id": "mine", "launch": true }));
    assert_eq!(refused["code"], "operation-in-progress");
    assert_eq!(ran(), 1);
    std::fs::write(me.folder().join("stop"), "").unwrap();
    wait_step(&browser, "mine", "play");
    click_step(&browser, "mine");
    wait_until("it runs again", || ran() == 2);
    ended_well(&browser);
}

fn log(driver: &Driver) {
    let me = Peer::run("me", &[], |games| {
        game(games, "one", VERSION, 1000);
        game(games, "two", VERSION, 1000);
    });
    let browser = opened(driver, &me);
    for id in ["one", "two"] {
        wait_step(&browser, id, "install");
        click_step(&browser, id);
        wait_step(&browser, id, "play");
    }
    settings(&browser);
    press_button(&browser, "settings-page", "Activity log");
    browser.wait_text("dialog .log li", "one Installed.");
    browser.wait_text("dialog .log li", "two Installed.");
    browser.fill("dialog [name=filter]", "two installed");
    browser.wait("document.querySelectorAll('dialog .log li').length === 1");
    browser.eval(
        "window.saved = '';
         const make = URL.createObjectURL;
         URL.createObjectURL = (blob) => { blob.text().then((text) => { saved = text; }); return make(blob); };",
    );
    press_button(&browser, "dialog", "Save as a file");
    browser.wait("saved.endsWith('\\n')");
    let saved = browser.eval("return saved.trim().split('\\n').map((line) => JSON.parse(line).event)");
    assert_eq!(saved, json!([{ "event": "install-finished", "game_id": "two" }]));
    ended_well(&browser);
}

fn dropped(driver: &Driver) {
    let me = Peer::run("me", &[], |games| tiny_game(games, "one"));
    let browser = opened(driver, &me);
    wait_step(&browser, "one", "install");
    let taken = browser.eval(
        "const data = new DataTransfer();
         data.items.add(new File(['x'], 'game.exe'));
         const drop = new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true });
         return !document.body.dispatchEvent(drop)",
    );
    assert_eq!(taken, true, "the browser would leave the page for the file");
    browser.wait("document.querySelector('dialog [name=folder]')");
    browser.wait_text("#toasts", "choose it here");
    ended_well(&browser);
}
