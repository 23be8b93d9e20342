//! Compares the declarations in WGSL with those in Rust, and translates every shader by naga to each language that
//! drivers read.

use std::collections::HashSet;
use std::path::Path;

use naga::back::{hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, ImageClass, Module, ShaderStage, StorageAccess, TypeInner};
use tcvit::low_level::doctor::checks;
use tcvit::low_level::gpu::{Access, Field, FieldType, Home, Kernel, NEEDED, Precision, SHADERS, Shaders, Tile, Types};

/// The least value that every context demands of the limit `name` of its device.
fn needed(name: &str) -> u64 {
    NEEDED.iter().find(|need| need.name == name).unwrap_or_else(|| panic!("{name} is not demanded")).least
}

fn kernels() -> impl Iterator<Item = &'static Kernel> {
    checks().map(|check| check.kernel)
}

fn parse(kernel: &Kernel, types: Types) -> (Module, ModuleInfo) {
    let source = Shaders::embedded().compose(kernel.shader, types).unwrap();
    let module = naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string_with_path(&source, kernel.shader)));
    let info = Validator::new(ValidationFlags::all(), capabilities(kernel))
        .subgroup_operations(naga::valid::SubgroupOperationSet::all())
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string_with_path(&source, kernel.shader)));
    (module, info)
}

/// Metal 2.3 is the first version with cooperative matrices, and has everything else that the kernels use.
fn msl_options() -> msl::Options {
    msl::Options { lang_version: (2, 3), ..Default::default() }
}

/// The capabilities that a device must have for `kernel`. Packing and unpacking of f16 are part of WGSL; only some
/// OpenGL devices lack them.
fn capabilities(kernel: &Kernel) -> Capabilities {
    let needed = [
        (wgpu::Features::SUBGROUP, Capabilities::SUBGROUP),
        (wgpu::Features::SUBGROUP_BARRIER, Capabilities::SUBGROUP_BARRIER),
        (wgpu::Features::SHADER_F16, Capabilities::SHADER_FLOAT16),
        (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, Capabilities::COOPERATIVE_MATRIX),
    ]
    .into_iter()
    .filter(|&(feature, _)| kernel.features.contains(feature))
    .map(|(_, capability)| capability);
    needed.collect::<Capabilities>() | Capabilities::SHADER_FLOAT16_IN_FLOAT32
}

/// Neither naga's translation to HLSL nor wgpu's DX12 backend has cooperative matrices.
fn is_for_dx12(kernel: &Kernel) -> bool {
    !kernel.features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
}

/// All types that a kernel may be composed for.
fn all_types(kernel: &Kernel) -> Vec<Types> {
    let types: Vec<Types> = match is_for_dx12(kernel) {
        true => {
            let written = |types: Types| [types, types.packed(types.output == Precision::F16)];
            Types::ALL.into_iter().flat_map(written).collect::<HashSet<_>>().into_iter().collect()
        }
        false => {
            let tiled = Tile::ALL.iter().flat_map(|&tile| Types::ALL.map(|types| types.tiled(tile)));
            tiled.flat_map(|types| [types, types.stored(true)]).collect()
        }
    };
    homes(kernel).into_iter().flat_map(|home| types.iter().map(move |types| types.at(home))).collect()
}

/// The places where the kernel's weights may lie.
fn homes(kernel: &Kernel) -> Vec<Home> {
    let moves = kernel.bindings.iter().any(|binding| binding.access == Access::weights);
    if moves { Home::ALL.to_vec() } else { vec![Home::Buffer] }
}

/// Every kernel, with all types that it may be composed for.
fn compositions() -> impl Iterator<Item = (&'static Kernel, Types)> {
    kernels().flat_map(|kernel| all_types(kernel).into_iter().map(move |types| (kernel, types)))
}

