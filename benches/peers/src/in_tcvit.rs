//! tcvit, through its public API.

use tcvit::{Condensation, Context, LoadOptions, Model, Precision, Session, SessionOptions, Outputs};

use crate::Failure;
use crate::case::Case;
use crate::peer::Peer;

pub struct Network {
    gpu: Context,
    session: Session,
}

impl Network {
    pub fn load(case: &Case, gpu: &Context, condensation: Option<Condensation>) -> Result<Self, Failure> {
        // In f32, like the other systems.
        let model = Model::load_with(gpu, &case.weights, &LoadOptions::new().precision(Precision::F32))?;
        let session = model.session(SessionOptions::new().batch(case.batch).condensation(condensation))?;
        Ok(Self { gpu: gpu.clone(), session })
    }
}

impl Peer for Network {
    fn upload(&mut self, pixels: &[f32]) -> Result<(), Failure> {
        self.gpu.queue().write_buffer(self.session.input(), 0, bytemuck::cast_slice(pixels));
        Ok(())
    }

    fn forward(&mut self) -> Result<(), Failure> {
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        self.session.record_into(&mut encoder)?;
        self.gpu.queue().submit([encoder.finish()]);
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Failure> {
        Ok(self.gpu.wait("forward")?)
    }

    fn download(&mut self) -> Result<Vec<f32>, Failure> {
        Ok(self.session.read_back(self.session.batch(), Outputs::logits())?.logits)
    }

    fn device(&self) -> String {
        self.gpu.describe()
    }
}
