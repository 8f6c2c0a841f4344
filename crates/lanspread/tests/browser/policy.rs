//! Isolation of the page from other sites, as a browser enforces it. The guard's own tests are beside the guard.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::json;

use crate::cases::{Case, opened};
use crate::driver::Driver;
use crate::lab::{Peer, tiny_game};

pub const CASES: &[Case] = &[
    ("nothing runs in the page that is not its own", nothing_foreign),
    ("the page stands in no other", no_frame),
];

fn nothing_foreign(driver: &Driver) {
    let me = Peer::run("me", &[], |games| tiny_game(games, "one"));
    let browser = opened(driver, &me);
    browser.wait_text("game-card .name", "one");
    // `script-src` and Trusted Types both forbid this, so it runs only if both are missing.
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
        json!(elsewhere("anybody may read this"))
    ));
    assert_eq!(reached, json!(false), "nobody else is talked to");
}

fn no_frame(driver: &Driver) {
    let me = Peer::run("me", &[], |_| {});
    let browser = driver.browser();
    browser.open(&elsewhere(&format!("<title>elsewhere</title><iframe src=\"{}\"></iframe>", me.address())));
    let said = browser.complaints();
    assert!(said.iter().any(|text| text.contains("frame-ancestors")), "the browser let it in: {said:?}");
}

/// Serves a page of another origin for as long as the test runs, and returns its address.
fn elsewhere(page: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: ";
    let answer = format!("{head}{}\r\n\r\n{page}", page.len());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}
