//! What people have reported: words that were not true, places that were lost, and buttons that did too much.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cases::{Case, card, click_step, ended_well, opened, wait_step, wait_until};
use crate::driver::{Browser, Driver, key};
use crate::lab::{Peer, VERSION, game, game_with, pack, program, tiny_game, wait_for_file};
use crate::peer_settings::{connect, press_button, settings, trusted_party};

pub const CASES: &[Case] = &[
    ("a stopped program is said to be stopped", stopped),
    ("a wrong passphrase is told to the person who typed it", wrong_phrase),
    ("a catalogue that nobody has brought yet is waited for", awaited_catalog),
    ("an empty catalogue key changes nothing", no_catalog_key),
    ("the room that was just opened calls nobody silent", nobody_silent),
    ("a downloaded game is not called playable", downloaded_is_not_playable),
    ("impatient clicks start a game once", play_once),
    ("an update of a downloaded game does not install it", update_keeps_the_archive),
    ("the mark of the focus is drawn in full", focus_ring),
    ("going back leads to the game and the place that one came from", back_to_the_place),
    ("titles are readable on a laptop", whole_titles),
    ("titles in any script are drawn as they are read", titles_in_any_script),
    ("the dot is green only with somebody there", nobody_there),
    ("a game that returns is shown again", returned),
    ("only what is complete has 100 %", complete_or_not),
    ("sources keep their places", steady_sources),
    ("a streamed game has its title and cover, and starts", streamed_starts),
    ("a cancelled streamed install is not called paused", cancelled_stream),
    ("the preview promises no space that a download refuses", preview),
    ("the page says what sets the speed", what_sets_the_speed),
];

fn text_of(browser: &Browser, css: &str) -> String {
    let said = browser.eval(&format!("return document.querySelector({})?.textContent ?? ''", json!(css)));
    said.as_str().unwrap_or_default().to_owned()
}

fn stopped(driver: &Driver) {
    let mut me = Peer::run("me", &[], |games| tiny_game(games, "one"));
    let browser = opened(driver, &me);
    settings(&browser);
    press_button(&browser, "settings-page", "Stop lanspread");
    browser.click("dialog .danger");
    browser.wait_text("main h1", "lanspread has stopped");
    me.wait();
    browser.wait_text("main h1", "lanspread has stopped");
    assert!(!text_of(&browser, "body").contains("Starting"));
}

fn wrong_phrase(driver: &Driver) {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "correct horse battery").unwrap();
    let args = ["--party", "friday", "--party-secret-file", secret.to_str().unwrap()];
    let ada = Peer::run("ada", &args, |_| {});
    let me = Peer::run("me", &[], |_| {});
    let browser = opened(driver, &me);
    settings(&browser);
    browser.fill("[name=party]", "friday");
    browser.fill("[name=phrase]", "wrong horse battery");
    press_button(&browser, "#party", "Join");
    browser.wait_text("#party p", "closed party friday");
    browser.wait("document.querySelector('.toast')");
    assert_eq!(text_of(&browser, ".toast.good"), "", "nobody has confirmed the passphrase yet");
    connect(&browser, &ada);
    browser.wait_text("room-page [role=alert]", "passphrase of friday is most likely wrong");
    settings(&browser);
    browser.wait_text("#party [role=alert]", "passphrase of friday is most likely wrong");

    press_button(&browser, "#party", "Leave the party");
    browser.wait("document.querySelector('[name=party]')");
    browser.fill("[name=party]", "friday");
    browser.fill("[name=phrase]", "correct horse battery");
    press_button(&browser, "#party", "Join");
    browser.wait_text("#party p", "closed party friday");
    connect(&browser, &ada);
    browser.wait_text(".peer b", "ada");
    browser.wait_text("#toasts .good", "You joined friday");
    assert_eq!(text_of(&browser, "room-page [role=alert]:not([hidden])"), "");
    ended_well(&browser);
}

fn awaited_catalog(driver: &Driver) {
    let (bela, public) = trusted_party();
    let me = Peer::run("me", &[], |_| {});
    let browser = opened(driver, &me);
    settings(&browser);
    browser.fill("[name=catalog_key]", &public);
    press_button(&browser, "#party", "Trust");
    browser.wait_text("#toasts", "Waiting for the organiser’s catalogue");
    assert_eq!(text_of(&browser, ".toast.good"), "", "no catalogue counts yet");
    browser.click("nav a[data-path='']");
    browser.wait_text("game-library .empty", "Waiting for the organiser’s catalogue");
    me.meet(&bela);
    wait_step(&browser, "listed", "get");
    ended_well(&browser);
}

