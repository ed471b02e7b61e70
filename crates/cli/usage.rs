//! What is wrong with a command line that clap lets pass: arguments that contradict each other or make no sense together.

use std::path::PathBuf;

use export_manifest::Format;
use export_sinks::Compression;

/// Arguments that contradict each other or make no sense.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error("cannot tell the format from `{}`", .0.display())]
    UnknownSuffix(PathBuf),
    #[error("--out - needs --format")]
    StreamWithoutFormat,
    #[error("the image would be written to a terminal")]
    Terminal,
    #[error("--block-size `{0}` is no power of two from 1M to 256M")]
    BlockSize(String),
    #[error("{0} makes sense for VHDX only")]
    VhdxOnly(&'static str),
    #[error("--compress {compression} does not make {format}")]
    Compression { compression: Compression, format: Format },
    #[error("{0} makes sense for an image in a file only")]
    FileOnly(&'static str),
    #[error("--bmap makes sense for raw images only, compressed or not")]
    BmapOfImage,
    #[error("one --manifest cannot be that of several disks")]
    OneManifest,
    #[error("`{}` cannot be the manifest: the export writes something else under that name", .0.display())]
    SharedName(PathBuf),
    #[error("--manifest - is no place for a manifest: standard output is for results")]
    ManifestStream,
    #[error("`{}` is called otherwise than what --format {format} makes of it", out.display())]
    OtherSuffix { format: Format, out: PathBuf },
    #[error("--device writes the bare disk: --format and --compress make no sense with it")]
    DeviceFormat,
    #[error("--reflink always makes sense for raw and VHDX images in a file only")]
    NothingToShare,
    #[error("--digest none cannot be combined with a digest")]
    NoneAndSome,
    #[error("--sums needs the SHA-256 of the image")]
    SumsWithoutDigest,
    #[error("--disk-id keep makes no sense for a source that is raw: it has no identity")]
    NoIdentity,
    #[error("hash needs a digest")]
    NothingToHash,
    #[error("several SOURCEs cannot share --checkpoint, --vm or --disk")]
    ChoiceForSeveral,
    #[error("--quick cannot sample a stream")]
    QuickStream,
    #[error("--manifest is missing")]
    NoManifest,
    #[error("--out is missing")]
    NoTarget,
    #[error("--keys makes sense for one configuration only")]
    KeysOfImage,
}
