//! One disk on its way into one artifact, with its proof beside it.

use std::fs::File;
use std::io;
use std::path::Path;

use chain_resolve::{Change, ChangeError, SelectedDisk, Selection};
use export_manifest::{ArtifactProof, ContentProof, Format, Manifest, Options as ArtifactOptions};
use export_sinks::device::{self, DeviceTarget};
use export_sinks::{
    BlockSums, Compression, DigestChoice, Export, ExportError, Options, Received, Sink, SinkError, Target,
    compressed, export, raw, survey,
    vhdx::{self, ImageOptions},
};
use vhdx_format::writer::Allocation;
use vhdx_format::{BlockSize, LayerIndex, VirtualDisk};

use super::Setting;
use super::sidecars::SidecarTargets;
use crate::args::DiskId;
use crate::disk::Disk;
use crate::failure::Failure;
use crate::identity::{self, Origin};
use crate::plan::{self, Artifact, ExportPlan};
use crate::proof;
use crate::report::{ArtifactReport, ContentReport, DiskReport, ExportReport, LinkReport};
use crate::usage::UsageError;

/// One disk on its way into one artifact.
pub(crate) struct Job<'a> {
    pub(super) plan: &'a ExportPlan,
    pub(super) selection: &'a Selection,
    pub(super) selected: &'a SelectedDisk,
    pub(super) disk: &'a Disk,
    pub(super) place: Place,
    pub(super) sidecars: SidecarTargets,
    /// What should be known of how the disk was found.
    pub(super) found: Vec<String>,
    /// What should be known of how it is read.
    pub(super) read: Vec<String>,
    pub(super) setting: &'a Setting<'a>,
}

/// What is written to.
pub(super) enum Place {
    File(Target),
    Stdout,
    Device(DeviceTarget),
}

/// What was written.
pub(crate) struct Written {
    pub(super) export: Export,
    /// Of an image: what it was written with.
    image: Option<ImageOptions>,
}

/// An image to write.
struct Image {
    options: ImageOptions,
    /// What a survey found that the disk holds. It is in the image's identity, so nothing else may be in the image.
    survey: Option<BlockSums>,
}

