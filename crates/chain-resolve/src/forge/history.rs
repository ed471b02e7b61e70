//! A VM that lives: it gets disks, writes, is checkpointed and put back, and leaves the files that Hyper-V would leave.
//!
//! What each state holds is kept as plain bytes, apart from the images, so that tests have something to compare with. A
//! checkpoint freezes the files in use and goes on with new children; its configuration names the frozen ones.

use std::collections::BTreeMap;

use uuid::Uuid;
use vhdx_format::forge::random::Random;
use vhdx_format::forge::{Block, Image, SectorSet, SparseFile};
use vhdx_format::{BlockSize, Geometry, SectorSize};

use super::hvs::Container;
use super::vm::{Checkpoint, Disk, Slot, Vm};
use super::xml;
use crate::vm::tree::Node;
use crate::vm::{Form, Generation};

/// The life of a VM so far.
#[derive(Clone, Debug)]
pub struct History {
    /// Its name, identifier and what else its configurations say. Disks are not in it: they follow from its life.
    pub vm: Vm,
    /// The VM's folder on the host.
    pub host: String,
    /// Images that are no longer written to.
    frozen: Vec<Frozen>,
    in_use: Vec<InUse>,
    /// For each checkpoint that was ever made, its disks' places in `frozen`.
    states: BTreeMap<Uuid, Vec<usize>>,
    files_made: usize,
    random: Random,
}

/// One disk of a state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskState {
    /// Stem of the disk's first file.
    pub stem: String,
    /// Where it is attached.
    pub slot: Slot,
    /// Name of the file that holds the state.
    pub file: String,
    /// What a guest would read.
    pub bytes: Vec<u8>,
}

/// A file that the VM left.
#[derive(Clone, Debug)]
pub struct LeftFile {
    /// Its name below the VM's folder, with `/` between names.
    pub path: String,
    /// Its content.
    pub content: SparseFile,
}

#[derive(Clone, Debug)]
struct Frozen {
    disk: DiskState,
    /// The folder on the host.
    folder: String,
    image: Image,
}

#[derive(Clone, Debug)]
struct InUse {
    disk: DiskState,
    folder: String,
    /// Place in `frozen`.
    parent: Option<usize>,
}

/// The folder of disks where none is asked for.
const DISKS: &str = "Virtual Hard Disks";
/// A block of 1 MiB and a piece of another.
const DISK_LEN: usize = (1 << 20) + (64 << 10);
const BLOCK_LEN: usize = 1 << 20;
const SECTOR: usize = 512;
/// 2024-01-01 UTC as FILETIME.
const BIRTH: u64 = (11_644_473_600 + 1_704_067_200) * 10_000_000;
const HOUR: u64 = 3600 * 10_000_000;

impl History {
    /// A VM without disks. The same name gives the same files.
    #[must_use]
    pub fn new(name: &str, generation: Generation) -> Self {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        let mut vm = Vm::new(name, id, generation);
        vm.created = Some(BIRTH);
        Self {
            vm,
            host: format!(r"C:\VMs\{name}"),
            frozen: Vec::new(),
            in_use: Vec::new(),
            states: BTreeMap::new(),
            files_made: 0,
            random: Random::new(id.as_u64_pair().0),
        }
    }

    /// Attaches a new disk, in the VM's own folder of disks.
    pub fn attach(&mut self, stem: &str, slot: Slot) {
        let folder = format!(r"{}\{DISKS}", self.host);
        self.attach_in(&folder, stem, slot);
    }

    /// Attaches a new disk in that folder of the host. Of its names only the last one is below the VM's folder here.
    pub fn attach_in(&mut self, folder: &str, stem: &str, slot: Slot) {
        let bytes = vec![0; DISK_LEN];
        let disk = DiskState { stem: stem.to_owned(), slot, file: format!("{stem}.vhdx"), bytes };
        self.in_use.push(InUse { disk, folder: folder.to_owned(), parent: None });
        for _ in 0..3 {
            self.write(stem);
        }
    }

    /// The guest writes a sector somewhere on the disk of that stem.
    pub fn write(&mut self, stem: &str) {
        let at = self.random.below((DISK_LEN / SECTOR) as u64) as usize * SECTOR;
        let bytes = self.random.bytes(SECTOR);
        for disk in self.in_use.iter_mut().filter(|used| used.disk.stem == stem) {
            disk.disk.bytes[at..at + SECTOR].copy_from_slice(&bytes);
        }
    }

    /// Takes a checkpoint, an hour after whatever was there before.
    pub fn checkpoint(&mut self, name: &str) -> Uuid {
        let number = self.states.len() as u64 + 1;
        let id = Uuid::new_v5(&self.vm.id, format!("checkpoint {number}").as_bytes());
        let frozen: Vec<usize> = self.in_use.clone().iter().map(|used| self.freeze(used)).collect();
        let disks = frozen.iter().map(|at| self.frozen[*at].recorded());
        let created = Some(BIRTH + number * HOUR);
        let checkpoint = Checkpoint { name: name.to_owned(), id, created, disks: disks.collect() };
        self.vm.checkpoints.push(checkpoint);
        self.states.insert(id, frozen);
        self.apply(id);
        id
    }

