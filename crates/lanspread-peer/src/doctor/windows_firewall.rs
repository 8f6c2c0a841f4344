//! Check of Windows' firewall: whether it lets this program in. Reads the rules from the registry, which is the same in
//! every language, whereas `netsh` translates every word.
//!
//! Sources: Microsoft, *[MS-GPFAS] Firewall Rule and the Firewall Rule Grammar Rule*, for the form of the rules;
//! *Get-NetConnectionProfile*, for the categories of networks.

use super::{Check, Health};

const NAME: &str = "firewall";

/// Category of a network, which the user chooses and the firewall's rules name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Category {
    Domain,
    Private,
    Public,
}

impl Category {
    /// Parses the category as `Get-NetConnectionProfile` prints it, untranslated.
    fn named(text: &str) -> Option<Self> {
        match text.trim() {
            "DomainAuthenticated" => Some(Self::Domain),
            "Private" => Some(Self::Private),
            "Public" => Some(Self::Public),
            _ => None,
        }
    }

    /// Returns the name of the category in a firewall rule.
    const fn in_rule(self) -> &'static str {
        match self {
            Self::Domain => "Domain",
            Self::Private => "Private",
            Self::Public => "Public",
        }
    }

    /// Returns the registry key below `FirewallPolicy`.
    const fn key(self) -> &'static str {
        match self {
            Self::Domain => "DomainProfile",
            Self::Private => "StandardProfile",
            Self::Public => "PublicProfile",
        }
    }
}

/// What was read from the system.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Categories of the connected networks, one per line.
    pub networks: String,
    /// Output of `reg query` for `FirewallPolicy`, with the `EnableFirewall` of each profile.
    pub profiles: String,
    /// Output of `reg query` for `FirewallRules`.
    pub rules: String,
    /// Path of this program.
    pub program: String,
}

/// Reads the firewall's settings and judges them.
#[cfg(target_os = "windows")]
pub(super) fn check() -> Check {
    use super::tool::output_of;
    const POLICY: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy";
    let rules = format!(r"{POLICY}\FirewallRules");
    let networks =
        ["-NoProfile", "-NonInteractive", "-Command", "(Get-NetConnectionProfile).NetworkCategory"];
    let program = std::env::current_exe().map(|path| path.display().to_string());
    judge(&Found {
        networks: output_of("powershell", &networks).unwrap_or_default(),
        profiles: output_of("reg", &["query", POLICY, "/s", "/v", "EnableFirewall"]).unwrap_or_default(),
        rules: output_of("reg", &["query", &rules]).unwrap_or_default(),
        program: program.unwrap_or_default(),
    })
}

/// Judges what was read. A rule that blocks this program outweighs one that allows it.
pub(super) fn judge(found: &Found) -> Check {
    let program = found.program.as_str();
    let networks: Vec<Category> = found.networks.lines().filter_map(Category::named).collect();
    let guarded: Vec<Category> =
        networks.iter().copied().filter(|category| is_on(&found.profiles, *category)).collect();
    if networks.is_empty() {
        return Check::new(
            NAME,
            Health::Unknown,
            "Windows does not say which kind of network this is",
            &advice(program),
        );
    }
    if guarded.is_empty() {
        return Check::good(NAME, "Windows Firewall is off for this network");
    }
    let rules: Vec<Rule<'_>> =
        found.rules.lines().filter_map(Rule::read).filter(|rule| rule.is_for(program)).collect();
    for category in guarded {
        let name = category.in_rule().to_lowercase();
        let here = || rules.iter().filter(|rule| rule.covers(category));
        // Windows lets a blocking rule win.
        if here().any(|rule| !rule.allows) {
            let told =
                format!("a rule blocks this program on {name} networks: somebody denied it access once");
            let advice = format!(
                "remove the rule and allow the program (as administrator): netsh advfirewall firewall delete rule name=all program=\"{program}\" && {}",
                allow(program)
            );
            return Check::new(NAME, Health::Bad, told, &advice);
        }
        if here().next().is_none() {
            let health = if category == Category::Public { Health::Bad } else { Health::Poor };
            let missing = format!("this network is {name}, and no rule allows this program on such networks");
            return Check::new(NAME, health, missing, &advice(program));
        }
    }
    Check::good(NAME, "a rule allows this program")
}

/// Returns the advice for a network on which no rule blocks or allows the program.
fn advice(program: &str) -> String {
    format!(
        "set this network to private (Settings, Network & internet, its properties), and allow lanspread when Windows asks; \
         or, as administrator: {}",
        allow(program)
    )
}

/// Returns the command that adds the missing rule. It leaves out public networks, where a PC should stay closed.
fn allow(program: &str) -> String {
    format!(
        "netsh advfirewall firewall add rule name=lanspread dir=in action=allow profile=private,domain \
         program=\"{program}\" enable=yes"
    )
}

