//! What people do with the page; each case has real peers and a browser of its own.

use std::time::Duration;

use serde_json::json;

use crate::access;
use crate::driver::{Browser, Driver, key};
use crate::lab::{Peer, VERSION, game, tiny_game};

pub type Case = (&'static str, fn(&Driver));

pub const CASES: &[Case] = &[
    ("the first run asks for a folder and a name, and nothing else", first_run),
    ("a game comes from two peers, with progress, and is installed", get_from_two),
    ("a cancelled download keeps its chunks and goes on", cancel_and_go_on),
    ("unfinished downloads outlive the program, and go on by themselves", unfinished_last),
    ("install, uninstall, remove", install_and_back),
    ("an update replaces the older version", update),
    ("a peer that leaves in mid-transfer is waited for", peer_leaves),
    ("a thousand games are searched and filtered", thousand_games),
    ("without the token there is nothing to see", token_refused),
    ("the keyboard is enough", keyboard_only),
    ("settings hold, and the page speaks German", settings),
    ("a folder becomes a game", add_a_game),
    ("the room says who is here and who has a game", room),
    ("the room says who is not let in, and why", other_party),
    ("a page that lost its peer says so, and comes back", lost_and_found),
    ("nothing is cut off, from a phone to 4K", access::every_width),
    ("who wants no motion sees none", access::without_motion),
];

/// Slow enough that even a browser short of processor time sees the download in progress; [`full_speed`] lifts the
/// limit.
const SLOW: [&str; 2] = ["--download-limit", "600K"];
const LARGE: usize = 9_000_000;

/// Lifts the limits once the slow part has been seen.
fn full_speed(me: &Peer) {
    me.post("limits", &json!({ "upload": null, "download": null }));
}

pub fn opened(driver: &Driver, peer: &Peer) -> Browser {
    let browser = driver.browser();
    browser.open(&peer.page());
    browser
}

/// Selector of a game's card.
pub fn card(id: &str) -> String {
    format!("game-card:has(a[href='#/game/{id}'])")
}

pub fn wait_step(browser: &Browser, id: &str, step: &str) {
    browser
        .wait(&format!("document.querySelector({})", json!(format!("{} .step[data-step={step}]", card(id)))));
}

pub fn click_step(browser: &Browser, id: &str) {
    browser.click(&format!("{} .step", card(id)));
}

/// Waits for a state of the program itself, not of the page.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(std::time::Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn ended_well(browser: &Browser) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

fn first_run(driver: &Driver) {
    let peer = Peer::newcomer();
    let browser = opened(driver, &peer);
    browser.wait("document.querySelector('first-run')");
    assert_eq!(browser.eval("return location.search"), "", "the token is gone from the address");
    assert_eq!(browser.eval("return document.querySelectorAll('first-run input').length"), 2);
    browser.fill("[name=games_dir]", "not a full path");
    browser.click("first-run [type=submit]");
    browser.wait_text("first-run .trouble", "full path");
    let games = peer.folder().join("my games");
    browser.fill("[name=games_dir]", games.to_str().unwrap());
    browser.fill("[name=name]", "Ada");
    browser.click("first-run [type=submit]");
    browser.wait_text("game-library .empty", "No games here yet");
    assert!(games.is_dir());
    assert_eq!(peer.get("status")["data"]["name"], "Ada");
    tiny_game(&games, "found");
    wait_step(&browser, "found", "install");
    ended_well(&browser);
}

fn get_from_two(driver: &Driver) {
    let seed = |name| Peer::run(name, &[], |games| game(games, "big", VERSION, LARGE));
    let (ada, bela, me) = (seed("ada"), seed("bela"), Peer::run("me", &SLOW, |_| {}));
    me.meet(&ada);
    me.meet(&bela);
    let browser = opened(driver, &me);
    browser.wait_text(&format!("{} .badge", card("big")), "2 have it");
    click_step(&browser, "big");
    browser.wait("document.querySelector('game-card progress')?.value > 0.1");
    browser.wait("document.querySelector('game-card progress')?.value < 0.9");
    browser.click(&format!("{} a", card("big")));
    browser.wait("document.querySelectorAll('swarm-picture tbody tr').length === 2");
    browser.wait_text(".about .facts", "B/s");
    full_speed(&me);
    browser.wait_text("game-page .log", "Installed.");
    let gave = "document.querySelector('game-page .log').textContent.match(/from (ada, bela|bela, ada)/)";
    browser.wait(gave);
    browser.click(".back");
    wait_step(&browser, "big", "play");
    assert!(me.games().join("big/local/data.pak").is_file());
    ended_well(&browser);
}

fn cancel_and_go_on(driver: &Driver) {
    let ada = Peer::run("ada", &[], |games| game(games, "big", VERSION, LARGE));
    let me = Peer::run("me", &SLOW, |_| {});
    me.meet(&ada);
    let browser = opened(driver, &me);
    wait_step(&browser, "big", "get");
    click_step(&browser, "big");
    browser.wait("document.querySelector('game-card progress')?.value > 0.1");
    click_step(&browser, "big");
    wait_step(&browser, "big", "get");
    browser.wait_text("#toasts", "Progress is kept");
    browser.click("nav a[data-path=downloads]");
    browser.wait_text("downloads-page .card", "Unfinished");
    browser.click("downloads-page .queue button:not([hidden])");
    browser.wait_text("downloads-page .queue .facts", "source");
    full_speed(&me);
    browser.click("nav a[data-path='']");
    wait_step(&browser, "big", "play");
    browser.click(&format!("{} a", card("big")));
    browser.wait_text("game-page .log", "were already here");
    ended_well(&browser);
}

fn unfinished_last(driver: &Driver) {
    let mut ada = Peer::run("ada", &[], |games| {
        game(games, "paused", VERSION, LARGE);
        game(games, "cut", VERSION, LARGE);
    });
    let mut me = Peer::run("me", &["--download-limit", "300K"], |_| {});
    me.meet(&ada);
    let browser = opened(driver, &me);
    for id in ["paused", "cut"] {
        wait_step(&browser, id, "get");
        click_step(&browser, id);
        browser.wait(&format!(
            "document.querySelector({})?.value > 0.05",
            json!(format!("{} progress", card(id)))
        ));
    }
    me.post("cancel", &json!({ "game_id": "paused" }));
    browser.wait_text("#toasts", "Progress is kept");
    me.kill();
    // She would come back by herself.
    ada.kill();
    me.start();
    browser.open(&me.page());
    browser.click("nav a[data-path=downloads]");
    browser.wait_text("[data-game=paused] .facts", "Paused");
    browser.wait_text("[data-game=cut] .facts", "Waiting for someone who has the game");
    for id in ["paused", "cut"] {
        browser.wait_text(&format!("[data-game={id}] .facts"), "%");
    }
    ada.start();
    me.meet(&ada);
    browser.wait_text("downloads-page .queue .facts", "source");
    full_speed(&me);
    wait_until("the one that was cut off is downloaded", || me.game("cut")["installed"] == true);
    assert_eq!(me.game("paused")["downloaded"], false, "what was paused waits for its owner");
    let left = me.games().join(".lanspread/incoming/paused");
    assert!(left.exists());
    browser.wait("!document.querySelector('[data-game=cut]')");
    browser.click("[data-game=paused] .discard");
    browser.click("dialog .danger");
    browser.wait("!document.querySelector('[data-game=paused]')");
    assert!(!left.exists(), "nothing of it is left behind");
    ended_well(&browser);
}

fn install_and_back(driver: &Driver) {
    let me = Peer::run("me", &[], |games| game(games, "mine", VERSION, 1000));
    let browser = opened(driver, &me);
    browser.wait_text(&format!("{} .badge", card("mine")), "Downloaded");
    click_step(&browser, "mine");
    wait_step(&browser, "mine", "play");
    assert!(me.games().join("mine/local/data.pak").is_file());
    browser.click(&format!("{} a", card("mine")));
    browser.click("[data-step=uninstall]");
    browser.wait("document.querySelector('dialog')?.open");
    browser.press([key::ESCAPE]);
    browser.wait("!document.querySelector('dialog')");
    assert_eq!(me.game("mine")["installed"], true, "nothing happens without a yes");
    browser.click("[data-step=uninstall]");
    browser.click("dialog .danger");
    browser.wait_text("game-page .badge", "Downloaded");
    assert!(!me.games().join("mine/local").exists());
    browser.click("[data-step=remove]");
    browser.click("dialog .danger");
    browser.wait_text("game-page > .empty:not([hidden])", "no longer available");
    assert_eq!(me.game("mine"), json!(null));
    ended_well(&browser);
}

fn update(driver: &Driver) {
    let ada = Peer::run("ada", &[], |games| game(games, "mine", "20260202", 3000));
    let me = Peer::run("me", &[], |games| game(games, "mine", VERSION, 1000));
    let browser = opened(driver, &me);
    browser.wait_text(&format!("{} .badge", card("mine")), "Downloaded");
    me.meet(&ada);
    wait_step(&browser, "mine", "update");
    browser.wait_text("[data-key=updates] b", "1");
    click_step(&browser, "mine");
    // Only ada has the new version, so the page asks; `trust.rs` tests that question.
    browser.click("dialog .danger");
    wait_until("the new version is here", || me.game("mine")["local_version"] == "20260202");
    browser.wait_text("[data-key=updates] b", "0");
    ended_well(&browser);
}

fn peer_leaves(driver: &Driver) {
    let mut ada = Peer::run("ada", &[], |games| game(games, "big", VERSION, LARGE));
    let me = Peer::run("me", &SLOW, |_| {});
    me.meet(&ada);
    let browser = opened(driver, &me);
    wait_step(&browser, "big", "get");
    browser.click(&format!("{} a", card("big")));
    browser.click(".actions .primary");
    browser.wait("document.querySelector('.about progress')?.value > 0.1");
    ada.kill();
    browser.wait_text("game-page .log", "waiting for one to come back");
    browser.wait_text(".here", "0 others here");
    browser.wait_text("game-page .badge", "Downloading");
    full_speed(&me);
    ada.start();
    // The node dials ada again by itself, but with growing pauses; another test covers that.
    ada.meet(&me);
    browser.wait_text("game-page .log", "Installed.");
    browser.wait_text(".here", "1 other here");
    ended_well(&browser);
}

fn thousand_games(driver: &Driver) {
    let me = Peer::run("me", &[], |games| (0..1000).for_each(|n| tiny_game(games, &format!("game-{n:04}"))));
    let browser = opened(driver, &me);
    browser.wait("document.querySelectorAll('game-card').length === 1000");
    browser.wait_text(".count", "1,000 games");
    browser.fill("input[type=search]", "game-00");
    browser.wait("document.querySelectorAll('game-card').length === 100");
    browser.fill("input[type=search]", "nothing like it");
    browser.wait_text("game-library .empty", "No games found");
    browser.fill("input[type=search]", "0999");
    browser.wait("document.querySelectorAll('game-card').length === 1");
    browser.fill("input[type=search]", "");
    browser.wait("document.querySelectorAll('game-card').length === 1000");
    browser.click("[data-key=room]");
    browser.wait("document.querySelectorAll('game-card').length === 0");
    browser.click("[data-key=downloaded]");
    browser.wait("document.querySelectorAll('game-card').length === 1000");
    ended_well(&browser);
}

fn token_refused(driver: &Driver) {
    let me = Peer::run("me", &[], |games| tiny_game(games, "secret"));
    let browser = driver.browser();
    for address in [me.address(), format!("{}?token=wrong", me.address())] {
        browser.open(&address);
        browser.wait_text("main h1", "link has expired");
        assert_eq!(browser.eval("return document.body.textContent.includes('secret')"), false);
    }
    browser.open(&me.page());
    browser.wait_text("game-card .name", "secret");
}

fn keyboard_only(driver: &Driver) {
    let games = ["alpha", "beta", "gamma"];
    let me = Peer::run("me", &[], |dir| games.iter().for_each(|id| game(dir, id, VERSION, 1000)));
    let browser = opened(driver, &me);
    browser.wait("document.querySelectorAll('.step[data-step=install]').length === 3");
    browser.press(['/']);
    browser.wait("document.activeElement.type === 'search'");
    browser.press("gam".chars());
    browser.wait("document.querySelectorAll('game-card').length === 1");
    let at = |id: &str| format!("document.activeElement.getAttribute('href') === '#/game/{id}'");
    browser.press([key::ESCAPE]);
    browser.wait(&at("gamma"));
    browser.press([key::TAB]);
    browser.wait("document.activeElement.classList.contains('step')");
    browser.press([key::ENTER]);
    wait_step(&browser, "gamma", "play");

    browser.press(['3']);
    browser.wait("document.querySelector('downloads-page')");
    browser.press(['1']);
    browser.wait("document.querySelector('input[type=search]')?.value === 'gam'");
    browser.fill("input[type=search]", "");
    browser.wait("document.querySelectorAll('game-card').length === 3");
    browser.eval("document.activeElement.blur()");
    browser.wait("!document.querySelector('game-library').matches(':focus-within')");
    // Skip link, brand, four views, search, five filters, two choices; then the grid has one stop.
    let in_grid = "Boolean(document.activeElement.closest('game-card'))";
    for _ in 0..20 {
        if browser.eval(&format!("return {in_grid}")) == json!(true) {
            break;
        }
        browser.press([key::TAB]);
    }
    // The focus returns to the game where it was left.
    browser.wait(&at("gamma"));
    browser.press([key::HOME]);
    browser.wait(&at("alpha"));
    browser.press([key::RIGHT]);
    browser.wait(&at("beta"));
    browser.press([key::DOWN]);
    browser.wait(&at("gamma"));
    browser.press([key::ENTER]);
    browser.wait_text("game-page h1", "gamma");
    browser.press([key::ESCAPE]);
    browser.wait("document.querySelector('game-library')");
    ended_well(&browser);
}

fn settings(driver: &Driver) {
    let me = Peer::run("me", &[], |games| tiny_game(games, "one"));
    let browser = opened(driver, &me);
    let catalogues = || {
        let names = "e.name.match(/i18n\\/(.*)\\.json/)?.[1]";
        browser.eval(&format!(
            "return performance.getEntriesByType('resource').map((e) => {names}).filter(Boolean)"
        ))
    };
    browser.click("nav a[data-path=settings]");
    assert_eq!(catalogues(), json!(["en"]));
    browser.click("[name=language] option[value=de]");
    browser.wait_text("nav", "Bibliothek");
    assert_eq!(catalogues(), json!(["en", "de"]));
    browser.open(&me.address());
    browser.wait_text("nav", "Bibliothek");
    assert_eq!(catalogues(), json!(["de"]), "the browser remembers the language");
    browser.click("nav a[data-path=settings]");
    browser.wait("document.documentElement.lang === 'de'");
    browser.fill("[name=name]", "Zoë");
    browser.click(".setting [type=submit]");
    wait_until("the new name holds", || me.get("status")["data"]["name"] == "Zoë");
    browser.wait_text("settings-page h1", "Einstellungen");
    browser.click("nav a[data-path=downloads]");
    browser.fill("[name=upload]", "2.5");
    browser.click("downloads-page form [type=submit]");
    wait_until("the limit holds", || me.get("status")["data"]["limits"]["upload"] == 2_500_000);
    ended_well(&browser);
}

fn add_a_game(driver: &Driver) {
    let me = Peer::run("me", &[], |_| {});
    let source = me.folder().join("Great Game");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("game.exe"), "MZ").unwrap();
    let browser = opened(driver, &me);
    browser.click("nav a[data-path=settings]");
    browser.wait_text("settings-page button", "Add a game");
    browser.eval(
        "[...document.querySelectorAll('button')].find(b => b.textContent.startsWith('Add a game')).click()",
    );
    std::fs::write(me.folder().join("box.png"), b"\x89PNG").unwrap();
    browser.fill("dialog [name=folder]", me.folder().to_str().unwrap());
    browser.click("dialog button[type=button]");
    browser.wait_text(".folders", "Great Game");
    browser.eval(
        "[...document.querySelectorAll('.folders button')].find(b => b.textContent === 'Great Game').click()",
    );
    browser.wait_text(".path", "Great Game");
    browser.click("dialog:last-of-type .primary");
    browser.wait("document.querySelector('dialog [name=id]')?.value === 'great-game'");
    browser.wait("document.querySelector('#programs option')?.value === 'game.exe'");
    browser.fill("dialog [name=start]", "game.exe");
    browser.fill("dialog [name=cover]", me.folder().join("box.png").to_str().unwrap());
    browser.click("dialog [type=submit]");
    browser.wait_text("#toasts", "Great Game is now in the library");
    browser.click("nav a[data-path='']");
    wait_step(&browser, "great-game", "install");
    browser.wait_text("game-card .name", "Great Game");
    let said = std::fs::read_to_string(me.games().join("great-game/lanspread.toml")).unwrap();
    assert!(said.contains("start = \"game.exe\""), "{said}");
    assert!(me.games().join("great-game/cover.png").is_file());
    ended_well(&browser);
}

