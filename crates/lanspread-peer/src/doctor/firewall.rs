//! Check of this system's firewall: reads its rules where possible, and suggests the command that allows lanspread.

#[cfg(not(any(target_os = "windows", target_os = "macos")))]
use lanspread_net::discovery::BEACON_PORT;

use super::tool::output_of;
use super::{Check, Health};

const NAME: &str = "firewall";

/// Returns the check for a firewall that cannot be read.
pub(super) fn unknown() -> Check {
    Check::new(NAME, Health::Unknown, "cannot read this system's firewall settings", general())
}

fn general() -> &'static str {
    "if others do not see this PC, allow TCP and UDP port 24930 and UDP port 5353 on the local network"
}

/// Checks Windows' firewall.
#[cfg(target_os = "windows")]
pub(super) fn check() -> Check {
    super::windows_firewall::check()
}

/// Checks the application firewall of macOS.
#[cfg(target_os = "macos")]
pub(super) fn check() -> Check {
    let tool = "/usr/libexec/ApplicationFirewall/socketfilterfw";
    match output_of(tool, &["--getglobalstate"]) {
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

/// Checks `ufw`, `firewalld` or `nftables`: the first of them that can be read.
#[cfg(not(any(target_os = "windows", target_os = "macos")))]
pub(super) fn check() -> Check {
    if let Some(text) = output_of("ufw", &["status"]) {
        return judge_ufw(&text);
    }
    if let Some(ports) = output_of("firewall-cmd", &["--list-all"]) {
        return judge_firewalld(&ports);
    }
    match output_of("nft", &["list", "ruleset"]) {
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
        return Check::good(NAME, "firewalld allows lanspread");
    }
    Check::new(
        NAME,
        Health::Poor,
        format!("firewalld is on and does not list port {port}"),
        "sudo firewall-cmd --add-port=24930/tcp --add-port=24930/udp --add-service=mdns",
    )
}

/// Judges the output of `nft list ruleset`. Finds only input chains that drop by default without naming our port, and
/// rules that drop multicast or broadcast; reading more out of a rule set is not reliable.
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
            format!("nftables drops everything that is not allowed, and no rule allows port {port}"),
            "allow it: nft add rule inet filter input tcp dport 24930 accept, the same for udp dport { 24930, 5353 }",
        );
    }
    if drops {
        return Check::new(
            NAME,
            Health::Poor,
            "an nftables rule drops multicast or broadcast",
            "see `nft list ruleset`; peers still find each other by the other of the two, or with `lanspread connect`",
        );
    }
    Check::good(NAME, "no nftables rule blocks lanspread")
}

#[cfg(all(test, not(any(target_os = "windows", target_os = "macos"))))]
mod tests {
    use super::*;

    #[test]
    fn blocking_rules_are_recognised() {
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
