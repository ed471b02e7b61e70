//! The document, field by field, and its way to and from text.
//!
//! Field names are the schema's. Within a version no field is added or changed, so an unknown one is damage.

use std::io;

use export_sinks::Sha256Digest;
use limits::manifest::{LINKS_MAX, WARNINGS_MAX};
use limits::{Limit, Limits};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::bounded;
use crate::content::ContentProof;
use crate::error::{Inconsistency, ManifestError, Spot};
use crate::format::Format;

/// What the field `schema` says in every manifest, whatever the version.
pub const SCHEMA: &str = "vhdx-export-manifest";

/// The version of the schema that is written, and the newest that is read.
pub const VERSION: u64 = 1;

/// What an export proves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// [`VERSION`].
    pub schema_version: u64,
    /// What made it.
    pub tool: Tool,
    /// Where the disk came from.
    pub source: Source,
    /// What the disk is.
    pub disk: DiskProof,
    /// Digests of what a guest sees.
    pub content: ContentProof,
    /// What was written.
    pub artifact: ArtifactProof,
    /// What should be known of how the sources were found and read.
    #[serde(deserialize_with = "bounded::list::<_, _, WARNINGS_MAX>")]
    pub warnings: Vec<String>,
    /// SHA-256 of the document without this field and without white space: tells a damaged manifest from a damaged copy.
    /// [`Manifest::to_json`] sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest_sha256: Option<Sha256Digest>,
}

/// The program that made a manifest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Where a disk came from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The VM, where a configuration names it.
    pub vm: Option<Vm>,
    /// The checkpoint, where a configuration names it.
    pub checkpoint: Option<Checkpoint>,
    /// Where the disk is attached, where a configuration tells it: `scsi0:1`.
    pub slot: Option<String>,
    /// The files, leaf first; one where the disk was not a VHDX.
    #[serde(deserialize_with = "bounded::list::<_, _, LINKS_MAX>")]
    pub chain: Vec<Link>,
}

/// A VM.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vm {
    /// Its name.
    pub name: String,
    /// Its GUID, where a configuration tells it.
    pub id: Option<String>,
}

/// A checkpoint, or the running state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Its name, or `@current`.
    pub name: String,
    /// Its GUID, where a configuration tells it.
    pub id: Option<String>,
    /// When it was taken (RFC 3339, UTC), where that is known.
    pub created: Option<String>,
}

/// One file that was read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Its last name.
    pub filename: String,
    /// What it is.
    pub format: Format,
    /// Its length in bytes.
    pub size: u64,
    /// Identity of its content, where the format has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_write_guid: Option<String>,
    /// Identity of its disk, where the format has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_disk_id: Option<String>,
    /// Sequence number of its header, where the format has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence_number: Option<u64>,
    /// Whether its log was empty, where the format has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogState>,
}

/// The state of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", deny_unknown_fields)]
pub enum LogState {
    /// There was nothing to replay.
    Clean,
    /// It was replayed in memory.
    Replayed {
        /// How many entries it had.
        entries: u64,
    },
}

/// What a disk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskProof {
    /// Its size in bytes: what a guest sees, and what the digests are over.
    pub virtual_size: u64,
    /// Bytes in a logical sector.
    pub logical_sector_size: u32,
    /// Bytes in a physical sector.
    pub physical_sector_size: u32,
    /// Bytes written as data.
    pub data: u64,
    /// Bytes known to be zero.
    pub zeros: u64,
}

/// What was written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactProof {
    /// Its last name; `-` for a stream.
    pub filename: String,
    /// What it is.
    pub format: Format,
    /// Its length in bytes.
    pub size: u64,
    /// What `sha256sum` prints of the file, not of the disk in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Digest>,
    /// The options that its bytes depend on.
    pub options: Options,
}

/// The options that an artifact's bytes depend on.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Of a VHDX: bytes in a block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_size: Option<u32>,
    /// Of a VHDX: `dynamic` or `fixed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation: Option<String>,
    /// Of a VHDX: the identity that its disk was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_disk_id: Option<String>,
    /// Of a VHDX: the identity that its content was given, by which the file is known again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_write_guid: Option<String>,
    /// Of a compressed image: `zstd:3` and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
}

/// What every version has, to tell them apart. Whatever else stands there is passed over, not built.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
    #[serde(borrow)]
    schema_version: Option<&'a RawValue>,
}

impl Manifest {
    /// Reads a document within the usual limits, and holds it to the schema and to itself.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        Self::parse_within(text, &Limits::default())
    }

    /// The same, within limits that were raised.
    pub fn parse_within(text: &[u8], limits: &Limits) -> Result<Self, ManifestError> {
        let (found, most) = (text.len() as u64, limits.of(Limit::ManifestSize));
        if found > most {
            return Err(ManifestError::TooLarge { found, most });
        }
        let is_object = text.trim_ascii_start().first() == Some(&b'{');
        let head: Head<'_> = serde_json::from_slice(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data if is_object => ManifestError::Damaged(Spot::of(&error)),
            serde_json::error::Category::Data => ManifestError::NotAManifest,
            _ => ManifestError::NotJson(Spot::of(&error)),
        })?;
        if head.schema.is_none_or(|schema| schema.get().trim_matches('"') != SCHEMA) {
            return Err(ManifestError::NotAManifest);
        }
        let version = head.schema_version.and_then(|version| version.get().parse().ok());
        if let Some(found) = version.filter(|found| *found > VERSION) {
            return Err(ManifestError::Newer { found, known: VERSION });
        }
        let manifest: Self =
            serde_json::from_slice(text).map_err(|error| ManifestError::Damaged(Spot::of(&error)))?;
        manifest.check()?;
        let (manifest, stated) = manifest.unsealed();
        if stated != Some(manifest.seal().map_err(|_| ManifestError::Seal)?) {
            return Err(Inconsistency::Seal.into());
        }
        Ok(Self { manifest_sha256: stated, ..manifest })
    }

    /// The document, sealed and ready to be written.
    pub fn to_json(self) -> io::Result<Vec<u8>> {
        let (manifest, _) = self.unsealed();
        let seal = manifest.seal()?;
        let sealed = Self { manifest_sha256: Some(seal), ..manifest };
        let mut text = serde_json::to_vec_pretty(&sealed)?;
        text.push(b'\n');
        Ok(text)
    }

    fn unsealed(self) -> (Self, Option<Sha256Digest>) {
        let stated = self.manifest_sha256;
        (Self { manifest_sha256: None, ..self }, stated)
    }

    /// The digest of the document as it is, without white space.
    fn seal(&self) -> serde_json::Result<Sha256Digest> {
        Ok(Sha256Digest::of(&serde_json::to_vec(self)?))
    }

    fn check(&self) -> Result<(), Inconsistency> {
        if self.schema_version != VERSION {
            let found = self.schema_version;
            return Err(Inconsistency::Unit { field: "schema_version", found, expected: VERSION });
        }
        let DiskProof { virtual_size, data, zeros, .. } = self.disk;
        if data.checked_add(zeros) != Some(virtual_size) {
            return Err(Inconsistency::Tally { data, zeros, virtual_size });
        }
        self.content.check(virtual_size)
    }
}
