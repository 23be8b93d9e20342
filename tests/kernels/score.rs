use tcvit::condensation::Chain;
use tcvit::doctor::check;
use tcvit::gpu::Variant;
use tcvit::kernels::score::{Bindings, Connectivity, Params, Terms, record};

use crate::broken::{open, write_shaders};
use crate::{AWKWARD, REAL, buffer, gpu, read, run, sweep_variants};

#[test]
fn agrees_at_every_small_size() {
    sweep_variants("score", (1..=64).map(|patches| [1 + patches % 3, patches]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep_variants("score", AWKWARD.map(|patches| [2, patches]));
    sweep_variants("score", REAL.map(|patches| [1, patches]));
    sweep_variants("score", [[3, 2047], [1, 2048]]);
}

/// A Newton iteration that diverged may give a c of the wrong sign and of any size: normalising undoes both.
#[test]
fn a_normalised_score_depends_on_neither_sign_nor_size_of_c() {
    let (c, dominance) = ([1.0f32, 2.0, 5.0], [0.5f32, 0.25, 0.125]);
    let terms = Terms { normalise: true, connectivity: true, dominance: true };
    let mut params = Params::new(3, 2, 2.0, Chain::IDENTITY);
    params.scale = f32::INFINITY;
    let variants = Variant::ALL.into_iter().filter(|variant| variant.available(gpu()));
    let factors = [1.0, -1.0, -1024.0, 0.5f32.powi(60)];
    for (variant, factor) in variants.flat_map(|variant| factors.map(|factor| (variant, factor))) {
        let score = buffer(&[f32::NAN; 3]);
        let c = buffer(&c.map(|c| factor * c));
        let (order, slot) = (buffer(&[7777u32; 3]), buffer(&[7777u32; 3]));
        let bindings = Bindings {
            connectivity: Connectivity::Mean(&c),
            dominance: &buffer(&dominance),
            score: &score,
            order: &order,
            slot: &slot,
        };
        run(|recorder| record(recorder, variant, params, 1, terms, bindings));
        assert_eq!(read::<f32>(&score, 3), [0.875, 0.25, -0.375], "at a factor of {factor}");
        assert_eq!(read::<u32>(&order, 3), [0, 1, 2], "at a factor of {factor}");
    }
}

/// On a GPU an image has four times as many threads, so that parts of a workgroup share rows: what a CPU never chooses.
#[test]
fn octets_agree_with_as_many_threads_as_a_gpu_gives_them() {
    if !Variant::Subgroup.available(gpu()) {
        println!("SKIPPED: {} has no subgroups of one size", gpu().describe());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write_shaders(folder.path(), &[]);
    for file in ["shared/select_subgroup.wgsl", "condense/score_subgroup.wgsl", "condense/top_k_subgroup.wgsl"] {
        let path = folder.path().join(file);
        // The constant that the host sets stays, and decides nothing.
        let own = ("override WIDE: u32 = 64u;", "override THREADS: u32 = 64u;\nconst WIDE: u32 = 256u;");
        let text = std::fs::read_to_string(&path).unwrap().replace("THREADS", "WIDE").replace(own.0, own.1);
        assert_eq!(text.contains("const WIDE"), file.starts_with("shared"), "{file}");
        std::fs::write(&path, text).unwrap();
    }
    let wide = open(folder.path());
    for patches in [1, 7, 8, 31, 64, 100, 196, 255, 256, 257, 576, 1024, 1025, 2048] {
        for (kernel, size) in
            [("score_subgroup", vec![2, patches]), ("top_k_subgroup", vec![2, patches, 1 + patches / 2])]
        {
            let finding = check(&wide, kernel, &size, patches as u64).unwrap();
            assert!(finding.passed(), "{finding:?}");
        }
    }
}
