//! The folder of a VM as Hyper-V lays it out, with small empty images: for tests of what is shown, not of what is read.

use chain_resolve::forge::hvs::Container;
use chain_resolve::forge::vm::{Checkpoint, Disk, Slot, Vm};
use chain_resolve::vm::{Form, Generation};
use uuid::Uuid;
use vhdx_format::BlockSize;
use vhdx_format::forge::Image;

use super::{Bench, geometry, guid};

/// A VM in a folder of a bench. Files are written when they are asked for; configurations at the end.
pub(crate) struct VmFolder<'a> {
    bench: &'a Bench,
    /// Below the bench, such as `vm/web01`.
    folder: String,
    pub(crate) vm: Vm,
}

impl<'a> VmFolder<'a> {
    /// Of a VM with that name; the number is its identity.
    pub(crate) fn new(bench: &'a Bench, folder: &str, name: &str, id: u128) -> Self {
        Self { bench, folder: folder.to_owned(), vm: Vm::new(name, guid(id), Generation::Two) }
    }

    /// An empty base image. `name` is that of the file.
    pub(crate) fn base(&self, name: &str) -> Image {
        let mut image = Image::dynamic(&format!("{}/{name}", self.folder), geometry(4 << 20, 512));
        image.block_size = BlockSize::MIN;
        self.save(name, &image);
        image
    }

    /// An empty child of an image in the same folder.
    pub(crate) fn child(&self, name: &str, parent: &Image, parent_name: &str) -> Image {
        let image = Image::child(&format!("{}/{name}", self.folder), parent, parent_name);
        self.save(name, &image);
        image
    }

    pub(crate) fn save(&self, name: &str, image: &Image) {
        self.bench.forge(&self.disk(name), image);
    }

    /// Where the disk file of that name is on the bench.
    pub(crate) fn disk(&self, name: &str) -> String {
        format!("{}/Virtual Hard Disks/{name}", self.folder)
    }

    /// A checkpoint of the disks at the first SCSI controller; the number is its identity and says when it was taken.
    pub(crate) fn checkpoint(&mut self, name: &str, number: u128, disks: &[&str]) {
        self.vm.checkpoints.push(Checkpoint {
            name: name.to_owned(),
            id: guid(number),
            created: Some(at_hour(number)),
            disks: slots(disks),
        });
    }

    /// The files in use.
    pub(crate) fn current(&mut self, disks: &[&str]) {
        self.vm.disks = slots(disks);
    }

    /// Where the VM's own configuration is on the bench.
    pub(crate) fn configuration(&self) -> String {
        self.place("Virtual Machines", self.vm.id)
    }

    fn place(&self, folder: &str, id: Uuid) -> String {
        format!("{}/{folder}/{}.vmcx", self.folder, id.to_string().to_uppercase())
    }

    /// Writes the configurations.
    pub(crate) fn write(&self) {
        let write = |folder: &str, id: Uuid, keys| {
            self.bench.write(&self.place(folder, id), &Container::of(&[keys]).build());
        };
        write("Virtual Machines", self.vm.id, self.vm.configuration(Form::Store));
        for checkpoint in &self.vm.checkpoints {
            let keys = self.vm.checkpoint_configuration(checkpoint, Form::Store);
            write("Snapshots", checkpoint.id, keys);
        }
    }
}

/// Files of [`branched`]: over the base, over `A`, over the base.
pub(crate) const A: &str = "web01_AAAAAAAA-1111-2222-3333-444444444444.avhdx";
pub(crate) const B: &str = "web01_BBBBBBBB-1111-2222-3333-444444444444.avhdx";
pub(crate) const C: &str = "web01_CCCCCCCC-1111-2222-3333-444444444444.avhdx";

/// Two checkpoints of one name; the first was applied after the second, so that the running state is a branch.
pub(crate) fn branched(bench: &Bench) -> VmFolder<'_> {
    let mut folder = VmFolder::new(bench, "vm", "web01", 0xABC);
    let base = folder.base("web01.vhdx");
    let a = folder.child(A, &base, "web01.vhdx");
    folder.child(B, &a, A);
    folder.child(C, &base, "web01.vhdx");
    folder.checkpoint("Before update", 1, &["web01.vhdx"]);
    folder.checkpoint("Before update", 2, &[A]);
    folder.current(&[C]);
    folder
}

fn slots(names: &[&str]) -> Vec<Disk> {
    let path = |name| format!("C:\\VMs\\Virtual Hard Disks\\{name}");
    (0..)
        .zip(names)
        .map(|(location, name)| Disk { slot: Slot::Scsi(0, location), path: path(name) })
        .collect()
}

/// That many hours into 2024, as FILETIME.
fn at_hour(hour: u128) -> u64 {
    let unix = 1_704_067_200 + hour as u64 * 3600;
    116_444_736_000_000_000 + unix * 10_000_000
}

/// No line is wider than a terminal, but for a path that has it to itself.
#[track_caller]
pub(crate) fn fits_80_columns(text: &str) {
    for line in text.lines() {
        let alone = line.trim_start_matches([' ', '!', '?', '~', '|', '+', '-', 'o', '*']);
        let is_path = !alone.contains(' ') || alone.contains('/') || alone.contains('\\');
        assert!(line.chars().count() <= 80 || is_path, "too wide: {line}");
        assert_eq!(line.trim_end(), line, "ends in spaces");
    }
}
