//! Questions that only the owner can answer: before content from a single peer replaces a game here, before a program
//! starts for the first time, and before archives unpack to far more than their size.

use serde_json::json;

use crate::cases::{Case, card, click_step, ended_well, opened, wait_step, wait_until};
use crate::driver::{Browser, Driver, key};
use crate::lab::{BOMB_ARCHIVE_BYTES, Peer, VERSION, bomb, game, program};

pub const CASES: &[Case] = &[
    ("a lone peer's update is asked about, with both versions and its name", replace),
    ("a program from the room is asked about once", first_start),
    ("a lone supplier's name and key can be read on every card", supplier_on_cards),
    ("archives that unpack to far more than they are do so with the owner's word", unpack),
    ("archives that arrive do so, too", unpack_arriving),
];

fn replace(driver: &Driver) {
    let eve = Peer::run("Eve", &[], |games| game(games, "mine", "20260202", 3000));
    let me = Peer::run("me", &[], |games| game(games, "mine", VERSION, 1000));
    let key_of_eve = eve.get("status")["data"]["peer_id"].as_str().unwrap()[..8].to_owned();
    let browser = opened(driver, &me);
    browser.wait_text(&format!("{} .badge", card("mine")), "Downloaded");
    me.meet(&eve);
    wait_step(&browser, "mine", "update");
    let lone = format!("Only from Eve ({key_of_eve}), unconfirmed");
    browser.wait_text(&format!("{} .support", card("mine")), &lone);

    click_step(&browser, "mine");
    browser.wait("document.querySelector('dialog')?.open");
    browser.wait_text("dialog h2", "Replace mine?");
    browser.wait_text("dialog .question", "Jan 1, 2026");
    browser.wait_text("dialog .question", "Feb 2, 2026");
    browser.wait_text("dialog .question", &format!("Eve (key {key_of_eve})"));
    assert_eq!(browser.eval("return document.activeElement.textContent"), "No, keep it as it is");
    browser.press([key::ESCAPE]);
    browser.wait("!document.querySelector('dialog')");
    assert_eq!(me.game("mine")["local_version"], VERSION, "nothing happens without a yes");

    browser.click(&format!("{} a", card("mine")));
    browser.wait_text("game-page .factlist", &lone);
    browser.click(".actions .primary");
    browser.wait("document.querySelector('dialog')?.open");
    // By the keyboard alone: from the button that changes nothing to the button that confirms.
    browser.press([key::TAB, key::ENTER]);
    wait_until("the new version is here", || me.game("mine")["local_version"] == "20260202");
    ended_well(&browser);
}

fn first_start(driver: &Driver) {
    let eve = Peer::run("Eve", &[], |games| program(games, "mine", "#!/bin/sh\necho ran >> ../ran\n"));
    let me = Peer::run("me", &[], |_| {});
    let ran = || std::fs::read_to_string(me.games().join("mine/ran")).unwrap_or_default();
    me.meet(&eve);
    let browser = opened(driver, &me);
    wait_step(&browser, "mine", "get");
    browser.wait_text(&format!("{} .support", card("mine")), "Only from Eve");
    click_step(&browser, "mine");
    wait_step(&browser, "mine", "play");

    click_step(&browser, "mine");
    browser.wait("document.querySelector('dialog')?.open");
    browser.wait_text("dialog h2", "Start mine for the first time?");
    browser.wait_text("dialog .question", "go.sh");
    let name_in_one_line = "const name = document.querySelector('dialog dd').lastChild.previousSibling;
                            const range = document.createRange(); range.selectNode(name);
                            return [name.data, range.getClientRects().length]";
    assert_eq!(browser.eval(name_in_one_line), json!(["go.sh", 1]));
    browser.wait_text("dialog .question", "Eve (key ");
    browser.press([key::ESCAPE]);
    browser.wait("!document.querySelector('dialog')");
    assert_eq!(ran(), "", "nothing runs without a yes");

    click_step(&browser, "mine");
    browser.click("dialog .danger");
    wait_until("it ran", || ran() == "ran\n");
    browser.wait("!document.querySelector('dialog')");
    // While it runs, a click would start no second one.
    browser.click(&format!("{} a", card("mine")));
    browser.wait_text("game-page .log", "Game closed.");
    browser.click("game-page .actions .primary");
    wait_until("it ran again, unasked", || ran() == "ran\nran\n");
    assert_eq!(browser.eval("return document.querySelectorAll('dialog').length"), json!(0));
    ended_well(&browser);
}

