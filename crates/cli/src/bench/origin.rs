//! The origin of figures: the program, the machine and the date.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tcvit::Context;
use tcvit::low_level::gpu::Internals;

#[derive(Clone, Debug, Default, Serialize)]
pub struct Origin {
    pub version: &'static str,
    /// The commit of a release build, with `+changes` if the checkout had changes. `None` for other builds, and if git
    /// was not available.
    pub commit: Option<&'static str>,
    /// Whether the program was compiled without optimisation. If so, only GPU times are meaningful.
    pub debug_build: bool,
    /// The date in UTC, such as 2026-01-31.
    pub date: String,
    pub adapter: String,
    pub backend: String,
    pub driver: String,
    pub device_type: String,
    /// Whether times say nothing about other devices ([`tcvit::low_level::gpu::Traits::times_are_its_own`]).
    #[serde(skip)]
    pub times_are_its_own: bool,
    pub system: String,
    /// How many threads the host can run at once.
    pub host_cpus: usize,
    /// The widest spread of all results: the distance of the quartiles of the times, as a share of their median.
    pub widest_spread: f64,
    /// Whether `widest_spread` is more than [`NOISY`].
    pub noisy: bool,
}

/// A spread above this share means that the measurement was disturbed.
pub const NOISY: f64 = 0.1;

impl Origin {
    pub fn of(context: &Context) -> Self {
        let info = context.info();
        let days = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("TCVIT_COMMIT"),
            debug_build: cfg!(debug_assertions),
            date: date(days as i64),
            adapter: info.name.clone(),
            backend: info.backend.to_string(),
            driver: [info.driver.as_str(), &info.driver_info].join(" ").trim().to_owned(),
            device_type: format!("{:?}", info.device_type),
            times_are_its_own: context.traits().times_are_its_own,
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            host_cpus: std::thread::available_parallelism().map_or(1, usize::from),
            ..Self::default()
        }
    }

    /// Reasons not to trust the figures.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.noisy {
            let percent = self.widest_spread * 100.0;
            warnings.push(format!("noisy: quartiles are up to {percent:.0} % of the median apart"));
        }
        if self.debug_build {
            warnings.push("built without optimisation".into());
        }
        if self.times_are_its_own {
            warnings.push("a software adapter: ratios are meaningful, times are not".into());
        }
        warnings
    }

    /// Program name, version, commit, date.
    pub fn program(&self) -> String {
        let commit = self.commit.map_or("commit unknown".into(), |commit| format!("commit {commit}"));
        format!("tcvit {}, {commit}, {}", self.version, self.date)
    }

    /// Adapter, driver, host.
    pub fn machine(&self) -> String {
        format!("{} ({}, {}), {}, {} CPUs", self.adapter, self.backend, self.driver, self.system, self.host_cpus)
    }
}

/// The date that is `days` days after 1 January 1970, in the Gregorian calendar. A year here begins in March, so that
/// the extra day of a leap year is its last day.
fn date(days: i64) -> String {
    // Days since 1 March of year 0, in eras of 400 years.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    format!("{:04}-{month:02}-{day_of_month:02}", era * 400 + year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        for (days, text) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_454, "2026-01-01"),
            (20_512, "2026-02-28"),
            (20_513, "2026-03-01"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(date(days), text);
        }
    }
}
