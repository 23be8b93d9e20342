//! Operations, and the ways to do each: one of several kernels, or constants of one, that give the same results to rounding.

use std::fmt;

use super::{Kernel, Traits, Types};

/// Values for a shader's overrides, by name.
pub type Constants = Vec<(&'static str, u32)>;

/// What a dispatch of a kernel is made of besides its buffers and its uniform.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// In what numbers, and where, buffers are kept.
    pub types: Types,
    /// A value for every override that the kernel declares.
    pub constants: Constants,
    /// Workgroups along x, y and z.
    pub workgroups: [u32; 3],
}

impl Form {
    /// Of a kernel without overrides, for buffers of f32.
    pub fn plain(workgroups: [u32; 3]) -> Self {
        Self { types: Types::default(), constants: Constants::new(), workgroups }
    }

    /// The same with `constants`.
    #[must_use]
    pub fn with(self, constants: impl IntoIterator<Item = (&'static str, u32)>) -> Self {
        let mut all = self.constants;
        all.extend(constants);
        Self { constants: all, ..self }
    }

    /// The same for buffers of `types`.
    #[must_use]
    pub fn of(self, types: Types) -> Self {
        Self { types, ..self }
    }
}

/// Which pipeline a dispatch runs: two dispatches with equal keys run the same machine code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PipelineKey {
    kernel: &'static str,
    types: Types,
    constants: Constants,
}

impl PipelineKey {
    /// That of `kernel` in `form`.
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

    /// Values of its overrides, by name in ascending order.
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

/// An operation of the network that can be done in several ways. A value of the type is one call: sizes, types, and what
/// else decides which pipeline runs.
pub trait Operation: Clone + fmt::Debug + Send + Sync + 'static {
    /// The stem that its reference, comparison and test have.
    const NAME: &'static str;

    /// Every way to do it.
    fn ways() -> &'static [Way<Self>];
}

/// One way to do an operation whose calls are `C`: a kernel, and constants of it that follow from the call.
pub struct Way<C> {
    /// Its name among the ways of the operation.
    pub name: &'static str,
    /// The kernel that it runs.
    pub kernel: &'static Kernel,
    /// Whether it runs without verification, because there is nothing to use in its place. The tests and the doctor compare
    /// it all the same.
    pub is_fallback: bool,
    /// Whether it can do a call on a device of these traits that has the kernel's features.
    pub takes: fn(&Traits, &C) -> bool,
    /// How it ranks: the way with the lowest cost is used where nothing was measured. `None` for a way that is not worth its
    /// compilation there.
    pub cost: fn(&Traits, &C) -> Option<f64>,
    /// Types, constants and workgroup counts of the dispatch.
    pub form: fn(&Traits, &C) -> Form,
}

impl<C> Way<C> {
    /// The pipeline that it runs for `call`.
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
    /// Of one operation, which has one way of a name.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<C> fmt::Debug for Way<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
