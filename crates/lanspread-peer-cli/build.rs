//! Embeds an application manifest into the Windows program: paths of more than 260 characters, and only the caller's
//! rights.

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_WINDOWS").is_some() {
        let manifest = embed_manifest::new_manifest("lanspread.peer-cli")
            .remove_dependency("Microsoft.Windows.Common-Controls");
        embed_manifest::embed_manifest(manifest).map_err(std::io::Error::other)?;
    }
    Ok(())
}
