//! Shaders broken on purpose: a check that could not fail would prove nothing.

use std::path::Path;

use tcvit::doctor::{self, CHECKS};
use tcvit::gpu::{Context, ContextOptions, SHADERS};

/// One slip in each shader, of the kind that people make.
const SLIPS: &[(&str, &str, &str)] = &[
    ("embed/texture.wgsl", "(colour.g - params.mean_g)", "(colour.g - params.mean_r)"),
    ("embed/resample.wgsl", "1 << (BITS - 1u)", "1 << BITS"),
    ("embed/convolve.wgsl", "if first_line + v >= params.side {", "if first_line + v > params.side {"),
    ("embed/convolve_subgroup.wgsl", "let x5 = subgroupBroadcast(own, 5u);", "let x5 = subgroupBroadcast(own, 4u);"),
    ("embed/convolve_cooperative.wgsl", "c11 = coopMultiplyAdd(a1, b1, c11)", "c11 = coopMultiplyAdd(a1, b0, c11)"),
    ("embed/patchify.wgsl", "return Place(place.channel, y, 0u);", "return Place(place.channel, y, 1u);"),
    ("embed/assemble.wgsl", "+ position[patch_token *", "- position[patch_token *"),
    ("block/layer_norm.wgsl", "let variance = row_sum(", "let variance = 0.999 * row_sum("),
    ("block/layer_norm_subgroup.wgsl", "- mean * mean;", "- 0.9 * mean * mean;"),
    ("block/linear.wgsl", "a.z * w2 + a.w * w3", "a.z * w2 + a.z * w3"),
    ("block/linear_subgroup.wgsl", "let x5 = subgroupBroadcast(own, 5u);", "let x5 = subgroupBroadcast(own, 4u);"),
    ("block/linear_tiled.wgsl", "x_tile[(first + 8u * 3u) * STRIDE + k]", "x_tile[(first + 8u * 2u) * STRIDE + k]"),
    ("block/linear_cooperative.wgsl", "c33 = coopMultiplyAdd(a3, b3, c33)", "c33 = coopMultiplyAdd(a3, b2, c33)"),
    ("block/query_key.wgsl", "a3 += vec4(dot(c3, b0)", "a3 += vec4(dot(c2, b0)"),
    ("block/query_key_cooperative.wgsl", "c11 = coopMultiplyAdd(a1, b1, c11)", "c11 = coopMultiplyAdd(a1, b0, c11)"),
    ("block/softmax.wgsl", "1.0 / row_sum(sum, thread)", "1.0 / (row_sum(sum, thread) + 1e-4)"),
    ("block/attention_mix.wgsl", "if rest > 7u { y[out + 7u * width] = narrow(a7); }", ""),
    ("block/query_key_subgroup.wgsl", "key + i >= query", "key + i > query"),
    ("block/softmax_subgroup.wgsl", "sum = sum * exp(before - most) + ", "sum = sum + "),
    ("block/attention_mix_subgroup.wgsl", "multiply(&b1, b, probs1, first)", "multiply(&b1, b, probs0, first)"),
    ("block/attention.wgsl", "sum = sum * shrink + ", "sum = sum + "),
    ("block/attention_subgroup.wgsl", "    shrink(sums, softmax, 5u);\n", ""),
    (
        "block/attention_cooperative.wgsl",
        "sum += rounded.x + rounded.y + rounded.z + rounded.w;",
        "sum += rounded.x + rounded.y + rounded.z;",
    ),
    ("block/attention_mean_cooperative.wgsl", "+ bias - row.x) * row.y", "+ bias - row.x) * row.x"),
    ("block/attention_mean.wgsl", "r2.x) * r2.y", "r2.x) * r3.y"),
    ("block/attention_mean_row.wgsl", "head += SHARING", "head += SHARING + 1u"),
    ("block/attention_mean_subgroup.wgsl", "store((*sum)[7], at + 7u", "store((*sum)[7], at + 6u"),
    ("condense/attention_connectivity.wgsl", "sum / f32(params.heads)", "sum / f32(params.heads + 1u)"),
    (
        "condense/attention_powers.wgsl",
        "add(&sum, strip, own_factor, own.first, 3u)",
        "add(&sum, strip, own_factor, own.first, 2u)",
    ),
    ("condense/dominance.wgsl", "params.prefix + token;", "params.prefix + token - 1u;"),
    ("shared/unit_key.wgsl", "squares += dot(mean, mean)", "squares = dot(mean, mean)"),
    ("condense/uniqueness.wgsl", "(vec4(other) < tokens)", "(vec4(other) > tokens)"),
    ("condense/newton_start.wgsl", "- params.alpha * w[at]", "+ params.alpha * w[at]"),
    ("condense/matrix_product.wgsl", "value += params.identity;", ""),
    ("condense/connectivity.wgsl", "var factor = 1.0;", "var factor = 1.0001;"),
    ("condense/score.wgsl", "params.beta, CONNECTIVITY)", "params.beta, DOMINANCE)"),
    ("condense/score_subgroup.wgsl", "min(row + 5u * stride, last)", "min(row + 6u * stride, last)"),
    ("shared/select_subgroup.wgsl", "(vec4(other) < tokens)", "(vec4(other) > tokens)"),
    ("shared/select.wgsl", "(vec4(other) < tokens)", "(vec4(other) > tokens)"),
    ("condense/assign.wgsl", "item_b < item_a", "item_b > item_a"),
    ("condense/assign_subgroup.wgsl", "b.item < a.item", "b.item > a.item"),
    ("condense/assign_lowest.wgsl", "order[first + kept + r]]", "order[first + r]]"),
    ("condense/bipartite.wgsl", "other += 2u", "other += 1u"),
    ("condense/similarity.wgsl", "-sqrt(values[i]), DISTANCE", "-values[i], DISTANCE"),
    ("condense/fuse.wgsl", "(weights != 0.0 && is_finite(weights))", "(weights != 0.0)"),
    ("head/pool.wgsl", "weight += size;", "weight += 1.0;"),
    ("head/trim.wgsl", "index % params.columns]", "index % params.stride]"),
    ("head/token_max.wgsl", "x[(rows + params.prefix) * params.classes", "x[rows * params.classes"),
];