fn no_catalog_key(driver: &Driver) {
    let me = Peer::run("me", &[], |_| {});
    let browser = opened(driver, &me);
    settings(&browser);
    browser.wait_text(".catalog", "all valid games are shown");
    press_button(&browser, "#party", "Trust");
    browser.wait("document.querySelector('[name=catalog_key]')?.matches(':invalid')");
    assert_eq!(text_of(&browser, "#toasts"), "");
    ended_well(&browser);
}

fn nobody_silent(driver: &Driver) {
    let ada = Peer::run("ada", &[], |games| tiny_game(games, "one"));
    let me = Peer::run("me", &[], |_| {});
    me.meet(&ada);
    let browser = opened(driver, &me);
    wait_step(&browser, "one", "get");
    browser.eval(
        "window.silent = 0;
         new MutationObserver(() => { if (document.body.textContent.includes('does not answer')) window.silent += 1; })
           .observe(document.body, { subtree: true, childList: true, characterData: true })",
    );
    for _ in 0..3 {
        browser.click("nav a[data-path=room]");
        browser.wait_text(".ready .ok", "ada");
        browser.click("nav a[data-path='']");
        browser.wait("document.querySelector('game-library')");
    }
    assert_eq!(browser.eval("return window.silent"), json!(0));
    ended_well(&browser);
}

fn downloaded_is_not_playable(driver: &Driver) {
    let me = Peer::run("me", &[], |games| game(games, "mine", VERSION, 1000));
    let browser = opened(driver, &me);
    browser.wait_text(&format!("{} .badge", card("mine")), "Downloaded");
    browser.click("nav a[data-path=room]");
    browser.wait_text(".ready .lead", "1 of 1 have it");
    browser.wait_text(".ready .people", "not installed");
    assert!(!text_of(&browser, "room-page").to_lowercase().contains("ready"));
    browser.click("nav a[data-path='']");
    click_step(&browser, "mine");
    wait_step(&browser, "mine", "play");
    browser.click("nav a[data-path=room]");
    browser.wait_text(".ready .people", "ready to play");
    ended_well(&browser);
}

fn play_once(driver: &Driver) {
    // What the program writes stays out of the game's folder, because other content is asked about anew.
    let me = Peer::run("me", &[], |games| {
        let folder = games.parent().unwrap().display();
        let wait = wait_for_file(&format!("{folder}/stop"));
        let script = format!("#!/bin/sh\necho ran >> {folder}/ran\n{wait}");
        program(games, "mine", &script);
    });
    let stop = me.folder().join("stop");
    let ran = || std::fs::read_to_string(me.folder().join("ran")).unwrap_or_default().lines().count();
    let browser = opened(driver, &me);
    wait_step(&browser, "mine", "install");
    click_step(&browser, "mine");
    wait_step(&browser, "mine", "play");
    // The question before the first start is answered beforehand.
    click_step(&browser, "mine");
    browser.click("dialog .danger");
    wait_until("it runs", || ran() == 1);
    std::fs::write(&stop, "").unwrap();
    // Longer than the page takes further clicks for impatience.
    std::thread::sleep(Duration::from_secs(6));
    std::fs::remove_file(&stop).unwrap();

    for _ in 0..3 {
        browser.eval("document.querySelector('game-card .step').click()");
        std::thread::sleep(Duration::from_millis(700));
    }
    wait_until("it runs again", || ran() > 1);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(ran(), 2, "three more clicks start one more copy");
    std::fs::write(&stop, "").unwrap();
    ended_well(&browser);
}

fn update_keeps_the_archive(driver: &Driver) {
    let ada = Peer::run("ada", &[], |games| game(games, "mine", "20260202", 3_000_000));
    let me = Peer::run("me", &[], |games| game(games, "mine", VERSION, 1_000_000));
    let browser = opened(driver, &me);
    browser.wait_text(&format!("{} .badge", card("mine")), "Downloaded");
    browser.wait_text(&format!("{} .facts", card("mine")), "1 MB");
    me.meet(&ada);
    wait_step(&browser, "mine", "update");
    let facts = format!("{} .facts", card("mine"));
    assert!(!text_of(&browser, &facts).contains("1 MB"), "that is the old version's size");
    browser.click(&format!("{} a", card("mine")));
    browser.wait_text("game-page .factlist", "Size of the update3 MB");
    browser.wait_text("game-page .actions", "Install");
    browser.click(".actions .primary");
    browser.click("dialog .danger");
    wait_until("the new version is here", || me.game("mine")["local_version"] == "20260202");
    browser.wait_text("game-page .badge", "Downloaded");
    browser.wait("document.querySelector('.actions .primary[data-step=install]')");
    assert_eq!(me.game("mine")["installed"], false, "what was only downloaded stays only downloaded");
    ended_well(&browser);
}

