//! What can be read of this system's firewall, and the command that opens it.

use std::process::{Command, Stdio};

#[cfg(not(any(target_os = "windows", target_os = "macos")))]
use lanspread_net::discovery::BEACON_PORT;

use super::{Check, Health};

const NAME: &str = "firewall";

pub(super) fn unknown() -> Check {
    Check::new(NAME, Health::Unknown, "nothing could be read of this system's firewall", general())
}

fn general() -> &'static str {
    "if others do not see this PC, let TCP and UDP port 24930 and UDP port 5353 through for the local network"
}

#[cfg(target_os = "windows")]
pub(super) fn check() -> Check {
    super::windows_firewall::check()
}

#[cfg(target_os = "macos")]
pub(super) fn check() -> Check {
    let tool = "/usr/libexec/ApplicationFirewall/socketfilterfw";
    match said(tool, &["--getglobalstate"]) {
        Some(text) if text.contains("disabled") => Check::good(NAME, "the application firewall is off"),
        Some(_) => Check::new(
            NAME,
            Health::Unknown,
            "the application firewall is on",
            "allow incoming connections for lanspread in System Settings, Network, Firewall",
        ),
        None => unknown(),
    }
}

#[cfg(not(any(target_os = "windows", target_os = "macos")))]
pub(super) fn check() -> Check {
    if let Some(text) = said("ufw", &["status"]) {
        return judge_ufw(&text);
    }
    if let Some(ports) = said("firewall-cmd", &["--list-all"]) {
        return judge_firewalld(&ports);
    }
    match said("nft", &["list", "ruleset"]) {
        Some(rules) => judge_nft(&rules),
        None => unknown(),
    }
}

#[cfg(not(any(target_os = "windows", target_os = "macos")))]
fn judge_ufw(status: &str) -> Check {
    let port = BEACON_PORT.to_string();
    if status.contains("inactive") {
        return Check::good(NAME, "ufw is installed and off");
    }
    if status.contains(&port) {
        return Check::good(NAME, format!("ufw is on and has a rule for port {port}"));
    }
    Check::new(
        NAME,
        Health::Poor,
        format!("ufw is on and has no rule for port {port}"),
        "sudo ufw allow 24930 && sudo ufw allow 5353/udp",
    )
}

#[cfg(not(any(target_os = "windows", target_os = "macos")))]
fn judge_firewalld(zone: &str) -> Check {
    let port = BEACON_PORT.to_string();
    if zone.contains(&port) || zone.contains("target: ACCEPT") {
        return Check::good(NAME, "firewalld lets lanspread through");
    }
    Check::new(
        NAME,
        Health::Poor,
        format!("firewalld is on and does not list port {port}"),
        "sudo firewall-cmd --add-port=24930/tcp --add-port=24930/udp --add-service=mdns",
    )
}

/// A table that drops by default and does not name our port is worth a word; more cannot be told from outside.
#[cfg(not(any(target_os = "windows", target_os = "macos")))]
fn judge_nft(rules: &str) -> Check {
    let port = BEACON_PORT.to_string();
    let input = rules.split("chain ").filter(|chain| chain.contains("hook input"));
    let closed = input.clone().any(|chain| chain.contains("policy drop") && !chain.contains(&port));
    let filtered = ["5353", "224.0.0", "multicast", "broadcast"];
    let drops = rules.lines().any(|line| {
        (line.contains("drop") || line.contains("reject")) && filtered.iter().any(|f| line.contains(f))
    });
    if closed {
        return Check::new(
            NAME,
            Health::Poor,
            format!("nftables drops what is not allowed, and port {port} is not named"),
            "allow it: nft add rule inet filter input tcp dport 24930 accept, the same for udp dport { 24930, 5353 }",
        );
    }
    if drops {
        return Check::new(
            NAME,
            Health::Poor,
            "an nftables rule drops multicast or broadcast",
            "look at `nft list ruleset`; peers find each other by whichever of the two is left, or by `lanspread connect`",
        );
    }
    Check::good(NAME, "nftables has no rule that stands in the way")
}

/// What a tool prints; `None` if it is not there, may not be asked, or fails.
pub(super) fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(all(test, not(any(target_os = "windows", target_os = "macos"))))]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_way_is_recognised() {
        let health = |check: Check| check.health;
        assert_eq!(health(judge_ufw("Status: inactive\n")), Health::Good);
        assert_eq!(health(judge_ufw("Status: active\n\n22/tcp ALLOW Anywhere\n")), Health::Poor);
        assert_eq!(health(judge_ufw("Status: active\n\n24930 ALLOW Anywhere\n")), Health::Good);
        assert_eq!(health(judge_firewalld("public\n  target: default\n  ports: 22/tcp")), Health::Poor);
        assert_eq!(health(judge_firewalld("public\n  ports: 24930/tcp 24930/udp")), Health::Good);
        let closed =
            "table inet filter {\n chain input {\n type filter hook input priority 0; policy drop;\n }\n}";
        assert_eq!(health(judge_nft(closed)), Health::Poor);
        assert_eq!(health(judge_nft(&closed.replace("drop", "accept"))), Health::Good);
        assert_eq!(health(judge_nft("ip daddr 224.0.0.251 drop")), Health::Poor);
        assert_eq!(health(judge_nft("")), Health::Good);
    }
}
