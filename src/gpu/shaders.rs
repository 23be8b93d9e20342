//! The table of WGSL files, and `#import`, the only addition to WGSL. A line `#import shared/x.wgsl` stands for that
//! file's text. The text is included once, even if several lines import it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use super::Types;
use crate::error::{Error, Result};

macro_rules! table {
    ($($(#[$condition:meta])* $path:literal),* $(,)?) => {
        &[$($(#[$condition])* ($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path)))),*]
    };
}

/// Every shader of the crate: its path below `shaders/` and its text.
pub const SHADERS: &[(&str, &str)] = table![
    "shared/activation.wgsl",
    "shared/columns.wgsl",
    "shared/cooperative_16.wgsl",
    "shared/cooperative_8.wgsl",
    "shared/cooperative_epilogue.wgsl",
    "shared/cooperative_rows.wgsl",
    "shared/epilogue.wgsl",
    "shared/float.wgsl",
    "shared/grid.wgsl",
    "shared/input_f16.wgsl",
    "shared/input_f32.wgsl",
    "shared/listing.wgsl",
    "shared/matrix.wgsl",
    "shared/octet.wgsl",
    "shared/output_f16.wgsl",
    "shared/output_f32.wgsl",
    "shared/pack_cutting.wgsl",
    "shared/pack_rounding.wgsl",
    "shared/row_reduce.wgsl",
    "shared/select.wgsl",
    "shared/select_subgroup.wgsl",
    "shared/slabs.wgsl",
    "shared/sums_direct.wgsl",
    "shared/sums_staged.wgsl",
    "shared/unit_key.wgsl",
    "shared/words.wgsl",
    "embed/texture.wgsl",
    "embed/resample.wgsl",
    "embed/convolve_params.wgsl",
    "embed/convolve.wgsl",
    "embed/convolve_cooperative.wgsl",
    "embed/patchify.wgsl",
    "embed/assemble.wgsl",
    "block/layer_norm_params.wgsl",
    "block/layer_norm.wgsl",
    "block/layer_norm_subgroup.wgsl",
    "block/linear_params.wgsl",
    "block/linear.wgsl",
    "block/linear_tiled.wgsl",
    "block/linear_cooperative.wgsl",
    "block/query_key_params.wgsl",
    "block/query_key.wgsl",
    "block/query_key_subgroup.wgsl",
    "block/query_key_cooperative.wgsl",
    "block/softmax_params.wgsl",
    "block/softmax.wgsl",
    "block/softmax_subgroup.wgsl",
    "block/attention_mix_params.wgsl",
    "block/attention_mix.wgsl",
    "block/attention_params.wgsl",
    "block/attention.wgsl",
    "block/attention_cooperative.wgsl",
    "block/attention_mean_params.wgsl",
    "block/attention_mean.wgsl",
    "block/attention_mean_row.wgsl",
    "block/attention_mean_cooperative.wgsl",
    "condense/attention_connectivity.wgsl",
    "condense/dominance.wgsl",
    "condense/key_mean_params.wgsl",
    "condense/key_mean.wgsl",
    "condense/key_mean_subgroup.wgsl",
    "condense/uniqueness.wgsl",
    "condense/connectivity.wgsl",
    "condense/matrix_product.wgsl",
    "condense/newton_start.wgsl",
    "condense/score_params.wgsl",
    "condense/score.wgsl",
    "condense/score_subgroup.wgsl",
    "condense/top_k_params.wgsl",
    "condense/top_k.wgsl",
    "condense/top_k_subgroup.wgsl",
    "condense/assign_params.wgsl",
    "condense/assign.wgsl",
    "condense/assign_lowest.wgsl",
    "condense/bipartite.wgsl",
    "condense/similarity.wgsl",
    "condense/fuse.wgsl",
    "head/pool.wgsl",
    "head/token_max.wgsl",
    "head/trim.wgsl",
    #[cfg(feature = "software")]
    "cpu/assign_subgroup.wgsl",
    #[cfg(feature = "software")]
    "cpu/attention_mean_subgroup.wgsl",
    #[cfg(feature = "software")]
    "cpu/attention_subgroup.wgsl",
    #[cfg(feature = "software")]
    "cpu/convolve_subgroup.wgsl",
    #[cfg(feature = "software")]
    "cpu/linear_subgroup.wgsl",
    #[cfg(feature = "software")]
    "cpu/weights_buffer.wgsl",
    #[cfg(feature = "software")]
    "cpu/weights_texture.wgsl",
];

/// The source of shader text: the shaders compiled in, or a folder with the same files.
#[derive(Debug)]
pub struct Shaders(HashMap<&'static str, Cow<'static, str>>);

impl Shaders {
    /// The shaders compiled into this crate.
    pub fn embedded() -> Self {
        Self(SHADERS.iter().map(|&(path, text)| (path, Cow::Borrowed(text))).collect())
    }

    /// The same files, read from `folder`.
    ///
    /// # Errors
    /// [`Error::File`], which names the file that cannot be read.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let read = |&(path, _): &(&'static str, &str)| {
            let file = folder.join(path);
            match std::fs::read_to_string(&file) {
                Ok(text) => Ok((path, Cow::Owned(text))),
                Err(error) => {
                    Err(Error::file("read shaders", format!("a readable {}", file.display()), error.to_string())
                        .caused_by(error))
                }
            }
        };
        Ok(Self(SHADERS.iter().map(read).collect::<Result<_>>()?))
    }

    /// The text of `path` with its imports in place, each once and dependencies first, for buffers of `types`.
    /// Directives that enable an extension come first, as WGSL demands.
    ///
    /// # Errors
    /// [`Error::Shader`] when `path` or an import is not in the table.
    pub fn compose(&self, path: &str, types: Types) -> Result<String> {
        let mut text = String::new();
        self.append(path, types, &mut Vec::new(), &mut text)?;
        let (directives, rest): (Vec<&str>, Vec<&str>) =
            text.split_inclusive('\n').partition(|line| line.starts_with("enable "));
        Ok(directives.concat() + &rest.concat())
    }

    fn append<'a>(&'a self, path: &'a str, types: Types, done: &mut Vec<&'a str>, out: &mut String) -> Result<()> {
        if done.contains(&path) {
            return Ok(());
        }
        done.push(path);
        let text = self
            .0
            .get(path)
            .ok_or_else(|| Error::shader("compose shader", "a path of the shader table (src/gpu/shaders.rs)", path))?;
        let import = |line: &'a str| line.strip_prefix("#import ").map(str::trim);
        for line in text.lines() {
            if let Some(imported) = import(line) {
                self.append(types.resolve(imported), types, done, out)?;
            }
        }
        for line in text.lines().filter(|line| import(line).is_none()) {
            out.push_str(line);
            out.push('\n');
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_below_shaders_is_in_the_table_and_composes() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
        let mut found = 0;
        for stage in std::fs::read_dir(&root).unwrap() {
            let stage = stage.unwrap().path();
            for file in std::fs::read_dir(&stage).unwrap() {
                let file = file.unwrap().path();
                let path = file.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                assert!(SHADERS.iter().any(|(known, _)| *known == path), "{path} is not in the shader table");
                found += 1;
            }
        }
        assert_eq!(found, SHADERS.len());
        let shaders = Shaders::embedded();
        for (path, _) in SHADERS {
            for types in Types::ALL {
                assert!(!shaders.compose(path, types).unwrap().contains("#import"), "{path}");
            }
        }
    }

    #[test]
    fn an_import_comes_once_and_an_unknown_one_is_named() {
        let text = |s: &'static str| Cow::Borrowed(s);
        let shaders = Shaders(HashMap::from([
            ("a", text("#import b\n#import c\nA")),
            ("b", text("#import c\nB")),
            ("c", text("C")),
            ("d", text("#import nowhere")),
            ("e", text("#import c\n#import f\nE")),
            ("f", text("enable f16;\nF")),
        ]));
        assert_eq!(shaders.compose("a", Types::default()).unwrap(), "C\nB\nA\n");
        assert_eq!(shaders.compose("e", Types::default()).unwrap(), "enable f16;\nC\nF\nE\n");
        assert!(shaders.compose("d", Types::default()).unwrap_err().to_string().contains("nowhere"));
    }
}