/// Slips in what only some forms of a kernel run, and the kernel.
const SLIPS_OF_FORMS: &[(&str, &str, &str, &str)] = &[
    (
        "attention_cooperative",
        "block/attention_cooperative.wgsl",
        "value += log(vec4(sizes[place.x], sizes[place.y]",
        "value += log(vec4(sizes[place.x], sizes[place.x]",
    ),
    ("attention_cooperative", "block/attention_cooperative.wgsl", "First(token, wanted - token)", "First(token, 0u)"),
    (
        "attention_cooperative",
        "block/attention_cooperative.wgsl",
        "if workgroupUniformLoad(&has_no_room) == 0u {",
        "if workgroupUniformLoad(&has_no_room) < 2u {",
    ),
    ("attention_cooperative", "block/attention_cooperative.wgsl", "o2 = nothing();", "o2 = o3;"),
    (
        "attention_mean_cooperative",
        "block/attention_mean_cooperative.wgsl",
        "var sum = select(vec4(0.0), mean, is_patch);",
        "var sum = mean;",
    ),
    (
        "query_key_cooperative",
        "block/query_key_cooperative.wgsl",
        "if row < column && column < params.tokens {",
        "if row + 1u < column && column < params.tokens {",
    ),
    ("query_key_cooperative", "block/query_key_cooperative.wgsl", "length -= 1u) {", "length -= 0u) {"),
    ("key_mean", "shared/unit_key.wgsl", "mean_at(part.source, d) * scale", "mean_at(part.source, part.lane) * scale"),
    ("key_mean", "condense/key_mean.wgsl", "if index < count_of_keys() {", "if index + 1u < count_of_keys() {"),
    ("key_mean_subgroup", "condense/key_mean_subgroup.wgsl", "if index >= count", "if index + 1u >= count"),
    ("key_mean_subgroup", "shared/units_texture.wgsl", "vec2(d, i), image", "vec2(d, i), 0u"),
    ("query_key_subgroup", "shared/rows_texture.wgsl", "row >> 16u", "0u"),
    ("query_key_subgroup", "shared/rows_buffer.wgsl", "* params.row4 + offset4;", "* params.row4;"),
    ("layer_norm", "block/layer_norm.wgsl", "source = rows[within];", "source = rows[0u];"),
    ("layer_norm_subgroup", "block/layer_norm_subgroup.wgsl", "source = rows[row];", "source = rows[0u];"),
    (
        "layer_norm_subgroup",
        "block/layer_norm_subgroup.wgsl",
        "row[k] * row[k], exists(lane, k)",
        "row[k] * row[k], true",
    ),
    (
        "layer_norm_subgroup",
        "block/layer_norm_subgroup.wgsl",
        "min(first + EACH, params.rows)",
        "min(first + 2u, params.rows)",
    ),
    (
        "layer_norm_subgroup",
        "block/layer_norm_subgroup.wgsl",
        "own = Octet(subgroup, 0u, invocation);",
        "own = Octet(0u, 0u, invocation);",
    ),
    ("assign", "condense/assign.wgsl", "parts_a[thread] + parts_a[64u + thread]", "parts_a[thread] + parts_a[thread]"),
    ("convolve_subgroup", "embed/convolve_subgroup.wgsl", "pixel(line, first + u + step)", "pixel(line, first + u)"),
    ("convolve_subgroup", "shared/weights_texture.wgsl", "vec2(at + 1u, k)", "vec2(at, k)"),
    (
        "convolve_cooperative",
        "embed/convolve_cooperative.wgsl",
        "row = (row - tap * params.inputs) * (KERNEL * KERNEL) + tap;",
        "row = (row - tap * params.inputs) * (KERNEL * KERNEL);",
    ),
    (
        "convolve_cooperative",
        "embed/convolve_cooperative.wgsl",
        "(k + 3u) / (KERNEL * KERNEL), (k + 3u)",
        "(k + 3u) / (KERNEL * KERNEL), (k + 2u)",
    ),
    (
        "convolve_cooperative",
        "embed/convolve_cooperative.wgsl",
        "if pixel < params.images * area {",
        "if pixel + 1u < params.images * area {",
    ),
    ("linear_tiled", "block/linear_tiled.wgsl", "w_tile[192u + thread] = part.w3;", "w_tile[192u + thread] = part.w2;"),
    ("linear_cooperative", "shared/cooperative_epilogue.wgsl", "sources.y, column)", "sources.x, column)"),
    ("linear_cooperative", "shared/sums_direct.wgsl", "&bias[column4]", "&bias[0]"),
    ("linear_cooperative", "shared/slabs.wgsl", "return w[source + first4", "return w[first4"),
    ("linear_cooperative", "block/linear_cooperative.wgsl", "let sum = part + load_sum(", "let sum = load_sum("),
    ("linear", "shared/epilogue.wgsl", "return rows[min(row, params.rows - 1u)];", "return row;"),
    ("linear_subgroup", "shared/epilogue.wgsl", "return rows[min(row, params.rows - 1u)];", "return row;"),
    ("linear_tiled", "shared/epilogue.wgsl", "return rows[min(row, params.rows - 1u)];", "return row;"),
    ("linear_subgroup", "shared/weights_buffer.wgsl", "widen_high(other), at.y", "widen_low(other), at.y"),
    ("attention_powers", "shared/made_buffer.wgsl", "w[row / 4u + columns.quad] = value", "w[row / 4u] = value"),
    ("linear_subgroup", "shared/input_f16.wgsl", "return widen(stored.zw);", "return widen(stored.xy);"),
    ("score_subgroup", "shared/matrix_buffer.wgsl", "return w[row / 4u + columns.quad];", "return w[row / 4u];"),
    ("assign_subgroup", "shared/matrix_buffer.wgsl", "return w[row / 4u + columns.quad];", "return w[row / 4u];"),
    ("score_subgroup", "shared/matrix_texture.wgsl", "return texel(row, columns.quad);", "return texel(row, 0u);"),
    ("assign_subgroup", "shared/matrix_texture.wgsl", "row >> 16u));", "0u));"),
    (
        "score_subgroup",
        "condense/score_subgroup.wgsl",
        "if row + 3u * row_step() < end",
        "if row + 4u * row_step() < end",
    ),
    ("linear_subgroup", "shared/weights_texture.wgsl", "vec2(at + 1u, k)", "vec2(at, k)"),
    ("linear_subgroup", "shared/input_f32.wgsl", "bitcast<vec4<f32>>(second)", "bitcast<vec4<f32>>(first)"),
    ("attention_subgroup", "shared/emitted_texture.wgsl", "vec4(given, own), odd", "vec4(own, given), odd"),
    ("attention_subgroup", "shared/emitted_texture.wgsl", "to.image, words(b));", "to.image, words(a));"),
    ("attention_subgroup", "shared/emitted_buffer.wgsl", "powers[at + stride] = narrow(b);", "powers[at] = narrow(b);"),
    ("attention_powers", "shared/powers_texture.wgsl", "texel_of_powers(row, at + 1u)", "texel_of_powers(row, at)"),
    ("attention_powers", "shared/made_texture.wgsl", "vec2(columns.quad, i), image", "vec2(columns.quad, i), 0u"),
    ("assign_subgroup", "condense/assign_subgroup.wgsl", "four(lines.w, columns)", "four(lines.z, columns)"),
    ("score_subgroup", "condense/score_subgroup.wgsl", "keys[columns.w] = value.w", "keys[columns.w] = value.z"),
    (
        "attention_powers",
        "condense/attention_powers.wgsl",
        "column_sums[row / 4u + columns.quad] = total",
        "column_sums[row / 4u] = total",
    ),
    (
        "attention_powers",
        "condense/attention_powers.wgsl",
        "sum / f32(params.heads), columns.real)",
        "sum, columns.real)",
    ),
    ("fuse", "condense/fuse.wgsl", "rows[index] = row;", "rows[index] = index;"),
    ("fuse", "condense/fuse.wgsl", "if r < place {", "if r + 1u < place {"),
];