/// Whether Rust gives `constant` its value. The shader computes lengths of arrays, and constants that depend on others.
fn is_given(module: &Module, constant: &naga::Override) -> bool {
    !constant.name.as_ref().is_some_and(|name| name.ends_with("_LENGTH"))
        && constant.init.is_none_or(|init| matches!(module.global_expressions[init], naga::Expression::Literal(_)))
}

/// Each override at each of its legal values, while the others have the shader's own values. All combinations would add
/// little.
fn all_constants(kernel: &Kernel) -> Vec<naga::back::PipelineConstants> {
    let of_override = |declared: &tcvit::low_level::gpu::Override| {
        let name = declared.name;
        declared.values.iter().map(move |&value| [(name.to_owned(), f64::from(value))].into_iter().collect())
    };
    let each = kernel.overrides.iter().flat_map(of_override);
    std::iter::once(naga::back::PipelineConstants::default()).chain(each).collect()
}

#[test]
fn every_kernel_translates_to_spir_v_msl_and_hlsl() {
    for (kernel, types) in compositions() {
        let (module, info) = parse(kernel, types);
        for constants in all_constants(kernel) {
            let what = format!("{} with {constants:?}, {types:?}", kernel.shader);
            let entry = (ShaderStage::Compute, "main");
            let (module, info) = process_overrides(&module, &info, Some(entry), &constants)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            let entry = Some((ShaderStage::Compute, "main".to_owned()));

            let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".to_owned() };
            let words = spv::write_vec(&module, &info, &spv::Options::default(), Some(&pipeline))
                .unwrap_or_else(|error| panic!("SPIR-V of {what}: {error}"));
            assert_eq!(words[0], 0x0723_0203, "SPIR-V of {what}");

            let pipeline = msl::PipelineOptions { entry_point: entry.clone(), ..Default::default() };
            let (text, translation) = msl::write_string(&module, &info, &msl_options(), &pipeline)
                .unwrap_or_else(|error| panic!("MSL of {what}: {error}"));
            assert!(translation.entry_point_names.iter().all(Result::is_ok), "MSL of {what}");
            assert!(text.contains("kernel void"), "MSL of {what}");

            if !is_for_dx12(kernel) {
                continue;
            }
            let pipeline = hlsl::PipelineOptions { entry_point: entry };
            let mut text = String::new();
            let reflection = hlsl::Writer::new(&mut text, &hlsl::Options::default(), &pipeline)
                .write(&module, &info, None)
                .unwrap_or_else(|error| panic!("HLSL of {what}: {error}"));
            assert!(reflection.entry_point_names.iter().all(Result::is_ok), "HLSL of {what}");
            assert!(text.contains("numthreads"), "HLSL of {what}");
        }
    }
}

/// A binding as the shader declares it.
struct Declared {
    group: u32,
    number: u32,
    name: String,
    space: AddressSpace,
    inner: TypeInner,
    size: u32,
}

fn declared(module: &Module) -> Vec<Declared> {
    let mut all: Vec<Declared> = module
        .global_variables
        .iter()
        .filter_map(|(_, variable)| {
            let binding = variable.binding?;
            let inner = module.types[variable.ty].inner.clone();
            Some(Declared {
                group: binding.group,
                number: binding.binding,
                name: variable.name.clone().unwrap(),
                space: variable.space,
                size: inner.size(module.to_ctx()),
                inner,
            })
        })
        .collect();
    all.sort_by_key(|declared| declared.number);
    all
}