/// Returns true if the firewall is on for networks of this category, or if the registry does not say.
fn is_on(profiles: &str, category: Category) -> bool {
    let mut key = "";
    for line in profiles.lines() {
        let line = line.trim();
        if line.starts_with("HKEY_") {
            key = line;
        } else if key.ends_with(category.key()) && line.starts_with("EnableFirewall") {
            return !line.ends_with("0x0");
        }
    }
    true
}

/// An active rule for inbound connections.
#[derive(Debug)]
struct Rule<'a> {
    /// True if the rule allows, false if it blocks.
    allows: bool,
    /// Path of the program that the rule is for.
    app: &'a str,
    /// Categories of networks that the rule is for; none means all.
    profiles: Vec<&'a str>,
}

impl<'a> Rule<'a> {
    /// Parses a line of `reg query`, or returns `None` if it is not an active inbound rule for a program.
    ///
    /// Example: `{guid} REG_SZ v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Private|App=C:\a.exe|`
    fn read(line: &'a str) -> Option<Self> {
        let fields: Vec<(&str, &str)> = line.split('|').filter_map(|field| field.split_once('=')).collect();
        let value = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        if value("Active") != Some("TRUE") || value("Dir") != Some("In") {
            return None;
        }
        let profiles = fields.iter().filter(|(key, _)| *key == "Profile").map(|(_, value)| *value);
        Some(Self {
            allows: value("Action") == Some("Allow"),
            app: value("App")?,
            profiles: profiles.collect(),
        })
    }

    fn is_for(&self, program: &str) -> bool {
        self.app.to_lowercase() == program.to_lowercase()
    }

    fn covers(&self, category: Category) -> bool {
        self.profiles.is_empty() || self.profiles.contains(&category.in_rule())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = r"C:\Users\Ada\lanspread.exe";

    fn profiles(public: &str) -> String {
        let policy =
            r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy";
        let key = |name: &str, on: &str| {
            format!("\r\n{policy}\\{name}\r\n    EnableFirewall    REG_DWORD    {on}\r\n")
        };
        [key("DomainProfile", "0x1"), key("PublicProfile", public), key("StandardProfile", "0x1")].concat()
    }

    fn rule(action: &str, active: &str, profile: &str, app: &str) -> String {
        format!(
            "    TCP Query User{{0A}}    REG_SZ    v2.31|Action={action}|Active={active}|Dir=In|Protocol=6|{profile}App={app}|Name=lanspread|Defer=User|\r\n"
        )
    }

    fn health(networks: &str, rules: &[String]) -> Health {
        let (profiles, rules) = (profiles("0x1"), rules.concat());
        judge(&Found { networks: networks.into(), profiles, rules, program: PROGRAM.into() }).health
    }

    #[test]
    fn rules_count_for_this_program_and_this_network() {
        let app = PROGRAM.to_uppercase();
        let private = rule("Allow", "TRUE", "Profile=Private|", &app);
        assert_eq!(health("Private\r\n", std::slice::from_ref(&private)), Health::Good);
        assert_eq!(health("Public\r\n", std::slice::from_ref(&private)), Health::Bad, "not for public ones");
        assert_eq!(
            health("Private\r\nPublic\r\n", std::slice::from_ref(&private)),
            Health::Bad,
            "one of two"
        );
        assert_eq!(health("DomainAuthenticated\r\n", std::slice::from_ref(&private)), Health::Poor);
        let both = rule("Allow", "TRUE", "Profile=Private|Profile=Public|", &app);
        assert_eq!(health("Public\r\n", &[both]), Health::Good);
        assert_eq!(health("Public\r\n", &[rule("Allow", "TRUE", "", &app)]), Health::Good, "for all");
        assert_eq!(health("Private\r\n", &[rule("Allow", "FALSE", "", &app)]), Health::Poor, "switched off");
        assert_eq!(health("Private\r\n", &[rule("Allow", "TRUE", "", r"C:\other.exe")]), Health::Poor);
        assert_eq!(
            health("Private\r\n", &[private, rule("Block", "TRUE", "", &app)]),
            Health::Bad,
            "blocked"
        );
    }

    #[test]
    fn firewall_that_is_off_is_good() {
        let judged = |public: &str| {
            let found = Found {
                networks: "Public\r\n".into(),
                profiles: profiles(public),
                program: PROGRAM.into(),
                ..Found::default()
            };
            judge(&found)
        };
        assert_eq!(judged("0x0").health, Health::Good);
        let on = judged("0x1");
        assert_eq!(on.health, Health::Bad);
        assert!(on.advice.is_some_and(|advice| advice.contains(PROGRAM) && advice.contains("add rule")));
        assert_eq!(judge(&Found::default()).health, Health::Unknown);
    }
}
