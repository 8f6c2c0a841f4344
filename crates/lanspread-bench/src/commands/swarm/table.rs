//! Output for people: a line for each run, and the table at the end.

use super::case::Case;
use super::record::{Record, Share, Uplink};
use crate::figures::{NOTHING, Spread, Table, cell};

const HEADERS: [&str; 22] = [
    "situation",
    "receivers",
    "groups",
    "Mbit/s",
    "queue, ms",
    "contender",
    "runs",
    "last / bound",
    "p99",
    "p50",
    "playable: last / bound",
    "playable: p99",
    "playable: p50",
    "last, s",
    "seed's copies (wire)",
    "(stated)",
    "copies into groups",
    "copies out of groups",
    "CPU, s",
    "messages a peer",
    "requests a peer",
    "slow / its bound",
];

/// All runs so far.
#[derive(Debug, Default)]
pub struct Results {
    records: Vec<Record>,
    failed: Vec<(Case, &'static str)>,
}

impl Results {
    /// Adds a finished run.
    pub fn add(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Adds a failed run.
    pub fn failed(&mut self, case: &Case, contender: &'static str) {
        self.failed.push((*case, contender));
    }

    /// Number of attempted runs.
    pub fn runs(&self) -> usize {
        self.records.len() + self.failed.len()
    }

    /// Number of failed runs.
    pub fn failures(&self) -> usize {
        self.failed.len()
    }

    /// Makes a row for each contender in each room that it tried.
    pub fn table(&self, cases: &[Case], contenders: &[&str]) -> Table {
        let mut table = Table::new(&HEADERS);
        for case in cases {
            for &contender in contenders {
                let of: Vec<&Record> =
                    self.records.iter().filter(|r| r.case == *case && r.contender == contender).collect();
                let failed = self.failed.iter().filter(|(at, who)| at == case && *who == contender).count();
                if of.len() + failed > 0 {
                    table.row(row(case, contender, &of, failed));
                }
            }
        }
        table.without_blanks()
    }
}

fn row(case: &Case, contender: &str, of: &[&Record], failed: usize) -> Vec<String> {
    let runs = of.len().to_string();
    let share = |what: fn(&Share) -> f64| cell(of.iter().map(|r| what(&r.complete)), 3);
    let playable = |what: fn(&Share) -> f64| cell(of.iter().filter_map(|r| r.playable.as_ref()).map(what), 3);
    let control = |what: fn(&super::record::Control) -> f64| {
        cell(of.iter().filter_map(|r| r.control.as_ref()).map(what), 0)
    };
    vec![
        format!("{:?}", case.situation).to_lowercase(),
        case.receivers.to_string(),
        if case.groups > 1 { case.groups.to_string() } else { NOTHING.to_owned() },
        case.rate_mbit_per_s.to_string(),
        case.queue_ms.to_string(),
        contender.to_owned(),
        if failed > 0 { format!("{runs} (+ {failed} failed)") } else { runs },
        share(|s| s.last_over_bound),
        share(|s| s.p99_over_bound),
        share(|s| s.p50_over_bound),
        playable(|s| s.last_over_bound),
        playable(|s| s.p99_over_bound),
        playable(|s| s.p50_over_bound),
        cell(of.iter().map(|r| r.last_s), 2),
        cell(of.iter().map(|r| r.seed_copies_wire), 3),
        cell(of.iter().filter_map(|r| r.seed_copies_stated), 3),
        uplinks(of, |uplink| uplink.in_copies),
        uplinks(of, |uplink| uplink.out_copies),
        cell(of.iter().map(|r| r.cpu_s), 1),
        control(|c| c.messages_per_peer),
        control(|c| c.requests_per_peer),
        cell(of.iter().filter_map(|r| r.slow_over_bound), 2),
    ]
}

/// Median of each group over all runs, in the order of the groups, and the maximum of any group in any run.
fn uplinks(of: &[&Record], copies: impl Fn(&Uplink) -> f64) -> String {
    let groups = of.first().map_or(0, |record| record.uplinks.len());
    let in_group = |group: usize| Spread::of(of.iter().filter_map(|r| r.uplinks.get(group)).map(&copies));
    let spreads: Vec<Spread> = (0..groups).filter_map(in_group).collect();
    let Some(most) = spreads.iter().map(|spread| spread.max).reduce(f64::max) else {
        return NOTHING.to_owned();
    };
    let medians: Vec<String> = spreads.iter().map(|spread| format!("{:.2}", spread.median)).collect();
    if of.len() > 1 { format!("{} (most {most:.2})", medians.join(" ")) } else { medians.join(" ") }
}

/// Line of one run, printed when it ends.
pub fn line(record: &Record) -> String {
    let times: Vec<String> =
        record.finished_s.iter().map(|s| s.map_or(NOTHING.to_owned(), |s| format!("{s:.2}"))).collect();
    let playable = record.playable.map_or(String::new(), |p| format!(", playable {:.3}", p.last_over_bound));
    format!(
        "{} {} {}: {:.2} s = {:.3} x bound{playable}, seed {:.3} copies, CPU {:.1} s, load {:.1}; each: {}",
        record.case,
        record.run,
        record.contender,
        record.last_s,
        record.complete.last_over_bound,
        record.seed_copies_wire,
        record.cpu_s,
        record.load_before,
        times.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::Situation;
    use super::super::record::tests::record;
    use super::*;

    fn cells(table: &Table) -> Vec<Vec<String>> {
        let lines = table.to_string();
        let row = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        lines.lines().map(row).collect()
    }

    fn column<'a>(rows: &'a [Vec<String>], name: &str) -> Option<&'a str> {
        let at = rows[0].iter().position(|header| header == name)?;
        rows.last().map(|row| row[at].as_str())
    }

    #[test]
    fn row_states_medians_and_spreads() {
        let mut results = Results::default();
        for last in [1.2, 1.4, 1.3] {
            results.add(record(Situation::Mass, "x", [1.0, 1.0, 1.1, last]));
        }
        let case = results.records[0].case;
        let rows = cells(&results.table(&[case], &["x", "y"]));
        assert_eq!(rows.len(), 3, "headers, rule, and who took part: {rows:?}");
        let at = |name| column(&rows, name);
        assert_eq!(at("last / bound"), Some("1.300 (1.200..1.400)"));
        assert_eq!(at("p50"), Some("1.000 (1.000..1.000)"));
        assert_eq!((at("groups"), at("Mbit/s"), at("queue, ms")), (Some("2"), Some("25"), Some("20")));
        assert_eq!(at("copies into groups"), Some("0.50 2.00 (most 2.00)"));
        assert_eq!(at("copies out of groups"), Some("1.00 0.25 (most 1.00)"));
        assert_eq!(at("messages a peer"), Some("15 (15..15)"));
        assert_eq!((at("playable: p99"), at("slow / its bound")), (None, None), "nothing is known of them");
    }

    #[test]
    fn failed_run_shows_in_the_table() {
        let mut results = Results::default();
        let done = record(Situation::Mass, "x", [1.0; 4]);
        let case = done.case;
        results.failed(&case, "x");
        assert_eq!(column(&cells(&results.table(&[case], &["x"])), "runs"), Some("0 (+ 1 failed)"));
        results.add(done);
        assert_eq!(column(&cells(&results.table(&[case], &["x"])), "runs"), Some("1 (+ 1 failed)"));
        assert_eq!((results.failures(), results.runs()), (1, 2));
    }
}
