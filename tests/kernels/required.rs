use crate::require::{judge, words};

#[test]
fn what_is_not_required_is_skipped_aloud() {
    for required in ["", " , ", "subgroups", "subgroups,"] {
        let line = judge(required, "cooperative", "linear_cooperative", "no matrices here").unwrap();
        assert_eq!(line, "SKIPPED linear_cooperative: no matrices here");
    }
}

#[test]
fn what_is_required_may_not_be_skipped() {
    for required in ["cooperative", "cooperative,subgroups", " subgroups , cooperative "] {
        let message = judge(required, "cooperative", "linear_cooperative", "no matrices here").unwrap_err();
        assert!(message.contains("has cooperative, but linear_cooperative"), "{message}");
        assert!(message.contains("no matrices here"), "{message}");
    }
}

#[test]
fn unknown_words_are_refused() {
    for (required, unknown) in [("cooperation", "cooperation"), ("subgroups,Cooperative", "Cooperative")] {
        let message = words(required).unwrap_err();
        assert!(message.ends_with(&format!("takes cooperative, subgroups, not {unknown}")), "{message}");
        assert_eq!(judge(required, "subgroups", "check", "reason").unwrap_err(), message);
    }
}