/// A card clips what it draws outside its box, so the mark must fit into it.
fn focus_ring(driver: &Driver) {
    let me = Peer::run("me", &[], |games| tiny_game(games, "one"));
    let browser = opened(driver, &me);
    wait_step(&browser, "one", "install");
    browser.eval("document.querySelector('game-card .cover').focus()");
    browser.press([key::HOME]);
    for density in ["large", "small", "list"] {
        browser.eval(&format!("document.querySelector('game-library').dataset.density = '{density}'"));
        let room = browser.eval(
            "const cover = document.activeElement;
             const [inner, outer] = [cover, cover.closest('game-card')].map((e) => e.getBoundingClientRect());
             const style = getComputedStyle(cover);
             const ring = parseFloat(style.outlineWidth) + parseFloat(style.outlineOffset);
             return [style.outlineStyle, Math.min(inner.left - outer.left, inner.top - outer.top, outer.right - inner.right) - ring]",
        );
        assert_eq!(room[0], "solid", "{density}");
        assert!(room[1].as_f64().is_some_and(|room| room >= 0.0), "{density}: {room}");
    }
    ended_well(&browser);
}

fn back_to_the_place(driver: &Driver) {
    let me = Peer::run("me", &[], |games| (0..1000).for_each(|n| tiny_game(games, &format!("game-{n:04}"))));
    let browser = opened(driver, &me);
    browser.wait("document.querySelectorAll('game-card').length === 1000");
    let link = "document.querySelector(\"a[href='#/game/game-0700']\")";
    browser.eval(&format!("{link}.scrollIntoView({{ block: 'center' }})"));
    browser.wait(&format!("{link}.getBoundingClientRect().top > 0"));
    let place = format!("{link}?.getBoundingClientRect().top ?? -1");
    for back in ["browser", "escape"] {
        browser.eval(&format!("{link}.focus({{ preventScroll: true }})"));
        let before = browser.eval(&format!("return {place}")).as_f64().unwrap();
        browser.press([key::ENTER]);
        browser.wait_text("game-page h1", "game-0700");
        match back {
            "browser" => drop(browser.eval("history.back()")),
            _ => browser.press([key::ESCAPE]),
        }
        browser.wait("document.querySelector('game-library')");
        browser.wait(&format!("Math.abs(({place}) - {before}) < 60"));
        browser.wait(&format!("document.activeElement === {link}"));
    }
    ended_well(&browser);
}

fn whole_titles(driver: &Driver) {
    let titles = ["Command and Conquer: Generals", "Unreal Tournament 2004", "Battlefield 1942"];
    let me = Peer::run("me", &[], |games| {
        for (at, title) in titles.iter().enumerate() {
            game_with(games, &format!("game-{at}"), VERSION, 1000, &["--title", title]);
        }
    });
    let browser = opened(driver, &me);
    browser.resize(1440, 900);
    browser.wait("document.querySelectorAll('game-card .step[data-step=install]').length === 3");
    let cut = browser.eval(
        "return [...document.querySelectorAll('game-card .name')]
           .filter((e) => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight + 1).map((e) => e.textContent)",
    );
    assert_eq!(cut, json!([]));
    ended_well(&browser);
}

