//! Totals of a download. The rates follow from the printed bytes and milliseconds.

use std::time::Duration;

use lanspread_api::event::{SourceTotals, Totals};
use lanspread_core::event as core;
use lanspread_types::failpoint;

use super::ToContract;

/// Mbit/s in 1 MiB/s: 2^20 × 8 / 10^6.
const MBIT_PER_MIB: f64 = 8.388_608;

impl ToContract for core::DownloadTotals {
    type Json = Totals;

    fn to_contract(&self) -> Totals {
        let source = |s: &core::SourceTotals| SourceTotals {
            peer_id: s.peer.to_string(),
            name: s.name.clone(),
            bytes: s.bytes,
            chunks: s.chunks,
        };
        let duration_ms = whole_ms(self.duration).max(u64::from(self.bytes > 0));
        let mib_per_s = mib_per_s(self.bytes, duration_ms);
        Totals {
            bytes: self.bytes,
            reused_bytes: self.reused_bytes,
            chunks: self.chunks,
            duration_ms,
            mib_per_s,
            mbit_per_s: mib_per_s * if failpoint!("lie-about-unit") { 8.0 } else { MBIT_PER_MIB },
            sources: self.sources.iter().map(source).collect(),
            streamed: self.streamed,
        }
    }
}

/// Returns milliseconds, rounded up, so that a rate is never too high.
pub(super) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn mib_per_s(bytes: u64, duration_ms: u64) -> f64 {
    if duration_ms == 0 {
        return 0.0;
    }
    let rate = bytes as f64 / 1_048_576.0 / (duration_ms as f64 / 1000.0);
    if failpoint!("lie-about-rate") { rate * 1.1 } else { rate }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(bytes: u64, duration: Duration) -> Totals {
        core::DownloadTotals { bytes, chunks: 1, duration, ..Default::default() }.to_contract()
    }

    #[test]
    fn rates_follow_from_the_printed_numbers() {
        let t = totals(2 << 30, Duration::from_micros(1_999_001));
        assert_eq!(t.duration_ms, 2000);
        assert_eq!(t.mib_per_s, 1024.0);
        assert_eq!(t.mbit_per_s, 1024.0 * 8.388_608);
        assert!((t.mbit_per_s - t.bytes as f64 * 8.0 / 1e6 / 2.0).abs() < 1e-9);
    }

    #[test]
    fn tiny_download_has_a_finite_positive_rate() {
        let t = totals(1, Duration::ZERO);
        assert_eq!(t.duration_ms, 1);
        assert!(t.mib_per_s > 0.0 && t.mib_per_s.is_finite());
        let nothing = totals(0, Duration::ZERO);
        assert_eq!((nothing.duration_ms, nothing.mib_per_s, nothing.mbit_per_s), (0, 0.0, 0.0));
    }
}
