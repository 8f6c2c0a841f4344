//! What concerns several games or several people at once: requests, and games chosen together.

use serde_json::json;

use crate::cases::{Case, card, click_step, ended_well, opened, wait_step, wait_until};
use crate::driver::{Browser, Driver};
use crate::lab::{Peer, VERSION, game, game_with, tiny_game};
use crate::peer_settings::press_button;

pub const CASES: &[Case] = &[
    ("a request stays as a banner until it is answered", request_banner),
    ("requests of one peer do not push out those of others", bounded_requests),
    ("several games are downloaded and paused together", chosen_together),
    ("all downloads are paused and resumed at once", all_at_once),
];

/// Text of all banners.
fn banners(browser: &Browser) -> String {
    let said = browser.eval("return document.getElementById('requests').innerText");
    said.as_str().unwrap_or_default().to_owned()
}

fn ask_for(peer: &Peer, game: &str) {
    peer.post("want", &json!({ "game_id": game }));
}

fn request_banner(driver: &Driver) {
    let ada = Peer::run("Ada", &[], |games| {
        game_with(games, "one", VERSION, 1000, &["--title", "Great Game"]);
        game(games, "two", VERSION, 1000);
    });
    let me = Peer::run("me", &[], |_| {});
    me.meet(&ada);
    let browser = opened(driver, &me);
    wait_step(&browser, "one", "get");
    assert_eq!(banners(&browser), "");
    ask_for(&ada, "one");
    ask_for(&ada, "two");
    browser.wait_text("#requests [data-game=one]", "Ada asks everyone to download");
    browser.wait_text("#requests [data-game=two]", "Ada asks everyone to download two");
    assert_eq!(browser.eval("return document.querySelector('#toasts').textContent"), "");
    // Longer than passing words stay; the page is another one, and in another view.
    std::thread::sleep(std::time::Duration::from_secs(7));
    browser.open(&format!("{}#/settings", me.address()));
    browser.wait_text("#requests [data-game=one]", "Ada asks everyone to download");

    press_button(&browser, "#requests [data-game=two]", "Not now");
    browser.wait("!document.querySelector('#requests [data-game=two]')");
    browser.open(&me.address());
    browser.wait("document.querySelector('#requests [data-game=one]')");
    assert!(!banners(&browser).contains("two"), "it was answered");
    press_button(&browser, "#requests [data-game=one]", "Download");
    wait_step(&browser, "one", "play");
    browser.wait("document.querySelector('#requests').hidden");
    ended_well(&browser);
}

fn bounded_requests(driver: &Driver) {
    let ada = Peer::run("ada", &[], |games| tiny_game(games, "hers"));
    let eve = Peer::run("eve", &[], |games| (0..6).for_each(|n| tiny_game(games, &format!("many-{n}"))));
    let me = Peer::run("me", &[], |_| {});
    me.meet(&ada);
    me.meet(&eve);
    let browser = opened(driver, &me);
    browser.wait("document.querySelectorAll('.step[data-step=get]').length === 7");
    ask_for(&ada, "hers");
    browser.wait("document.querySelector('#requests [data-game=hers]')");
    for n in 0..6 {
        ask_for(&eve, &format!("many-{n}"));
    }
    browser.wait("document.querySelector('#requests [data-game=many-5]')");
    browser.wait("document.querySelector('#requests [data-game=hers]')");
    assert_eq!(browser.eval("return document.querySelectorAll('#requests .banner').length"), 3);
    // What nobody has cannot be downloaded, so nothing is asked.
    drop(eve);
    browser.wait("document.querySelectorAll('#requests .banner').length === 1");
    ended_well(&browser);
}

fn pick(browser: &Browser, id: &str) {
    browser.click(&format!("{} .pick", card(id)));
}

fn chosen_together(driver: &Driver) {
    let ids = ["alpha", "beta", "gamma"];
    let ada = Peer::run("ada", &[], |games| {
        ids.iter().for_each(|id| game_with(games, id, VERSION, 9_000_000, &[]));
    });
    let me = Peer::run("me", &["--download-limit", "300K"], |_| {});
    me.meet(&ada);
    let browser = opened(driver, &me);
    browser.wait("document.querySelectorAll('.step[data-step=get]').length === 3");
    assert_eq!(browser.eval("return document.querySelector('.pick').checkVisibility()"), false);
    press_button(&browser, ".tools", "Select");
    pick(&browser, "alpha");
    pick(&browser, "gamma");
    browser.wait_text(".picked", "2 games selected · 18 MB to download");
    press_button(&browser, ".picked", "Download all");
    for id in ["alpha", "gamma"] {
        wait_step(&browser, id, "cancel");
    }
    wait_step(&browser, "beta", "get");
    assert_eq!(browser.eval("return document.querySelector('.picked').hidden"), true);

    press_button(&browser, ".tools", "Select");
    press_button(&browser, ".picked", "Select all");
    browser.wait_text(".picked", "3 games selected");
    press_button(&browser, ".picked", "Pause all");
    for id in ids {
        wait_step(&browser, id, "get");
    }
    let unfinished = || me.get("snapshot")["room"]["unfinished"].clone();
    wait_until("both are paused", || {
        let all = unfinished();
        all.as_array().unwrap().len() == 2
            && all.as_array().unwrap().iter().all(|one| one["state"] == "paused")
    });
    ended_well(&browser);
}

fn all_at_once(driver: &Driver) {
    let ids = ["alpha", "beta"];
    let ada = Peer::run("ada", &[], |games| {
        ids.iter().for_each(|id| game_with(games, id, VERSION, 9_000_000, &[]));
    });
    let me = Peer::run("me", &["--download-limit", "300K"], |_| {});
    me.meet(&ada);
    let browser = opened(driver, &me);
    for id in ids {
        wait_step(&browser, id, "get");
        click_step(&browser, id);
    }
    browser.click("nav a[data-path=downloads]");
    press_button(&browser, "downloads-page", "Pause all");
    browser.wait("document.querySelectorAll('[data-state=paused]').length === 2");
    press_button(&browser, "downloads-page", "Resume all");
    browser.wait("document.querySelectorAll('downloads-page .queue game-cover').length === 2");
    browser.wait("!document.querySelector('[data-state=paused]')");
    ended_well(&browser);
}