fn titles_in_any_script(driver: &Driver) {
    let titles = [
        ("emoji", "🎮🎲 Party Time 🎉"),
        ("right", "لعبة الشبكة 2004"),
        ("accents", "Ünreal"),
        ("signs", "🎮🎲"),
    ];
    let me = Peer::run("me", &[], |games| {
        for (id, title) in titles {
            game_with(games, id, VERSION, 1000, &["--title", title]);
        }
    });
    let browser = opened(driver, &me);
    browser.wait("document.querySelectorAll('game-card .step[data-step=install]').length === 4");
    for (id, initials, direction) in
        [("emoji", "PT", "ltr"), ("right", "لا2", "rtl"), ("accents", "ÜN", "ltr"), ("signs", "", "ltr")]
    {
        assert_eq!(text_of(&browser, &format!("{} .initials", card(id))), initials, "{id}");
        let name = json!(format!("{} .name", card(id)));
        let shown =
            browser.eval(&format!("return getComputedStyle(document.querySelector({name})).direction"));
        assert_eq!(shown, direction, "{id}");
    }
    browser.click(&format!("{} a", card("right")));
    browser.wait("document.querySelector('game-page h1')?.textContent.includes('2004')");
    assert_eq!(
        browser.eval("return getComputedStyle(document.querySelector('game-page h1')).direction"),
        "rtl"
    );
    ended_well(&browser);
}

fn nobody_there(driver: &Driver) {
    let ada = Peer::run("ada", &[], |_| {});
    let me = Peer::run("me", &[], |games| tiny_game(games, "one"));
    let browser = opened(driver, &me);
    wait_step(&browser, "one", "install");
    let dot = "getComputedStyle(document.querySelector('.here'), '::before').backgroundColor";
    let alone = browser.eval(&format!("return {dot}"));
    me.meet(&ada);
    browser.wait_text(".here", "1 other here");
    assert_ne!(browser.eval(&format!("return {dot}")), alone);
    ended_well(&browser);
}

fn returned(driver: &Driver) {
    let mut ada = Peer::run("ada", &[], |games| tiny_game(games, "theirs"));
    let me = Peer::run("me", &[], |_| {});
    me.meet(&ada);
    let browser = opened(driver, &me);
    wait_step(&browser, "theirs", "get");
    browser.click(&format!("{} a", card("theirs")));
    browser.wait_text("game-page h1", "theirs");
    ada.kill();
    browser.wait_text("game-page > .empty:not([hidden])", "no longer available");
    ada.start();
    ada.meet(&me);
    browser.wait_text("game-page .badge", "1 has it");
    browser.wait("document.querySelector('.actions .primary')?.checkVisibility()");
    browser.wait("![...document.querySelectorAll('game-page h2')].some((e) => e.checkVisibility() && e.textContent.includes('any more'))");
    ended_well(&browser);
}

fn complete_or_not(driver: &Driver) {
    let me = Peer::run("me", &[], |_| {});
    let browser = opened(driver, &me);
    browser.wait("document.querySelector('game-library')");
    let shown = browser.eval_async(
        "const done = arguments[arguments.length - 1];
         import('/model/format.js').then(({ percent }) => done([0, 0.29, 0.5, 0.996, 0.99999, 1].map(percent)))",
    );
    assert_eq!(shown, json!(["0%", "29%", "50%", "99%", "99%", "100%"]));
}

fn steady_sources(driver: &Driver) {
    let me = Peer::run("me", &[], |_| {});
    let browser = opened(driver, &me);
    browser.wait("document.querySelector('game-library')");
    let rows = |ada: u64, bela: u64| -> Value {
        browser.eval_async(&format!(
            "const done = arguments[arguments.length - 1];
             const source = (name, bytes) => ({{ peer_id: name, name, bytes, chunks_has: 1, bytes_per_second: 1 }});
             import('/widgets/swarm-picture.js').then(() => {{
               const picture = document.createElement('swarm-picture');
               picture.show({{ chunks_had: 1, chunks_total: 2, copies: 1, sources: [source('bela', {bela}), source('ada', {ada})] }});
               done([...picture.querySelectorAll('tbody th')].map((e) => e.textContent));
             }})"
        ))
    };
    assert_eq!(rows(10, 20), json!(["ada", "bela"]));
    assert_eq!(rows(20, 10), json!(["ada", "bela"]));
}

/// A picture of one pixel.
const PNG: &[u8] = b"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU\x00\x00\x00\x0aIDATx\x9cc`\x00\x00\x00\x02\x00\x01H\xaf\xa4q\x00\x00\x00\x00IEND\xaeB`\x82";

