//! Settings of the whole peer on the page: the party, the catalogue, the organiser's view and wishes, and a limit
//! while playing.

use serde_json::json;

use crate::cases::{Case, click_step, ended_well, opened, wait_step, wait_until};
use crate::driver::{Browser, Driver, key};
use crate::lab::{Peer, VERSION, game, program, tiny_game, wait_for_file};

pub const CASES: &[Case] = &[
    ("a closed party is joined and left", party),
    ("a weak passphrase is refused with a better one to take", weak_pass_phrase),
    ("the organiser's catalogue is trusted by its key", catalog),
    ("the party's organiser is offered once, and trusted or declined", offered),
    ("the organiser asks everyone to download, and sees when the last one has it", organiser),
    ("the doctor says what keeps the room empty", doctor),
    ("sending is held back while a game runs", quiet),
];

/// Shows the settings.
pub fn settings(browser: &Browser) {
    browser.click("nav a[data-path=settings]");
    browser.wait("document.querySelector('settings-page')");
}

/// Presses the button whose text begins so.
pub fn press_button(browser: &Browser, within: &str, text: &str) {
    let (css, text) = (json!(format!("{within} button")), json!(text));
    let found =
        format!("[...document.querySelectorAll({css})].find((b) => b.textContent.startsWith({text}))");
    browser.wait(&found);
    browser.eval(&format!("{found}.click()"));
}

/// Connects by typing a peer's address on the room's page.
pub fn connect(browser: &Browser, to: &Peer) {
    browser.click("nav a[data-path=room]");
    let addr = to.get("status")["data"]["addr"].as_str().unwrap().to_owned();
    browser.fill("[name=addr]", &addr);
    browser.click("room-page [type=submit]");
}

fn join(browser: &Browser, name: &str, phrase: &str) {
    settings(browser);
    browser.fill("[name=party]", name);
    browser.fill("[name=phrase]", phrase);
    press_button(browser, "#party", "Join");
    browser.wait_text("#party p", &format!("closed party {name}"));
}

fn party(driver: &Driver) {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "correct horse battery").unwrap();
    let args = ["--party", "friday", "--party-secret-file", secret.to_str().unwrap()];
    let ada = Peer::run("ada", &args, |games| tiny_game(games, "secret-game"));
    let me = Peer::run("me", &[], |_| {});
    let browser = opened(driver, &me);
    connect(&browser, &ada);
    browser.wait_text("#toasts", "closed party");
    join(&browser, "friday", "wrong horse battery");
    connect(&browser, &ada);
    browser.wait_text("#toasts", "passphrase");
    browser.wait_text(".lead", "Nobody else is here yet");
    settings(&browser);
    press_button(&browser, "#party", "Leave the party");
    browser.wait("document.querySelector('[name=party]')");
    join(&browser, "friday", "correct horse battery");
    connect(&browser, &ada);
    browser.wait_text(".peer b", "ada");
    browser.click("nav a[data-path='']");
    wait_step(&browser, "secret-game", "get");
    settings(&browser);
    press_button(&browser, "#party", "Leave the party");
    browser.wait_text(".here", "0 others here");
    assert_eq!(me.get("status")["data"]["party"], json!(null));
    ended_well(&browser);
}

fn weak_pass_phrase(driver: &Driver) {
    let me = Peer::run("me", &[], |_| {});
    me.post("settings", &json!({ "language": "de" }));
    let browser = opened(driver, &me);
    refused_phrase(&browser);
    browser.wait_text("#party [role=alert]", "leicht zu erraten");
    let said = browser.eval("return document.querySelector('#party [role=alert]').textContent");
    assert!(!said.as_str().unwrap().contains("easy to guess"), "{said}");
    let better = browser.eval("return document.querySelector('#party [role=alert] code').textContent");
    press_button(&browser, "#party", "Übernehmen");
    let field = "const field = document.querySelector('[name=phrase]');
                 return [field.value, field.type, document.activeElement === field]";
    assert_eq!(browser.eval(field), json!([better, "text", true]), "it is there to be read and sent");
    browser.wait_text("#party [role=alert]", "Schreib sie auf");
    browser.press([key::ENTER]);
    browser.wait_text("#party p", "geschlossenen Party friday");
    assert_eq!(me.get("status")["data"]["party"], "friday");
    ended_well(&browser);
}

