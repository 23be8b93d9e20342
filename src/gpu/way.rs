//! Operations, and the ways to do each. A way is one of several kernels, or constants of one; all give the same results
//! to rounding.

use std::fmt;

use super::{Kernel, Traits, Types};

/// Values for a shader's overrides, by name.
pub type Constants = Vec<(&'static str, u32)>;

/// Everything that a dispatch of a kernel needs besides its buffers and its uniform.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// The number formats of the buffers, and where weights lie.
    pub types: Types,
    /// A value for every override that the kernel declares.
    pub constants: Constants,
    /// Workgroups along x, y and z.
    pub workgroups: [u32; 3],
}

impl Form {
    /// The form of a kernel without overrides, for buffers of f32.
    pub fn plain(workgroups: [u32; 3]) -> Self {
        Self { types: Types::default(), constants: Constants::new(), workgroups }
    }

    /// The same form with `constants` added.
    #[must_use]
    pub fn with(self, constants: impl IntoIterator<Item = (&'static str, u32)>) -> Self {
        let mut all = self.constants;
        all.extend(constants);
        Self { constants: all, ..self }
    }

    /// The same form for buffers of `types`.
    #[must_use]
    pub fn of(self, types: Types) -> Self {
        Self { types, ..self }
    }
}

/// Identifies the pipeline of a dispatch. Two dispatches with equal keys run the same machine code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PipelineKey {
    kernel: &'static str,
    types: Types,
    constants: Constants,
}

impl PipelineKey {
    /// The key of `kernel` in `form`.
    pub fn new(kernel: &Kernel, form: &Form) -> Self {
        let mut constants = form.constants.clone();
        constants.sort_unstable();
        Self { kernel: kernel.name, types: form.types, constants }
    }

    /// The kernel's name.
    pub fn kernel(&self) -> &'static str {
        self.kernel
    }

    /// Types of its buffers.
    pub fn types(&self) -> Types {
        self.types
    }

    /// Values of the overrides, in ascending order of their names.
    pub fn constants(&self) -> &[(&'static str, u32)] {
        &self.constants
    }
}

impl fmt::Display for PipelineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kernel, self.types)?;
        self.constants.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

/// An operation of the network that can be done in several ways. A value of the type is one call: its sizes, its types,
/// and everything else that decides which pipeline runs.
pub trait Operation: Clone + fmt::Debug + Send + Sync + 'static {
    /// The stem that the operation's reference, comparison and test have.
    const NAME: &'static str;

    /// Every way to do it.
    fn ways() -> &'static [Way<Self>];
}

/// One way to do an operation with calls of type `C`: a kernel, and its constants, which follow from the call.
pub struct Way<C> {
    /// Its name, which is unique among the ways of the operation.
    pub name: &'static str,
    /// The kernel that it runs.
    pub kernel: &'static Kernel,
    /// Whether the way runs without verification, because no other way could take its place. The tests and the doctor
    /// still compare it.
    pub is_fallback: bool,
    /// Whether the way can do a call on a device with these traits, given that the device has the kernel's features.
    pub takes: fn(&Traits, &C) -> bool,
    /// The rank of the way: without measurements, the way with the lowest cost is used. `None` if the way is not worth
    /// its compilation on the device.
    pub cost: fn(&Traits, &C) -> Option<f64>,
    /// Types, constants and workgroup counts of the dispatch.
    pub form: fn(&Traits, &C) -> Form,
}

impl<C> Way<C> {
    /// The key of the pipeline that the way runs for `call`.
    pub fn key(&self, traits: &Traits, call: &C) -> PipelineKey {
        PipelineKey::new(self.kernel, &(self.form)(traits, call))
    }
}

impl<C> Clone for Way<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Way<C> {}

impl<C> PartialEq for Way<C> {
    /// Both ways belong to one operation, whose ways have different names.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<C> fmt::Debug for Way<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
