//! A small VM in the folders that Hyper-V makes: two states, two images, and configurations of the binary form.

use chain_resolve::forge::hvs::Container;
use chain_resolve::forge::vm::{Checkpoint, Disk, Slot, Vm};
use chain_resolve::vm::{Form, Generation};
use vhdx_format::forge::Image;

use super::{Bench, guid, small_base};

/// The VM `web01` with the checkpoint `Before update`, all of it in `vm/`. Every part may be changed and put again.
pub(crate) struct Web01 {
    pub(crate) bench: Bench,
    /// `web01.vhdx`, frozen by the checkpoint.
    pub(crate) base: Image,
    /// `web01_A.avhdx`, which the VM writes to.
    pub(crate) current: Image,
    pub(crate) vm: Vm,
}

impl Web01 {
    pub(crate) const BASE: &str = "vm/Virtual Hard Disks/web01.vhdx";
    pub(crate) const CURRENT: &str = "vm/Virtual Hard Disks/web01_A.avhdx";

    pub(crate) fn new() -> Self {
        let base = small_base("web01");
        let current = Image::child("web01 current", &base, "web01.vhdx");
        let mut vm = Vm::new("web01", guid(0x01), Generation::Two);
        vm.created = Some(time(1));
        vm.disks = vec![disk("web01_A.avhdx")];
        vm.checkpoints = vec![Checkpoint {
            name: "Before update".to_owned(),
            id: guid(0x02),
            created: Some(time(2)),
            disks: vec![disk("web01.vhdx")],
        }];
        let web01 = Self { bench: Bench::new(), base, current, vm };
        web01.put();
        web01
    }

    /// Writes everything as it is described now.
    pub(crate) fn put(&self) {
        self.bench.forge(Self::BASE, &self.base);
        self.bench.forge(Self::CURRENT, &self.current);
        self.bench.write(&self.configuration(), &store(&[self.vm.configuration(Form::Store)]));
        for checkpoint in &self.vm.checkpoints {
            let keys = self.vm.checkpoint_configuration(checkpoint, Form::Store);
            self.bench.write(&format!("vm/Snapshots/{}.vmcx", upper(checkpoint.id)), &store(&[keys]));
        }
    }

    /// The name of the VM's own configuration.
    pub(crate) fn configuration(&self) -> String {
        format!("vm/Virtual Machines/{}.vmcx", upper(self.vm.id))
    }

    /// The name of the first checkpoint's configuration.
    pub(crate) fn checkpoint(&self) -> String {
        format!("vm/Snapshots/{}.vmcx", upper(self.vm.checkpoints[0].id))
    }
}

/// A binary store with these keys.
pub(crate) fn store(keys: &[chain_resolve::vm::tree::Node]) -> Vec<u8> {
    Container::of(keys).build()
}

/// The disk of that file name at the first place of the first SCSI controller.
pub(crate) fn disk(name: &str) -> Disk {
    Disk { slot: Slot::Scsi(0, 0), path: format!("C:\\VMs\\web01\\Virtual Hard Disks\\{name}") }
}

/// That many days after the beginning of 2024, as FILETIME.
pub(crate) fn time(days: u64) -> u64 {
    133_485_408_000_000_000 + days * 864_000_000_000
}

fn upper(id: uuid::Uuid) -> String {
    id.to_string().to_uppercase()
}
