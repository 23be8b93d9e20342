//! Tests that an adapter cannot run are skipped, with a message. With `TCVIT_REQUIRE=cooperative,subgroups` in the
//! environment, a test fails if it would be skipped for lack of cooperative matrices or of subgroups.

/// The words that may be required: cooperative matrices, and subgroups of one size.
const WORDS: [&str; 2] = ["cooperative", "subgroups"];

fn environment() -> String {
    std::env::var("TCVIT_REQUIRE").unwrap_or_default()
}

/// Panics if `TCVIT_REQUIRE` has an unknown word, which would have no effect.
pub fn check() {
    words(&environment()).unwrap_or_else(|message| panic!("{message}"));
}

/// Prints that `check` is skipped because the adapter lacks the feature `word`, or panics if that feature is required.
pub fn skipped(word: &str, check: &str, reason: impl std::fmt::Display) {
    let line = judge(&environment(), word, check, &reason.to_string()).unwrap_or_else(|message| panic!("{message}"));
    println!("{line}");
}

/// The words of `required`, which are separated by commas. Spaces around words and empty words are ignored.
pub fn words(required: &str) -> Result<Vec<&str>, String> {
    let words: Vec<&str> = required.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    match words.iter().find(|word| !WORDS.contains(word)) {
        Some(unknown) => Err(format!("TCVIT_REQUIRE takes {}, not {unknown}", WORDS.join(", "))),
        None => Ok(words),
    }
}

/// The line that reports a skipped test, or the reason why the test may not be skipped.
pub fn judge(required: &str, word: &str, check: &str, reason: &str) -> Result<String, String> {
    assert!(WORDS.contains(&word), "{check} is skipped because of {word}, which cannot be required");
    match words(required)?.contains(&word) {
        true => Err(format!("TCVIT_REQUIRE has {word}, but {check} would be skipped: {reason}")),
        false => Ok(format!("SKIPPED {check}: {reason}")),
    }
}
