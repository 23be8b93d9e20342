use tcvit::doctor;

use crate::gpu;

#[test]
fn every_check_of_the_doctor_passes_here() {
    let mut heard = 0;
    let findings = doctor::run(gpu(), |finding| {
        heard += 1;
        println!("{:22} {:55} {:?}", finding.kernel, finding.size, finding.outcome);
    });
    assert_eq!(heard, findings.len());
    let failed: Vec<_> = findings.iter().filter(|finding| !finding.passed()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