/// Every shader into `folder`, in some of them one text replaced by another.
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

/// A device with the shaders of `folder`.
pub fn open(folder: &Path) -> Context {
    let mut options = ContextOptions::default();
    options.shaders = Some(folder.to_owned());
    pollster::block_on(Context::with_options(options)).unwrap()
}

#[test]
fn a_slip_in_any_shader_is_found_by_the_doctor() {
    let folder = tempfile::tempdir().unwrap();
    write_shaders(folder.path(), SLIPS);
    let gpu = open(folder.path());
    let findings = doctor::run(&gpu, |_| {});
    let checks = || CHECKS.iter().filter(|check| check.runs_on(&gpu));
    assert_eq!(findings.len(), checks().map(|check| check.sizes.len()).sum::<usize>());
    for check in checks() {
        let of_kernel = || findings.iter().filter(|finding| finding.kernel == check.kernel);
        assert!(of_kernel().all(|finding| finding.outcome.is_ok()), "{:#?}", of_kernel().collect::<Vec<_>>());
        assert!(of_kernel().any(|finding| !finding.passed()), "{} passed", check.kernel);
    }
}

#[test]
fn a_slip_in_one_form_of_a_kernel_is_found_by_the_doctor() {
    for &(kernel, path, right, wrong) in SLIPS_OF_FORMS {
        let folder = tempfile::tempdir().unwrap();
        write_shaders(folder.path(), &[(path, right, wrong)]);
        let gpu = open(folder.path());
        let Some(check) = CHECKS.iter().find(|check| check.kernel == kernel && check.runs_on(&gpu)) else {
            println!("SKIPPED {kernel}: {} cannot run it", gpu.describe());
            continue;
        };
        let found = |size: &&[usize]| !doctor::check(&gpu, kernel, size, 1).unwrap().passed();
        assert!(check.sizes.iter().any(found), "{path}: `{wrong}` passed");
    }
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
    let mut options = ContextOptions::default();
    options.shaders = Some(folder.path().to_owned());
    let error = pollster::block_on(Context::with_options(options)).unwrap_err().to_string();
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
