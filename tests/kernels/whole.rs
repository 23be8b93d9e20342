use tcvit::low_level::doctor;
use tcvit::low_level::gpu::{Context, ContextOptions, Internals};

use crate::gpu;

fn check(context: &Context) {
    crate::skip_what_cannot_run_on(context);
    let mut heard = 0;
    let findings = doctor::run(context, |finding| {
        heard += 1;
        println!("{:22} {:55} {:?}", finding.kernel, finding.size, finding.outcome);
    });
    assert_eq!(heard, findings.len());
    let failed: Vec<_> = findings.iter().filter(|finding| !finding.passed()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_check_of_the_doctor_passes_here() {
    check(gpu());
}

/// Kernels run here as on a GPU, which a software adapter does only if told to.
#[test]
fn every_check_of_the_doctor_passes_as_on_a_gpu() {
    let context = Context::open(ContextOptions::new().as_gpu(true)).unwrap();
    assert!(!context.traits().loads_are_dear);
    check(&context);
}