fn streamed_starts(driver: &Driver) {
    let ada = Peer::run("ada", &[], |games| {
        let cover = games.parent().unwrap().join("picture.png");
        std::fs::write(&cover, PNG).unwrap();
        let folder = games.parent().unwrap().display();
        let script = format!("#!/bin/sh\necho ran >> {folder}/ran\n");
        let args = ["--start", "go.sh", "--title", "Great Game", "--cover", cover.to_str().unwrap()];
        pack(games, ("go.sh", script.as_bytes()), ("one", VERSION), &args);
    });
    let me = Peer::run("me", &[], |_| {});
    me.meet(&ada);
    let browser = opened(driver, &me);
    wait_step(&browser, "one", "get");
    browser.click(&format!("{} a", card("one")));
    browser.click("[data-step=stream-install]");
    browser.wait("document.querySelector('.actions .primary[data-step=play]')");
    assert_eq!(me.game("one")["downloaded"], false);
    browser.wait_text("game-page h1", "Great Game");
    browser.wait("document.querySelector('game-page game-cover img')?.naturalWidth === 1");
    browser.click(".actions .primary");
    browser.click("dialog .danger");
    wait_until("it runs", || ada.folder().join("ran").exists());

    browser.click("[data-step=uninstall]");
    browser.wait_text("dialog p", "Nothing of it is left on this PC");
    browser.click("dialog .danger");
    browser.wait("document.querySelector('.actions .primary[data-step=get]')");
    assert!(!me.games().join("one").exists() && !me.games().join(".lanspread/streamed/one").exists());
    ended_well(&browser);
}

fn cancelled_stream(driver: &Driver) {
    let ada = Peer::run("ada", &[], |games| game(games, "big", VERSION, 9_000_000));
    let me = Peer::run("me", &["--download-limit", "600K"], |_| {});
    me.meet(&ada);
    let browser = opened(driver, &me);
    wait_step(&browser, "big", "get");
    browser.click(&format!("{} a", card("big")));
    browser.click("[data-step=stream-install]");
    browser.wait_text(".actions .primary", "Cancel");
    browser.wait("document.querySelector('.about progress')?.value > 0.05");
    browser.click(".actions .primary");
    browser.wait_text("#toasts", "Cancelled. Nothing of it was kept.");
    browser.wait_text("game-page .log", "Cancelled. Nothing of it was kept.");
    assert!(!text_of(&browser, "body").contains("Paused"));

    browser.click(".actions .primary[data-step=get]");
    browser.wait_text(".actions .primary", "Pause");
    browser.click(".actions .primary");
    browser.wait_text("#toasts", "Paused. Progress is kept.");
    ended_well(&browser);
}

fn preview(driver: &Driver) {
    let ada = Peer::run("ada", &[], |games| game(games, "big", VERSION, 9_000_000));
    let me = Peer::run("me", &[], |_| {});
    me.meet(&ada);
    let disk = me.get("snapshot")["room"]["disk"].clone();
    assert_eq!(disk["reserve_bytes"], 64 << 20, "what a download leaves free");
    let browser = opened(driver, &me);
    wait_step(&browser, "big", "get");
    browser.click(&format!("{} a", card("big")));
    browser.wait_text("game-page .factlist", "Needs9 MB download + at least 9 MB unpacked + ");
    let with_free = |free: u64| {
        browser.eval_async(&format!(
            "const done = arguments[0];
             import('/model/state.js').then(({{ state }}) => {{
               state.disk = {{ free_bytes: {free}, total_bytes: 9e9, reserve_bytes: 67108864, unpack_reserve_bytes: 1e6 }};
               state.dispatchEvent(new CustomEvent('change', {{ detail: {{ status: true, games: new Set() }} }}));
               done(document.querySelector('game-page .factlist').textContent);
             }})"
        ))
    };
    // 9 MB fit, and 18 MB fit, but not beside what stays free.
    let said = with_free(62_900_000);
    assert!(said.as_str().unwrap().contains("Disk space62.9 MB free, 22.2 MB more needed"), "{said}");
    let said = with_free(100_000_000);
    assert!(said.as_str().unwrap().contains("Disk space100 MB free, then 82 MB"), "{said}");
    ended_well(&browser);
}

fn what_sets_the_speed(driver: &Driver) {
    let ada = Peer::run("ada", &["--upload-limit", "300K"], |games| game(games, "big", VERSION, 9_000_000));
    let me = Peer::run("me", &[], |_| {});
    me.meet(&ada);
    let browser = opened(driver, &me);
    wait_step(&browser, "big", "get");
    browser.click(&format!("{} a", card("big")));
    browser.click(".actions .primary");
    browser.wait_text("game-page .note", "The sources or the network set the speed");
    me.post("limits", &json!({ "upload": null, "download": 100_000 }));
    browser.wait_text("game-page .note", "Your own download limit (100 kB/s) sets the speed");
    ended_well(&browser);
}
