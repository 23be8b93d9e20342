//! The interface of a system, and the list of systems.

use std::path::Path;

use crate::Failure;
use crate::case::Case;
use crate::{in_burn, in_candle, in_tcvit};

/// One system with the weights of a case, ready to run its batch.
pub trait Peer {
    /// Uploads pixels [B, 3, image, image] for the following forwards.
    fn upload(&mut self, pixels: &[f32]) -> Result<(), Failure>;

    /// Starts one forward of the uploaded pixels. It may still be running on return.
    fn forward(&mut self) -> Result<(), Failure>;

    /// Waits until every forward has finished.
    fn wait(&mut self) -> Result<(), Failure>;

    /// Logits [B, classes] of the last forward, in host memory.
    fn download(&mut self) -> Result<Vec<f32>, Failure>;

    /// The device and its capabilities, in the system's own words.
    fn device(&self) -> String;
}

/// The systems, by their names in `--systems`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum System {
    /// tcvit, all tokens.
    Tcvit,
    /// tcvit with the paper's condensation.
    TcvitCondensed,
    /// tcvit running ToMe.
    TcvitTome,
    /// burn on wgpu, with its attention function.
    Burn,
    /// burn on wgpu, with attention as two matrix products and a softmax.
    BurnPlain,
    /// `burn` in f16.
    BurnF16,
    /// `burn-plain` in f16.
    BurnPlainF16,
    /// candle on the CPU.
    Candle,
}

impl System {
    /// Name and version of the program, then how it runs the network.
    pub fn label(self, case: &Case) -> String {
        let compiler = if cfg!(feature = "spirv") { "SPIR-V if supported" } else { "WGSL" };
        let burn = format!("burn {}, wgpu ({compiler})", locked("burn"));
        match self {
            Self::Tcvit => "tcvit, full".into(),
            Self::TcvitCondensed => format!("tcvit, condensed (paper, R = {})", case.drop),
            Self::TcvitTome => format!("tcvit, ToMe (R = {})", case.drop),
            Self::Burn => format!("{burn}, its attention"),
            Self::BurnPlain => format!("{burn}, plain attention"),
            Self::BurnF16 => format!("{burn}, its attention, f16"),
            Self::BurnPlainF16 => format!("{burn}, plain attention, f16"),
            Self::Candle => format!("candle {}, CPU", locked("candle-core")),
        }
    }

    /// The largest difference from the reference logits that passes, as a share of the largest logit. `None` for
    /// forwards that must differ. f16 has a large tolerance: attention in networks with random weights is sharp and
    /// amplifies rounding, and an error in the program changes logits by more than the largest one. Smaller errors in
    /// the program show in f32.
    pub fn tolerance(self) -> Option<f32> {
        match self {
            Self::TcvitCondensed | Self::TcvitTome => None,
            Self::BurnF16 | Self::BurnPlainF16 => Some(1e-1),
            Self::Tcvit | Self::Burn | Self::BurnPlain | Self::Candle => Some(1e-3),
        }
    }

    /// Loads the weights of `case` and prepares forwards of its batch.
    pub fn open(self, case: &Case, gpu: &tcvit::Context) -> Result<Box<dyn Peer>, Failure> {
        use in_burn::{Attention, Precision};
        let burn = |attention, precision| -> Result<Box<dyn Peer>, Failure> {
            Ok(Box::new(in_burn::Network::load(case, gpu, attention, precision)?))
        };
        Ok(match self {
            Self::Tcvit => Box::new(in_tcvit::Network::load(case, gpu, None)?),
            Self::TcvitCondensed => {
                Box::new(in_tcvit::Network::load(case, gpu, Some(tcvit::Condensation::paper().drop_per_block(case.drop)))?)
            }
            Self::TcvitTome => Box::new(in_tcvit::Network::load(
                case,
                gpu,
                Some(tcvit::Condensation::tome().schedule(case.tome_drops())),
            )?),
            Self::Burn => burn(Attention::Own, Precision::F32)?,
            Self::BurnPlain => burn(Attention::Plain, Precision::F32)?,
            Self::BurnF16 => burn(Attention::Own, Precision::F16)?,
            Self::BurnPlainF16 => burn(Attention::Plain, Precision::F16)?,
            Self::Candle => Box::new(in_candle::Network::load(case)?),
        })
    }
}

/// The version of a dependency in this program's lock file.
pub fn locked(name: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    lock.split("[[package]]")
        .find_map(|entry| entry.trim_start().strip_prefix(&format!("name = \"{name}\"\nversion = \"")))
        .and_then(|rest| rest.split('"').next())
        .unwrap_or("of unknown version")
}

/// The tensors of a weights file, in f32, by name.
pub struct Weights(Vec<u8>);

impl Weights {
    pub fn read(path: &Path) -> Result<Self, Failure> {
        Ok(Self(std::fs::read(path)?))
    }

    /// Shape and values of every tensor.
    pub fn tensors(&self) -> Result<Vec<(String, Vec<usize>, Vec<f32>)>, Failure> {
        let file = safetensors::SafeTensors::deserialize(&self.0)?;
        let tensors = file.tensors().into_iter();
        Ok(tensors
            .map(|(name, view)| (name, view.shape().to_vec(), bytemuck::pod_collect_to_vec(view.data())))
            .collect())
    }
}