/// Types a passphrase that the page refuses.
pub fn refused_phrase(browser: &Browser) {
    settings(browser);
    browser.fill("[name=party]", "friday");
    browser.fill("[name=phrase]", "Friday 2026!");
    browser.eval("document.querySelector('[name=phrase]').form.requestSubmit()");
    browser.wait("document.querySelector('#party [role=alert] button')");
}

fn catalog(driver: &Driver) {
    let (bela, public) = trusted_party();
    let me = Peer::run("me", &[], |_| {});
    let browser = opened(driver, &me);
    settings(&browser);
    browser.wait_text(".catalog", "all valid games are shown");
    browser.fill("[name=catalog_key]", "no key at all");
    press_button(&browser, "#party", "Trust");
    browser.wait_text("#toasts", "not a key");
    browser.fill("[name=catalog_key]", &public);
    press_button(&browser, "#party", "Trust");
    browser.wait_text(".catalog", "Waiting for the catalogue");
    wait_until("it waits for the organiser", || me.get("status")["data"]["catalog"]["mode"] == "Awaited");
    me.meet(&bela);
    browser.wait_text(".catalog", "Friday: Edition 1, 1 game, signed");
    browser.wait_text(".catalog code", &public);
    browser.click("nav a[data-path='']");
    wait_step(&browser, "listed", "get");
    browser.wait("document.querySelectorAll('game-card').length === 1");
    settings(&browser);
    press_button(&browser, "#party", "Stop using this catalogue");
    browser.wait_text(".catalog", "all valid games are shown");
    ended_well(&browser);
}

/// A peer with a signed catalogue, and the organiser's public key.
pub fn trusted_party() -> (Peer, String) {
    let ada = Peer::run("ada", &[], |games| game(games, "listed", VERSION, 1000));
    let file = |name: &str| ada.folder().join(name).to_str().unwrap().to_owned();
    let (key, list) = (file("organiser.key"), file("party.toml"));
    let said = ada.command_line(&["catalog", "key", &key]);
    let public = said.lines().find_map(|line| line.strip_prefix("Public key: ")).unwrap().to_owned();
    wait_until("the game is ready", || ada.game("listed")["availability"] == "Ready");
    ada.command_line(&["catalog", "make", "--title", "Friday", "-o", &list]);
    ada.command_line(&["catalog", "sign", &list, "--key", &key]);
    let bela = Peer::run("Bela", &["--catalog", &list], |games| {
        game(games, "listed", VERSION, 1000);
        tiny_game(games, "unlisted");
    });
    (bela, public)
}

fn offered(driver: &Driver) {
    let (bela, public) = trusted_party();
    let me = Peer::run("me", &[], |_| {});
    let browser = opened(driver, &me);
    me.meet(&bela);
    browser.wait_text("dialog h2", "Trust this party");
    browser.wait_text("dialog .organiser b", "Friday");
    let offer = || me.get("status")["data"]["catalog_offered"].clone();
    let print = offer()[0]["fingerprint"].as_str().unwrap().to_owned();
    assert_eq!(offer()[0]["key"], json!(public));
    browser.wait_text("dialog .fingerprint", &print);
    browser.wait_text("dialog p:nth-of-type(2)", "Bela uses this catalogue");
    assert_eq!(browser.eval("return document.activeElement.textContent"), "Not now");
    assert_eq!(me.get("status")["data"]["catalog"]["mode"], "Open", "nothing happens by itself");
    press_button(&browser, "dialog", "No, don’t ask again");
    wait_until("it is declined", || offer() == json!(null));
    assert!(!browser.eval("return Boolean(document.querySelector('dialog'))").as_bool().unwrap());

    let other = Peer::run("other", &[], |_| {});
    let browser = opened(driver, &other);
    other.meet(&bela);
    browser.wait_text("dialog .fingerprint", &print);
    press_button(&browser, "dialog", "Trust");
    browser.wait_text("#toasts", "Now using the organiser’s catalogue");
    wait_until("the catalogue is there", || other.get("status")["data"]["catalog"]["mode"] == "Signed");
    browser.wait("document.querySelectorAll('game-card').length === 1");
    settings(&browser);
    browser.wait_text(".catalog", "Friday: Edition 1, 1 game, signed");
    browser.wait_text("#party .fingerprint", &print);
    press_button(&browser, "#party", "Stop using this catalogue");
    browser.wait_text(".catalog", "all valid games are shown");
    wait_until("it is not asked about again", || {
        other.get("status")["data"]["catalog_offered"] == json!(null)
    });
    ended_well(&browser);
}