/// Even with the longest possible name of a peer, every card shows the digits of its key.
fn supplier_on_cards(driver: &Driver) {
    let name = format!("Eve {}", "W".repeat(60));
    let eve = Peer::run(&name, &[], |games| {
        game(games, "mine", "20260202", 3000);
        game(games, "other", VERSION, 3000);
    });
    let short = &eve.get("status")["data"]["peer_id"].as_str().unwrap()[..8].to_owned();
    let me = Peer::run("me", &[], |games| game(games, "mine", VERSION, 1000));
    me.meet(&eve);
    let browser = opened(driver, &me);
    browser.wait("document.querySelectorAll('game-card .support:not([hidden])').length === 2");
    for language in ["en", "de"] {
        me.post("settings", &json!({ "language": language }));
        browser.wait(&format!("document.documentElement.lang === {}", json!(language)));
        for width in [360, 768, 1280] {
            browser.resize(width, 900);
            for density in ["large", "small", "list"] {
                browser.click(&format!("select option[value={density}]"));
                browser.wait(&format!("document.querySelector('game-library[data-density={density}]')"));
                let unreadable = unreadable_suppliers(&browser, &name, short);
                assert_eq!(unreadable, json!([]), "{density} covers at {width} in {language}");
            }
        }
    }
    browser.resize(360, 900);
    click_step(&browser, "mine");
    browser.wait_text("dialog .question", short);
    let too_wide =
        "const dialog = document.querySelector('dialog'); return dialog.scrollWidth - dialog.clientWidth";
    assert_eq!(browser.eval(too_wide), 0, "the question is cut off at the side");
    ended_well(&browser);
}

/// The cards whose supplier is cut off, covered or missing, each with the unreadable words.
fn unreadable_suppliers(browser: &Browser, name: &str, key: &str) -> serde_json::Value {
    let script = "const unreadable = [];
        for (const card of document.querySelectorAll('game-card')) {
          const said = card.querySelector('.support');
          said.scrollIntoView({ block: 'center' });
          const box = said.getBoundingClientRect();
          const missing = WORDS.filter((word) => {
            const at = said.textContent.indexOf(word);
            if (at < 0) return true;
            const range = document.createRange();
            range.setStart(said.firstChild, at);
            range.setEnd(said.firstChild, at + word.length);
            const lines = [...range.getClientRects()];
            const seen = (line) => document.elementFromPoint((line.left + line.right) / 2, (line.top + line.bottom) / 2) === said
              && line.left >= box.left - 1 && line.right <= box.right + 1 && line.top >= box.top - 1 && line.bottom <= box.bottom + 1;
            return !lines.length || !lines.every(seen);
          });
          if (missing.length) unreadable.push(`${card.game.game_id}: ${missing}`);
        }
        return unreadable";
    browser.eval(&script.replace("WORDS", &json!([name, key]).to_string()))
}

fn unpack(driver: &Driver) {
    let eve = Peer::run("Eve", &[], |games| bomb(games, "bomb"));
    let me = Peer::run("me", &[], |_| {});
    me.meet(&eve);
    let browser = opened(driver, &me);
    wait_step(&browser, "bomb", "get");
    click_step(&browser, "bomb");
    browser.wait_text("dialog h2", "Install bomb anyway?");
    browser.wait_text("dialog .question", "Unpacked1.14 GB");
    browser.wait_text("dialog .question", "GB free, then");
    assert!(
        !browser.eval("return document.querySelector('dialog').textContent").to_string().contains("11408")
    );
    assert_eq!(browser.eval("return document.activeElement.textContent"), "No, keep it as it is");
    browser.press([key::ESCAPE]);
    browser.wait("!document.querySelector('dialog')");
    wait_step(&browser, "bomb", "install");
    assert_eq!(me.game("bomb")["installed"], false, "nothing happens without a yes");
    browser.click(&format!("{} a", card("bomb")));
    browser.wait_text("game-page .log", "unpack to at least 1.14 GB");
    browser.click(".back");

    // Asked again in German and in a second window, whose dialog must close when the first one is answered.
    me.post("settings", &json!({ "language": "de" }));
    let window = opened(driver, &me);
    wait_step(&window, "bomb", "install");
    wait_step(&browser, "bomb", "install");
    click_step(&browser, "bomb");
    for shown in [&browser, &window] {
        shown.wait_text("dialog h2", "bomb trotzdem installieren?");
        shown.wait_text("dialog .question", "Entpackt1,14 GB");
    }
    browser.press([key::TAB, key::ENTER]);
    window.wait("!document.querySelector('dialog')");
    wait_step(&browser, "bomb", "play");
    let zeros = me.games().join("bomb/local/zeros.bin").metadata().unwrap().len();
    assert_eq!(zeros, BOMB_ARCHIVE_BYTES as u64);
    ended_well(&browser);
    ended_well(&window);
}

fn unpack_arriving(driver: &Driver) {
    let eve = Peer::run("Eve", &[], |games| bomb(games, "bomb"));
    let me = Peer::run("me", &[], |_| {});
    me.meet(&eve);
    let browser = opened(driver, &me);
    wait_step(&browser, "bomb", "get");
    browser.click(&format!("{} a", card("bomb")));
    browser.click("[data-step=stream-install]");
    browser.wait_text("dialog .question", "at least 1.14 GB (up to 2.28 GB allowed)");
    browser.click("dialog .danger");
    wait_until("it is installed", || me.game("bomb")["installed"] == true);
    assert_eq!(me.game("bomb")["downloaded"], false, "it is streamed, as it was asked for");
    ended_well(&browser);
}
