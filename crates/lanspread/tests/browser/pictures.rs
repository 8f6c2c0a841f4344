//! Makes the documents' pictures for `just page-pictures`: the views, and the dialogs.

use std::path::Path;

use serde_json::json;

use crate::cases::{click_step, opened, wait_step};
use crate::driver::{Browser, Driver};
use crate::lab::{Peer, VERSION, game_with};
use crate::scenes::DIALOGS;

/// Twice the pixels, so that the text stays legible where a document shows the picture small.
const SCALE: f64 = 2.0;
const WIDTH: u32 = 800;
const HEIGHT: u32 = 560;
/// Size of the pictures of whole views.
const VIEW: (u32, u32) = (1280, 800);
const PHONE: (u32, u32) = (390, 780);
const QUALITY: u32 = 70;
/// Largest picture, in bytes.
const BYTES_MAX: usize = 150_000;

/// Free games that the pictures show, with made-up sizes in bytes.
const GAMES: [(&str, &str, usize); 14] = [
    ("openarena", "OpenArena", 2_400_000),
    ("xonotic", "Xonotic", 9_000_000),
    ("0ad", "0 A.D.", 6_100_000),
    ("supertuxkart", "SuperTuxKart", 3_700_000),
    ("warzone2100", "Warzone 2100", 1_900_000),
    ("teeworlds", "Teeworlds", 900_000),
    ("hedgewars", "Hedgewars", 1_400_000),
    ("wesnoth", "The Battle for Wesnoth", 2_800_000),
    ("assaultcube", "AssaultCube", 1_100_000),
    ("armagetron", "Armagetron Advanced", 700_000),
    ("openttd", "OpenTTD", 1_300_000),
    ("unvanquished", "Unvanquished", 4_400_000),
    ("freeciv", "Freeciv", 1_600_000),
    ("redeclipse", "Red Eclipse", 3_100_000),
];

/// Writes `NAME-dark.webp` and `NAME-light.webp` for each dialog, and one picture for each view.
pub fn draw(driver: &Driver, folder: &Path) {
    views(driver, folder);
    for make in DIALOGS {
        let scene = make(driver);
        let browser = &scene.browser;
        for scheme in ["dark", "light"] {
            let name = format!("dialog-{}-{scheme}", scene.name);
            take(browser, folder, &name, scheme, (WIDTH, HEIGHT), SCALE);
        }
    }
}

fn take(browser: &Browser, folder: &Path, name: &str, scheme: &str, size: (u32, u32), scale: f64) {
    browser.resize_scaled(size.0, size.1, scale);
    browser.hide_scrollbars();
    // Passing notices do not belong into the picture.
    browser.eval("document.getElementById('toasts').hidden = true; scrollTo(0, 0)");
    browser.prefer(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]);
    let path = folder.join(format!("{name}.webp"));
    let picture = browser.picture(QUALITY);
    assert!(picture.len() <= BYTES_MAX, "{name} has {} bytes", picture.len());
    std::fs::write(&path, &picture).unwrap();
    println!("{}: {} bytes", path.display(), picture.len());
}

/// Shows a view.
fn show(browser: &Browser, view: &str, sign: &str) {
    browser.eval(&format!("location.hash = {}", json!(format!("#/{view}"))));
    browser.wait(&format!("document.querySelector({})", json!(sign)));
}

fn views(driver: &Driver, folder: &Path) {
    let put = |games: &Path, which: &[(&str, &str, usize)]| {
        for (id, title, bytes) in which {
            game_with(games, id, VERSION, *bytes, &["--title", title]);
        }
    };
    let ada = Peer::run("Ada", &["--upload-limit", "1M"], |games| put(games, &GAMES));
    let bela = Peer::run("Bela", &["--upload-limit", "700K"], |games| put(games, &GAMES[..9]));
    let cleo = Peer::run("Cleo", &[], |games| put(games, &GAMES[4..6]));
    let me = Peer::run("me", &[], |games| put(games, &GAMES[3..8]));
    let browser = opened(driver, &me);
    for other in [&ada, &bela, &cleo] {
        me.meet(other);
    }
    cleo.meet(&ada);
    wait_step(&browser, "xonotic", "get");
    for id in ["supertuxkart", "teeworlds"] {
        wait_step(&browser, id, "install");
        click_step(&browser, id);
        wait_step(&browser, id, "play");
    }
    take(&browser, folder, "library-dark", "dark", VIEW, 1.0);
    take(&browser, folder, "library-light", "light", VIEW, 1.0);
    browser.eval("document.querySelector('.select-games').click()");
    for id in ["0ad", "openarena"] {
        browser
            .eval(&format!("document.querySelector(\"game-card:has(a[href='#/game/{id}']) .pick\").click()"));
    }
    take(&browser, folder, "select", "dark", VIEW, 1.0);
    browser.eval("document.querySelector('.select-games').click()");
    ada.post("want", &json!({ "game_id": "unvanquished" }));
    browser.wait("document.querySelector('#requests .banner')");
    take(&browser, folder, "request", "light", VIEW, 1.0);
    browser.eval("[...document.querySelectorAll('#requests button')].at(-1).click()");
    browser.wait("document.querySelector('#requests').hidden");

    for id in ["xonotic", "0ad"] {
        me.post("download", &json!({ "game_id": id, "install": true }));
        wait_step(&browser, id, "cancel");
    }
    show(&browser, "game/xonotic", "swarm-picture tbody tr:nth-child(2)");
    browser.wait("document.querySelector('.about progress')?.value > 0.2");
    take(&browser, folder, "swarm", "dark", VIEW, 1.0);
    show(&browser, "downloads", "downloads-page .queue game-cover");
    take(&browser, folder, "downloads", "light", VIEW, 1.0);
    show(&browser, "room", "room-page .ready .people li");
    browser.wait("document.querySelectorAll('.peer').length === 4");
    take(&browser, folder, "room", "dark", VIEW, 1.0);
    show(&browser, "settings", "settings-page .catalog");
    take(&browser, folder, "settings", "light", VIEW, 1.0);
    show(&browser, "", "game-card");
    take(&browser, folder, "phone", "dark", PHONE, SCALE);
}