fn organiser(driver: &Driver) {
    let ada = Peer::run("ada", &["--upload-limit", "2M"], |games| game(games, "big", VERSION, 9_000_000));
    let list = ada.folder().join("party.toml").to_str().unwrap().to_owned();
    wait_until("the game is ready", || ada.game("big")["availability"] == "Ready");
    ada.command_line(&["catalog", "make", "--title", "Friday", "-o", &list]);
    let bela = Peer::run("bela", &["--accept-wants", "--catalog", &list], |_| {});
    let cleo = Peer::run("cleo", &[], |_| {});
    let me = Peer::run("me", &[], |_| {});
    for other in [&ada, &bela, &cleo] {
        me.meet(other);
    }
    bela.meet(&ada);
    let browser = opened(driver, &me);
    browser.click("nav a[data-path=room]");
    browser.wait_text(".ready .lead", "1 of 4 have it");
    browser.wait_text(".ready .ok", "ada");
    browser.wait_text(".ready small", "One other person accepts requests automatically");
    press_button(&browser, ".ready", "Ask everyone");
    browser.wait_text("#toasts", "Asked 3 people");
    browser.wait_text(".ready .note", "Last active download finishes in");
    browser.wait("[...document.querySelectorAll('.ready li')].some((li) => /bela.*%.*MB\\/s.*left/.test(li.textContent))");
    browser.wait_text(".peer .doing", "big");
    browser.wait_text(".ready .lead", "2 of 4 have it");
    browser.wait_text(".ready .ok", "bela");
    browser.wait("[...document.querySelectorAll('.ready .lacks')].some((li) => /cleo.*does not have it/.test(li.textContent))");
    settings(&browser);
    browser.click("[name=accept_wants]");
    wait_until("the wish is granted from now on", || me.get("status")["data"]["accepts_wants"] == true);
    ended_well(&browser);
}

fn doctor(driver: &Driver) {
    let me = Peer::run("me", &[], |_| {});
    let browser = opened(driver, &me);
    browser.click("nav a[data-path=room]");
    press_button(&browser, "room-page", "Why is the room empty");
    browser.wait("document.querySelectorAll('dialog .checks [data-health]').length > 3");
    browser.wait_text("dialog .checks b", "room");
    press_button(&browser, "dialog", "Close");
    browser.wait("!document.querySelector('dialog')");
    ended_well(&browser);
}

fn quiet(driver: &Driver) {
    let me = Peer::run("me", &["--upload-limit", "9M"], |games| {
        program(games, "mine", &format!("#!/bin/sh\n{}", wait_for_file("../stop")));
    });
    let upload = || me.get("status")["data"]["limits"]["upload"].clone();
    let browser = opened(driver, &me);
    settings(&browser);
    browser.fill("[name=quiet]", "0.5");
    browser.eval("document.querySelector('[name=quiet]').form.requestSubmit()");
    browser.wait_text("#toasts", "Saved");
    browser.click("nav a[data-path='']");
    click_step(&browser, "mine");
    wait_step(&browser, "mine", "play");
    assert_eq!(upload(), json!(9_000_000));
    click_step(&browser, "mine");
    browser.click("dialog .danger");
    wait_until("sending is held back", || upload() == json!(500_000));
    browser.click("nav a[data-path=downloads]");
    browser.wait_text("downloads-page", "Uploads are limited while you play");
    // A process that ends within seconds counts as a launcher, so the user says when the game is over.
    std::fs::write(me.games().join("mine/stop"), "").unwrap();
    press_button(&browser, "downloads-page", "I’m done playing");
    wait_until("sending goes on as before", || upload() == json!(9_000_000));
    ended_well(&browser);
}