    /// Puts the VM back to a checkpoint, also to one that was deleted. What it wrote since its last one is lost.
    pub fn apply(&mut self, checkpoint: Uuid) {
        let frozen = self.states.get(&checkpoint).cloned().unwrap_or_default();
        self.in_use = frozen.into_iter().map(|at| self.child_of(at)).collect();
    }

    /// Deletes a checkpoint without merging its files, as happens to one with several children.
    pub fn delete(&mut self, checkpoint: Uuid) {
        self.vm.checkpoints.retain(|other| other.id != checkpoint);
    }

    /// The disks as of a checkpoint; as of now without one.
    #[must_use]
    pub fn state(&self, checkpoint: Option<Uuid>) -> Vec<DiskState> {
        match checkpoint {
            Some(id) => {
                let frozen = self.states.get(&id).into_iter().flatten();
                frozen.map(|at| self.frozen[*at].disk.clone()).collect()
            }
            None => self.in_use.iter().map(|used| used.disk.clone()).collect(),
        }
    }

    /// Every file, the VM's configuration first, then those of the checkpoints, then the images.
    #[must_use]
    pub fn files(&self, form: Form) -> Vec<LeftFile> {
        let mut now = self.clone();
        let last: Vec<usize> = now.in_use.clone().iter().map(|used| now.freeze(used)).collect();
        let mut vm = now.vm.clone();
        vm.disks = last.iter().map(|at| now.frozen[*at].recorded()).collect();
        if form == Form::Xml {
            vm.version = 1280;
        }
        let own = configuration("Virtual Machines", vm.id, vm.configuration(form), form);
        let checkpoints = vm.checkpoints.iter().map(|checkpoint| {
            configuration("Snapshots", checkpoint.id, vm.checkpoint_configuration(checkpoint, form), form)
        });
        let images = now.frozen.iter().map(|frozen| {
            let (_, folder) = frozen.folder.rsplit_once('\\').unwrap_or(("", &frozen.folder));
            let path = format!("{folder}/{}", frozen.disk.file);
            LeftFile { path, content: frozen.image.build() }
        });
        std::iter::once(own).chain(checkpoints).chain(images).collect()
    }

    fn child_of(&mut self, at: usize) -> InUse {
        let parent = &self.frozen[at];
        self.files_made += 1;
        let id = Uuid::new_v5(&self.vm.id, format!("file {}", self.files_made).as_bytes());
        let file = format!("{}_{}.avhdx", parent.disk.stem, id.to_string().to_uppercase());
        let disk = DiskState { file, ..parent.disk.clone() };
        InUse { disk, folder: parent.folder.clone(), parent: Some(at) }
    }

    /// The image of what was written since its parent, as Windows makes it: partly present blocks.
    fn freeze(&mut self, used: &InUse) -> usize {
        let name = format!("{} {}", self.vm.id, used.disk.file);
        let parent = used.parent.map(|at| &self.frozen[at]);
        let empty = match parent {
            Some(parent) => Image::child(&name, &parent.image, &parent.disk.file),
            None => Image::dynamic(&name, disk_geometry()),
        };
        let blocks = used.disk.bytes.chunks(BLOCK_LEN).zip(0..).filter_map(|(after, number)| {
            let start = number * BLOCK_LEN;
            let before = parent.map(|parent| &parent.disk.bytes[start..start + after.len()]);
            Some((number as u64, block(before, after)?))
        });
        let image = Image { block_size: BlockSize::MIN, blocks: blocks.collect(), ..empty };
        self.frozen.push(Frozen { disk: used.disk.clone(), folder: used.folder.clone(), image });
        self.frozen.len() - 1
    }
}

impl Frozen {
    fn recorded(&self) -> Disk {
        Disk { slot: self.disk.slot, path: format!(r"{}\{}", self.folder, self.disk.file) }
    }
}

/// Whole in a base, the sectors that changed in a child; none where there is nothing to say.
fn block(before: Option<&[u8]>, after: &[u8]) -> Option<Block> {
    let Some(before) = before else {
        let used = after.iter().any(|byte| *byte != 0);
        return used.then(|| Block::full(vec![(0, after.to_vec())]));
    };
    let pairs = before.chunks(SECTOR).zip(after.chunks(SECTOR)).enumerate();
    let changed: Vec<usize> = pairs.filter(|(_, (old, new))| old != new).map(|(sector, _)| sector).collect();
    let data = |sector: &usize| {
        let at = sector * SECTOR;
        (at as u64, after[at..at + SECTOR].to_vec())
    };
    let set: SectorSet = changed.iter().map(|sector| *sector as u64).collect();
    (!changed.is_empty()).then(|| Block::partial(set, changed.iter().map(data).collect()))
}

#[expect(clippy::expect_used, reason = "two constants of this file make a disk or do not")]
fn disk_geometry() -> Geometry {
    Geometry::new(DISK_LEN as u64, SectorSize::B512, SectorSize::B4096).expect("whole sectors")
}

fn configuration(folder: &str, id: Uuid, keys: Node, form: Form) -> LeftFile {
    let (bytes, suffix) = match form {
        Form::Store => (Container::of(&[keys]).build(), "vmcx"),
        Form::Xml => (xml::file(&keys, xml::Encoding::Utf16Le), "xml"),
    };
    let mut content = SparseFile::default();
    content.write(0, &bytes);
    LeftFile { path: format!("{folder}/{}.{suffix}", id.to_string().to_uppercase()), content }
}
