//! Puts the application manifest into the program for Windows.

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=lanspread.exe.manifest");
    if std::env::var_os("CARGO_CFG_WINDOWS").is_some() {
        embed_manifest::embed_manifest_file("lanspread.exe.manifest").map_err(std::io::Error::other)?;
    }
    Ok(())
}
