//! What Hyper-V wrote down about a VM: its configuration, read from bytes.
//!
//! [`tree`] is the one key tree that both forms of a configuration become; [`hvs`] reads the binary form (`.vmcx`,
//! `.vmrs`), [`xml`] the older one; [`read_keys`] tells them apart. [`Configuration`] is the typed view of one file.
//! Nothing here opens a file or follows a path that it found: that is for the rest of this crate, under its policy.

mod configuration;
mod devices;
mod drives;
mod form;
mod guid;
pub mod hvs;
mod references;
mod timestamp;
pub mod tree;
pub mod xml;

pub use configuration::{
    Configuration, ConfigurationError, ConfigurationWarning, Generation, Version, has_saved_memory,
};
pub(crate) use drives::is_recovery_name;
pub use drives::{ControllerKind, DiskSlot};
pub use form::{Form, FormWarning, Keys, ReadKeysError, read_keys, read_keys_within};
pub use guid::parse_guid;
pub use references::Reference;
pub use timestamp::Timestamp;