impl Job<'_> {
    /// Opens the sink that the plan asks for, copies the disk into it, and gives the artifact and then its proof their
    /// names.
    pub(super) fn write(&self) -> Result<Written, Failure> {
        match self.plan.artifact {
            Artifact::Raw => self.write_raw(),
            Artifact::Compressed(compression) => self.write_compressed(compression),
            Artifact::Vhdx { block_size, allocation, disk_id } => {
                let block_size = plan::block_size(block_size, self.disk);
                self.write_image(block_size, allocation, disk_id)
            }
        }
    }

    fn write_raw(&self) -> Result<Written, Failure> {
        let disk: &dyn VirtualDisk = self.disk;
        let failed = |error| self.failure(error);
        match &self.place {
            Place::File(target) => self.copy(disk, raw::to_file(target, disk).map_err(failed)?, None),
            Place::Stdout => self.copy(disk, raw::to_stream(stdout()?), None),
            Place::Device(target) => self.write_device(target),
        }
    }

    fn write_device(&self, target: &DeviceTarget) -> Result<Written, Failure> {
        let failed = |error| self.failure(error);
        let sink = device::to_device(target, self.disk).map_err(failed)?;
        let disk_sector = self.disk.geometry().logical_sector().bytes();
        if sink.sector_size() != disk_sector {
            let has = sink.sector_size();
            self.setting.voice.note(&format!(
                "the disk has sectors of {disk_sector} bytes, the device of {has}: its partitions may not be found there"
            ));
        }
        // What a device holds is lost with the first byte, and so is what a manifest says of it.
        let sidecars = self.sidecars.open()?;
        self.sidecars.remove_stale()?;
        let completed = self
            .receive(self.disk, sink, self.plan.digests)?
            .complete(self.setting.cancel)
            .map_err(failed)?;
        let drawn = self.setting.voice.progress(self.disk.geometry().size());
        device::read_back(&completed, Options::default().threads, drawn.as_ref(), self.setting.cancel)?;
        drop(drawn);
        let sidecars = sidecars.fill(self.manifest(completed.export(), None), completed.export())?;
        let export = completed.publish().map_err(failed)?;
        sidecars.publish()?;
        Ok(Written { export, image: None })
    }

    fn write_compressed(&self, compression: Compression) -> Result<Written, Failure> {
        let digest = self.plan.digests.into();
        if let Place::File(target) = &self.place {
            let sink = compressed::to_file(target, compression, digest);
            return self.copy(self.disk, sink.map_err(|error| self.failure(error))?, None);
        }
        let sink = compressed::to_stream(stdout()?, compression, digest);
        self.copy(self.disk, sink, None)
    }

    /// The blocks of a chain that hold data are known from its tables, and its identity from its headers. Bare bytes are
    /// read once for both before they are read to be written.
    fn write_image(
        &self,
        block_size: BlockSize,
        allocation: Allocation,
        disk_id: DiskId,
    ) -> Result<Written, Failure> {
        let options = |origin| ImageOptions {
            block_size,
            allocation,
            identities: identity::identities(origin, block_size, allocation, disk_id),
            creator: concat!("vhdx-export ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        if let Disk::Chain(chain) = self.disk {
            let image = Image { options: options(Origin::Chain(chain)), survey: None };
            return self.write_image_of(self.disk, image);
        }
        if disk_id == DiskId::Keep {
            return Err(UsageError::NoIdentity.into());
        }
        let drawn = self.setting.voice.progress(self.disk.geometry().size());
        let surveyed =
            survey(self.disk, block_size, &self.options_of_pool(), drawn.as_ref(), self.setting.cancel);
        let (surveyed, sums) = surveyed.map_err(|error| self.failure(error))?;
        drop(drawn);
        let options = options(Origin::Content(sums.blksum));
        self.write_image_of(&surveyed, Image { options, survey: Some(sums) })
    }

    fn write_image_of(&self, disk: &dyn VirtualDisk, image: Image) -> Result<Written, Failure> {
        let failed = |error| self.failure(error);
        if let Place::File(target) = &self.place {
            let sink = vhdx::to_file(target, disk, &image.options).map_err(failed)?;
            return self.copy(disk, sink, Some(image));
        }
        let sink = vhdx::to_stream(stdout()?, disk, &image.options).map_err(failed)?;
        self.copy(disk, sink, Some(image))
    }

    fn copy(
        &self,
        disk: &dyn VirtualDisk,
        sink: impl Sink,
        image: Option<Image>,
    ) -> Result<Written, Failure> {
        let failed = |error| self.failure(error);
        // A stream that nobody reads any more ends the program at once, so until it is written there is nothing to clean up.
        let sidecars = match self.place {
            Place::Stdout => None,
            _ => Some(self.sidecars.open()?),
        };
        let (image, survey) = image.map(|image| (image.options, image.survey)).unzip();
        let survey = survey.flatten();
        let blksum = self.plan.digests.blksum || survey.is_some();
        let digests = DigestChoice { blksum, ..self.plan.digests };
        let completed = self.receive(disk, sink, digests)?.complete(self.setting.cancel).map_err(failed)?;
        if survey.is_some() && survey != completed.export().digests.blocks {
            let path = self.disk.path_of(LayerIndex(0)).to_path_buf();
            return Err(ChangeError::Changed { path, change: Change::Content }.into());
        }
        let manifest = self.manifest(completed.export(), image.as_ref());
        let sidecars = sidecars.map_or_else(|| self.sidecars.open(), Ok)?;
        let sidecars = sidecars.fill(manifest, completed.export())?;
        self.sidecars.remove_stale()?;
        let export = completed.publish().map_err(failed)?;
        sidecars.publish()?;
        Ok(Written { export, image })
    }

    /// Copies the disk, and makes sure that its sources are what they were.
    fn receive<S: Sink>(
        &self,
        disk: &dyn VirtualDisk,
        sink: S,
        digests: DigestChoice,
    ) -> Result<Received<S>, Failure> {
        let options = Options { digests, ..self.options_of_pool() };
        let drawn = self.setting.voice.progress(disk.geometry().size());
        let received = export(disk, sink, &options, drawn.as_ref(), self.setting.cancel)
            .map_err(|error| self.failure(error))?;
        drop(drawn);
        self.disk.check_unchanged()?;
        Ok(received)
    }

    fn options_of_pool(&self) -> Options {
        Options { pool: self.setting.pool.cloned(), ..Options::default() }
    }

    fn failure(&self, error: ExportError) -> Failure {
        match error {
            ExportError::Read(error) => self.disk.read_failure(error),
            ExportError::Sink(SinkError::NotShared(source)) => {
                let path = self.disk.path_of(source.layer).to_path_buf();
                Failure::NotShared { path, source }
            }
            other => Failure::Export(other),
        }
    }

    fn manifest(&self, export: &Export, image: Option<&ImageOptions>) -> Manifest {
        let name = match &self.place {
            Place::Stdout => "-".to_owned(),
            Place::File(target) => proof::file_name(target.path()),
            Place::Device(target) => proof::file_name(target.path()),
        };
        let artifact = ArtifactProof {
            filename: name,
            format: self.format(),
            size: export.len,
            sha256: export.artifact.map(|digests| digests.sha256),
            options: self.options(image),
        };
        proof::manifest(
            self.selection,
            self.selected,
            self.disk,
            export.content,
            ContentProof::of(&export.digests),
            artifact,
            &self.warnings(),
        )
    }

    fn warnings(&self) -> Vec<String> {
        [self.found.clone(), self.read.clone()].concat()
    }

    /// What the artifact is.
    pub(super) fn format(&self) -> Format {
        match self.place {
            Place::Device(_) => Format::Device,
            _ => self.plan.artifact.format(),
        }
    }

    fn options(&self, image: Option<&ImageOptions>) -> ArtifactOptions {
        let allocation = |allocation| match allocation {
            Allocation::Dynamic => "dynamic",
            Allocation::Fixed => "fixed",
        };
        ArtifactOptions {
            block_size: image.map(|image| image.block_size.bytes()),
            allocation: image.map(|image| allocation(image.allocation).to_owned()),
            virtual_disk_id: image.map(|image| image.identities.virtual_disk.to_string()),
            data_write_guid: image.map(|image| image.identities.data_write.to_string()),
            compression: match self.plan.artifact {
                Artifact::Compressed(compression) => Some(compression.to_string()),
                _ => None,
            },
        }
    }

    pub(super) fn report(&self, written: &Written) -> ExportReport {
        let options = self.options(written.image.as_ref());
        ExportReport {
            vm: self.selection.vm.as_ref().map(|vm| vm.name.clone()),
            checkpoint: self.selection.checkpoint.as_ref().map(|checkpoint| checkpoint.name.clone()),
            slot: self.selected.slot.clone(),
            artifact: ArtifactReport {
                path: self.name(),
                format: self.format(),
                size: written.export.len,
                sha256: written.export.artifact.map(|digests| digests.sha256),
                block_size: options.block_size,
                virtual_disk_id: options.virtual_disk_id,
                compression: options.compression,
                shared: written.export.shared,
            },
            disk: DiskReport::of(self.disk, written.export.content),
            content: ContentReport::of(&written.export.digests),
            chain: self.disk.links().iter().map(LinkReport::of).collect(),
            manifest: self.sidecars.manifest_path().map(|path| path.display().to_string()),
            warnings: self.warnings(),
        }
    }

    /// The artifact, as it was named.
    pub(super) fn name(&self) -> String {
        self.path().map_or("-".to_owned(), |path| path.display().to_string())
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(target) => Some(target.path()),
            Place::Device(target) => Some(target.path()),
            Place::Stdout => None,
        }
    }
}

/// Standard output without the standard library's line buffer, which would look for line ends in the disk's bytes.
fn stdout() -> Result<File, Failure> {
    #[cfg(unix)]
    let owned = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned();
    #[cfg(windows)]
    let owned = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned();
    owned.map(File::from).map_err(Failure::Output)
}
