//! Makes the documents' pictures of the dialogs for `just page-pictures`.

use std::path::Path;

use crate::driver::Driver;
use crate::scenes::DIALOGS;

/// Twice the pixels, so that the text stays legible where a document shows the picture small.
const SCALE: f64 = 2.0;
const WIDTH: u32 = 800;
const HEIGHT: u32 = 560;
const QUALITY: u32 = 70;

/// Writes `dialog-NAME-dark.webp` and `dialog-NAME-light.webp` for each dialog.
pub fn draw(driver: &Driver, folder: &Path) {
    for make in DIALOGS {
        let scene = make(driver);
        let browser = &scene.browser;
        browser.resize_scaled(WIDTH, HEIGHT, SCALE);
        browser.hide_scrollbars();
        // Passing notices do not belong into the picture.
        browser.eval("document.getElementById('toasts').hidden = true");
        for scheme in ["dark", "light"] {
            browser.prefer(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]);
            let path = folder.join(format!("dialog-{}-{scheme}.webp", scene.name));
            let picture = browser.picture(QUALITY);
            std::fs::write(&path, &picture).unwrap();
            println!("{}: {} bytes", path.display(), picture.len());
        }
    }
}