fn room(driver: &Driver) {
    let ada = Peer::run("ada", &[], |games| tiny_game(games, "one"));
    let me = Peer::run("me", &[], |_| {});
    let browser = opened(driver, &me);
    browser.click("nav a[data-path=room]");
    browser.wait_text(".lead", "Nobody else is here yet");
    let addr = ada.get("status")["data"]["addr"].as_str().unwrap().to_owned();
    browser.fill("[name=addr]", &addr);
    browser.click("room-page [type=submit]");
    browser.wait_text(".peer b", "ada");
    browser.wait_text(".ready", "1 of 2 have it");
    browser.wait_text(".ready .ok", "ada");
    drop(ada);
    browser.wait_text(".lead", "Nobody else is here yet");
    ended_well(&browser);
}

/// Two parties in one house: each sees that the other peer is there, and why it is not let in.
fn other_party(driver: &Driver) {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "tasse kaffee").unwrap();
    let ada = Peer::run("ada", &[], |_| {});
    let secret = secret.path().to_str().unwrap();
    let me = Peer::run("me", &["--party", "friday", "--party-secret-file", secret], |_| {});
    let browser = opened(driver, &me);
    browser.click("nav a[data-path=room]");
    browser.wait_text(".lead", "Nobody else is here yet");
    let addr = ada.get("status")["data"]["addr"].as_str().unwrap().to_owned();
    browser.fill("[name=addr]", &addr);
    browser.click("room-page [type=submit]");
    browser.wait_text("room-page .lacks small", "refused: it is not in a closed party");
    browser.wait_text("room-page .lacks span", &addr);
    ended_well(&browser);
}

fn lost_and_found(driver: &Driver) {
    let mut me = Peer::run("me", &[], |games| tiny_game(games, "one"));
    let browser = opened(driver, &me);
    browser.wait_text("game-card .name", "one");
    me.kill();
    browser.wait_text(".lost", "last known state");
    browser.wait("document.body.classList.contains('stale')");
    tiny_game(&me.games(), "two");
    me.start();
    browser.open(&me.page());
    browser.wait_text("game-card .name", "two");
    browser.wait("!document.body.classList.contains('stale')");
}