#[test]
fn bindings_are_those_that_rust_binds() {
    for (kernel, home) in kernels().flat_map(|kernel| homes(kernel).into_iter().map(move |home| (kernel, home))) {
        let (module, _) = parse(kernel, Types::default().at(home));
        let declared = declared(&module);
        let path = kernel.shader;
        assert_eq!(declared.len(), kernel.bindings.len() + 1, "{path}");
        assert!(declared.iter().zip(0..).all(|(d, number)| d.group == 0 && d.number == number), "{path}: numbering");
        let params = &declared[0];
        assert_eq!((params.name.as_str(), params.space), ("params", AddressSpace::Uniform), "{path}");
        assert!(matches!(params.inner, TypeInner::Struct { .. }), "{path}");
        assert_eq!(params.size as usize, 4 * kernel.fields.len(), "{path}: the size of params");
        for (declared, binding) in declared[1..].iter().zip(kernel.bindings) {
            let what = format!("{path}: {}", binding.name);
            assert_eq!(declared.name, binding.name, "{what}");
            let expected: &[Access] = match (declared.space, &declared.inner) {
                (AddressSpace::Storage { access }, _) if access == StorageAccess::LOAD => {
                    &[Access::read, Access::weights]
                }
                (AddressSpace::Storage { access }, _) if access == StorageAccess::LOAD | StorageAccess::STORE => {
                    &[Access::write]
                }
                (AddressSpace::Handle, TypeInner::Image { class: ImageClass::Storage { access, .. }, .. })
                    if *access == StorageAccess::LOAD =>
                {
                    &[Access::weights]
                }
                (AddressSpace::Handle, TypeInner::Image { .. }) => &[Access::texture],
                other => panic!("{what}: {other:?}"),
            };
            assert!(expected.contains(&binding.access), "{what}: {:?} is none of {expected:?}", binding.access);
            let storage = matches!(declared.space, AddressSpace::Storage { .. });
            let moved = binding.access == Access::weights;
            assert!(!moved || storage == (home == Home::Buffer), "{what} in {home:?}");
        }
        let buffers = kernel.bindings.iter().filter(|binding| binding.access != Access::texture).count();
        assert!(
            buffers as u64 <= needed("max_storage_buffers_per_shader_stage"),
            "{path} binds {buffers} storage buffers"
        );
    }
}

/// Rust writes params field by field, four bytes each, so padding anywhere would shift the fields after it.
#[test]
fn params_are_the_fields_that_rust_writes_in_their_order_without_padding() {
    for kernel in kernels() {
        let (module, _) = parse(kernel, Types::default());
        let TypeInner::Struct { members, .. } = &declared(&module)[0].inner else { panic!("{}", kernel.shader) };
        let in_wgsl: Vec<(&str, Option<naga::Scalar>)> = members
            .iter()
            .map(|member| (member.name.as_deref().unwrap(), module.types[member.ty].inner.scalar()))
            .collect();
        let scalar = |field: &Field| match field.field_type {
            FieldType::Unsigned => naga::Scalar::U32,
            FieldType::Float => naga::Scalar::F32,
        };
        let in_rust: Vec<_> = kernel.fields.iter().map(|field| (field.name, Some(scalar(field)))).collect();
        assert_eq!(in_wgsl, in_rust, "{}", kernel.shader);
        for (member, place) in members.iter().zip(0..) {
            assert_eq!(member.offset, place * 4, "{}: {:?}", kernel.shader, member.name);
        }
    }
}

/// A kernel has the same overrides for all types that it is composed for, so that every dispatch can set the same ones.
#[test]
fn overrides_are_those_that_rust_gives_a_value() {
    for (kernel, types) in compositions() {
        let (module, _) = parse(kernel, types);
        let all = module.overrides.iter().map(|(_, constant)| constant);
        let given: Vec<_> = all.filter(|constant| is_given(&module, constant)).collect();
        let mut in_wgsl: Vec<&str> = given.iter().map(|constant| constant.name.as_deref().unwrap()).collect();
        let mut in_rust: Vec<&str> = kernel.overrides.iter().map(|declared| declared.name).collect();
        in_wgsl.sort_unstable();
        in_rust.sort_unstable();
        assert_eq!(in_wgsl, in_rust, "{}, {types:?}", kernel.shader);
        for constant in given {
            let declared = kernel.overrides.iter().find(|declared| Some(declared.name) == constant.name.as_deref());
            let values = declared.unwrap().values;
            let fits = match module.types[constant.ty].inner {
                TypeInner::Scalar(naga::Scalar::BOOL) => values.iter().all(|&value| value < 2),
                TypeInner::Scalar(naga::Scalar::U32) => true,
                _ => false,
            };
            let distinct: HashSet<u32> = values.iter().copied().collect();
            assert!(fits && distinct.len() == values.len(), "{}: {:?}: {values:?}", kernel.shader, constant.name);
        }
    }
}

