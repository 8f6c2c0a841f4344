//! What keeps the page to itself, as a browser sees it: the guard's own tests are beside the guard.

use serde_json::json;

use crate::cases::{Case, opened};
use crate::driver::Driver;
use crate::lab::{Peer, tiny_game};

pub const CASES: &[Case] = &[
    ("nothing runs in the page that is not its own", nothing_foreign),
    ("the page stands in no other", no_frame),
];

fn nothing_foreign(driver: &Driver) {
    let (me, other) =
        (Peer::run("me", &[], |games| tiny_game(games, "one")), Peer::run("other", &[], |_| {}));
    let browser = opened(driver, &me);
    browser.wait_text("game-card .name", "one");
    let ran = browser.eval(
        "const script = document.createElement('script');
         try { script.textContent = 'window.ran = true'; document.body.append(script); } catch {}
         return Boolean(window.ran)",
    );
    assert_eq!(ran, json!(false), "no inline code");
    let made = browser.eval(
        "try { document.createElement('p').innerHTML = '<b></b>'; return true } catch { return false }",
    );
    assert_eq!(made, json!(false), "no string becomes markup");
    let reached = browser.eval_async(&format!(
        "const done = arguments[arguments.length - 1];
         fetch({}, {{ mode: 'no-cors' }}).then(() => done(true), () => done(false))",
        json!(other.address())
    ));
    assert_eq!(reached, json!(false), "nobody else is talked to");
}

fn no_frame(driver: &Driver) {
    let me = Peer::run("me", &[], |_| {});
    let browser = driver.browser();
    browser
        .open(&format!("data:text/html,<title>elsewhere</title><iframe src=\"{}\"></iframe>", me.address()));
    // A frame that was let in would have the page's own title by now: `load` comes after the frames'.
    browser.wait("document.readyState === 'complete'");
    let said = browser.complaints();
    assert!(said.iter().any(|text| text.contains("frame")), "the browser let it in: {said:?}");
}
