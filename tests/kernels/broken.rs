//! Shaders with errors that were put in on purpose: these tests show that the doctor finds them.

use std::path::Path;

use tcvit::low_level::doctor::{self, checks};
use tcvit::low_level::gpu::{Context, ContextOptions, SHADERS};

use crate::slips::{SLIPS, SLIPS_OF_FORMS, SLIPS_ON_GPUS};

/// Writes every shader to `folder`. Each slip replaces a text in one shader by another text.
pub fn write_shaders(folder: &Path, slips: &[(&str, &str, &str)]) {
    for &(path, text) in SHADERS {
        let mut text = text.to_owned();
        for &(_, right, wrong) in slips.iter().filter(|slip| slip.0 == path) {
            assert_eq!(text.matches(right).count(), 1, "{path} should say `{right}` once");
            text = text.replace(right, wrong);
        }
        let file = folder.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
}

/// A context that reads its shaders from `folder`.
pub fn open(folder: &Path) -> Context {
    open_as(folder, false)
}

fn open_as(folder: &Path, as_gpu: bool) -> Context {
    Context::open(ContextOptions::new().shaders(folder).as_gpu(as_gpu)).unwrap()
}

#[test]
fn a_slip_in_any_shader_is_found_by_the_doctor() {
    let folder = tempfile::tempdir().unwrap();
    write_shaders(folder.path(), SLIPS);
    let gpu = open(folder.path());
    crate::skip_what_cannot_run_on(&gpu);
    let findings = doctor::run(&gpu, |_| {});
    let checks = || checks().filter(|check| check.runs_on(&gpu));
    assert_eq!(findings.len(), checks().map(|check| check.sizes.len()).sum::<usize>());
    for check in checks() {
        let of_kernel = || findings.iter().filter(|finding| finding.kernel == check.kernel.name);
        assert!(of_kernel().all(|finding| finding.outcome.is_ok()), "{:#?}", of_kernel().collect::<Vec<_>>());
        assert!(of_kernel().any(|finding| !finding.passed()), "{} passed", check.kernel.name);
    }
}

type SlipOfForm = (&'static str, &'static str, &'static str, &'static str);

fn check_slips_of_forms<'a>(slips: impl IntoIterator<Item = &'a SlipOfForm>, as_gpu: bool) {
    for &(kernel, path, right, wrong) in slips {
        let folder = tempfile::tempdir().unwrap();
        write_shaders(folder.path(), &[(path, right, wrong)]);
        let gpu = open_as(folder.path(), as_gpu);
        let check = checks().find(|check| check.kernel.name == kernel).expect(kernel);
        if !check.runs_on(&gpu) {
            crate::skip(check.kernel, &gpu);
            continue;
        }
        let found = |size: &&[usize]| !doctor::check(&gpu, kernel, size, 1).unwrap().passed();
        assert!(check.sizes.iter().any(found), "{path}: `{wrong}` passed");
    }
}

#[test]
fn a_slip_in_one_form_of_a_kernel_is_found_by_the_doctor() {
    check_slips_of_forms(SLIPS_OF_FORMS.iter().filter(|slip| !slip.0.ends_with("_cooperative")), false);
}

/// A test of its own, so that `scripts/cooperative` can run it without the others.
#[test]
fn a_slip_in_one_form_of_a_cooperative_kernel_is_found_by_the_doctor() {
    check_slips_of_forms(SLIPS_OF_FORMS.iter().filter(|slip| slip.0.ends_with("_cooperative")), false);
}

#[test]
fn a_slip_in_what_only_gpus_run_is_found_by_the_doctor() {
    check_slips_of_forms(SLIPS_ON_GPUS, true);
}

#[test]
fn a_shader_that_does_not_compile_is_found_and_named_and_the_others_still_run() {
    let folder = tempfile::tempdir().unwrap();
    write_shaders(folder.path(), &[("head/pool.wgsl", "var weight = 0.0;", "var weight = = 0.0;")]);
    let gpu = open(folder.path());
    for _ in 0..2 {
        let finding = doctor::check(&gpu, "pool", &[1, 7, 1, 4], 1).unwrap();
        assert!(!finding.passed());
        let text = finding.outcome.unwrap_err();
        assert!(text.contains("compile head/pool.wgsl") && text.contains("var weight = = 0.0"), "{text}");
        let finding = doctor::check(&gpu, "dominance", &[1, 7, 1, 4], 1).unwrap();
        assert!(finding.passed(), "{finding:?}");
    }
}

#[test]
fn a_folder_without_a_shader_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    write_shaders(folder.path(), &[]);
    std::fs::remove_file(folder.path().join("head/pool.wgsl")).unwrap();
    let error = Context::open(ContextOptions::new().shaders(folder.path())).unwrap_err().to_string();
    assert!(error.contains("pool.wgsl"), "{error}");
}

#[test]
fn sizes_that_no_kernel_takes_are_refused() {
    let gpu = crate::gpu();
    assert!(doctor::check(gpu, "convolution", &[1], 1).unwrap_err().to_string().contains("patchify"));
    assert!(doctor::check(gpu, "linear", &[1, 4], 1).unwrap_err().to_string().contains("rows, inner, columns"));
    let wrong: [(&str, &[usize]); 6] = [
        ("linear", &[1, 0, 1]),
        ("pool", &[0, 1, 1, 4]),
        ("top_k", &[1, 5, 6]),
        ("assign", &[1, 5, 5]),
        ("fuse", &[1, 1, 5, 5, 4]),
        ("connectivity", &[1, 5, 2, 3]),
    ];
    for (kernel, size) in wrong {
        let finding = doctor::check(gpu, kernel, size, 1).unwrap();
        assert!(finding.outcome.is_err(), "{finding:?}");
    }
}