#[test]
fn workgroups_have_the_size_that_rust_counts_with_and_fit_everywhere() {
    for (kernel, types) in compositions() {
        let (module, info) = parse(kernel, types);
        // A workgroup size that an override gives is known only once overrides have their values.
        let (module, _) = process_overrides(&module, &info, None, &Default::default()).unwrap();
        let [entry] = module.entry_points.as_slice() else { panic!("{}: not one entry point", kernel.shader) };
        assert_eq!((entry.name.as_str(), entry.stage), ("main", ShaderStage::Compute), "{}", kernel.shader);
        assert_eq!(entry.workgroup_size, kernel.workgroup_size, "{}", kernel.shader);
        let threads: u32 = kernel.workgroup_size.iter().product();
        assert!(u64::from(threads) <= needed("max_compute_invocations_per_workgroup"), "{}", kernel.shader);
        assert!(u64::from(kernel.workgroup_size[0]) <= needed("max_compute_workgroup_size_x"), "{}", kernel.shader);
        let bindings = 1 + kernel.bindings.len() as u64;
        assert!(bindings <= needed("max_bindings_per_bind_group"), "{}", kernel.shader);
        let memory: u32 = module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == AddressSpace::WorkGroup)
            .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()))
            .sum();
        let most = needed("max_compute_workgroup_storage_size");
        assert!(u64::from(memory) <= most, "{} takes {memory} bytes of workgroup memory", kernel.shader);
    }
}

/// Whether a comment on the line has a shape such as `[B, N, ...]`.
fn has_shape(line: &str) -> bool {
    line.split_once("//").is_some_and(|(_, comment)| {
        let shape = comment.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        shape.is_some_and(|(shape, _)| !shape.trim().is_empty())
    })
}

#[test]
fn every_tensor_says_its_shape() {
    for (kernel, types) in compositions() {
        let text = Shaders::embedded().compose(kernel.shader, types).unwrap();
        let tensors = || text.lines().filter(|line| line.contains("@binding(") && !line.contains("var<uniform>"));
        for line in tensors() {
            assert!(has_shape(line), "{}: no shape comment on `{line}`", kernel.shader);
        }
        assert_eq!(tensors().count(), kernel.bindings.len(), "{}", kernel.shader);
    }
    assert!(!has_shape("@group(0) @binding(1) var<storage, read> x: array<f32>; // the input"));
    assert!(!has_shape("@group(0) @binding(1) var<storage, read> x: array<f32>;"));
}

#[test]
fn every_shader_with_an_entry_point_is_a_kernel_of_its_stem() {
    for (path, text) in SHADERS {
        let kernels = kernels().filter(|kernel| kernel.shader == *path).count();
        let is_left_out = path.starts_with("cpu/") && cfg!(not(feature = "software"));
        assert_eq!(kernels, usize::from(text.contains("@compute") && !is_left_out), "{path}");
    }
    for kernel in kernels() {
        let stem = Path::new(kernel.shader).file_stem().unwrap();
        assert_eq!(stem, kernel.name);
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for folder in ["src/kernels", "src/reference", "src/comparison", "tests/kernels"] {
            let file = Path::new(folder).join(kernel.family()).with_extension("rs");
            // Operations that only software adapters run lie in the folder of their kernels.
            let kernels = Path::new("src/kernels/cpu").join(kernel.family()).with_extension("rs");
            let is_there = root.join(&file).exists() || folder == "src/kernels" && root.join(kernels).exists();
            assert!(is_there, "{} is missing", file.display());
        }
    }
}
