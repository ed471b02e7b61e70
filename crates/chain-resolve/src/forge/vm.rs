//! The keys of a VM's configuration and of its checkpoints', from a small description.
//!
//! Identity, devices and drives are as real files have them. No configuration of a checkpoint has been seen: theirs are
//! a copy of the VM's with the checkpoint's own name, identifier, time and disks, and what is a guess is an option.

use uuid::{Uuid, uuid};

use crate::vm::tree::{Node, Value};
use crate::vm::{Form, Generation};

/// A VM to be.
#[derive(Clone, PartialEq, Debug)]
pub struct Vm {
    /// Its name.
    pub name: String,
    /// Its identifier; also the name of its file.
    pub id: Uuid,
    /// Its generation.
    pub generation: Generation,
    /// The configuration's version; 2304 is 9.0, 1280 is 5.0 of the XML form.
    pub version: i64,
    /// When it was made, as FILETIME; `None` leaves the key out.
    pub created: Option<u64>,
    /// The disks as of now.
    pub disks: Vec<Disk>,
    /// DVD drives without a disc.
    pub dvds: Vec<Slot>,
    /// SCSI controllers; those that disks need are there anyway.
    pub scsi_controllers: usize,
    /// Its checkpoints.
    pub checkpoints: Vec<Checkpoint>,
    /// What is not known about checkpoints.
    pub guesses: Guesses,
}

/// A checkpoint to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Its name.
    pub name: String,
    /// Its identifier; also the name of its file.
    pub id: Uuid,
    /// When it was taken, as FILETIME; `None` leaves the key out.
    pub created: Option<u64>,
    /// The disks that were frozen.
    pub disks: Vec<Disk>,
}

/// A disk in a slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disk {
    /// The slot.
    pub slot: Slot,
    /// The image's path on the host.
    pub path: String,
}

/// A place for a disk: number of the controller, location.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slot {
    /// At one of the two IDE controllers, 0 or 1 each; generation 1 only.
    Ide(u32, u32),
    /// At a SCSI controller.
    Scsi(u32, u32),
}

/// How checkpoints are written down where no real file tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guesses {
    /// The `type_id` of a checkpoint.
    pub checkpoint_type: String,
    /// Whether a checkpoint's `logical_id` is the VM's identifier; else it is its own.
    pub checkpoint_names_vm: bool,
    /// Whether the VM's list of checkpoints holds their identifiers; the keys are made up.
    pub vm_lists_checkpoints: bool,
}

impl Default for Guesses {
    fn default() -> Self {
        Self {
            checkpoint_type: "Snapshots".to_owned(),
            checkpoint_names_vm: true,
            vm_lists_checkpoints: false,
        }
    }
}

/// The type, and the only instance, of the emulated IDE controller.
pub const IDE: Uuid = uuid!("83f8638b-8dca-4152-9eda-2ca8b33039b4");
/// The type of SCSI controllers.
pub const SCSI: Uuid = uuid!("d422512d-2bf2-4752-809d-7b82b5fcb1b4");
const FLOPPY: Uuid = uuid!("8f0d2762-0b00-4e04-af4f-19010527cb93");
const MOUSE: Uuid = uuid!("58f75a6d-d949-4320-99e1-a2a2576d581c");

/// One file's share of a VM.
struct State<'a> {
    name: &'a str,
    id: Uuid,
    logical_id: Uuid,
    type_id: &'a str,
    created: Option<u64>,
    disks: &'a [Disk],
}

impl Vm {
    /// A VM of version 9.0 with nothing in it.
    #[must_use]
    pub fn new(name: &str, id: Uuid, generation: Generation) -> Self {
        Self {
            name: name.to_owned(),
            id,
            generation,
            version: 2304,
            created: None,
            disks: Vec::new(),
            dvds: Vec::new(),
            scsi_controllers: 1,
            checkpoints: Vec::new(),
            guesses: Guesses::default(),
        }
    }

    /// The key `configuration` of the VM's own file.
    #[must_use]
    pub fn configuration(&self, form: Form) -> Node {
        let state = State {
            name: &self.name,
            id: self.id,
            logical_id: self.id,
            type_id: "Virtual Machines",
            created: self.created,
            disks: &self.disks,
        };
        self.keys(&state, form)
    }

    /// The key `configuration` of a checkpoint's file.
    #[must_use]
    pub fn checkpoint_configuration(&self, checkpoint: &Checkpoint, form: Form) -> Node {
        let state = State {
            name: &checkpoint.name,
            id: checkpoint.id,
            logical_id: if self.guesses.checkpoint_names_vm { self.id } else { checkpoint.id },
            type_id: &self.guesses.checkpoint_type,
            created: checkpoint.created,
            disks: &checkpoint.disks,
        };
        self.keys(&state, form)
    }

    /// The instance of a SCSI controller of this VM.
    #[must_use]
    pub fn scsi_instance(&self, controller: u32) -> Uuid {
        Uuid::new_v5(&self.id, format!("scsi{controller}").as_bytes())
    }

    fn keys(&self, state: &State<'_>, form: Form) -> Node {
        let mut root = Node::new("configuration").with([
            self.properties(state),
            Node::new("settings")
                .with([Node::new("global").with([text("logical_id", &upper(state.logical_id))])]),
            self.global_settings(form),
            self.manifest(state, form),
        ]);
        if self.generation == Generation::One {
            root.children.push(self.ide(state));
            let drive = drive(0, "", "VFD");
            root.children.push(device(FLOPPY).with([Node::new("controller0").with([drive])]));
        }
        let scsi = (0..self.controllers(state)).map(|controller| self.scsi(state, controller));
        root.children.extend(scsi);
        root.children.push(device(MOUSE));
        if form == Form::Xml {
            sort(&mut root);
        }
        root
    }

    fn properties(&self, state: &State<'_>) -> Node {
        let created = state.created.map(|time| Value::Bytes(time.to_le_bytes().to_vec()));
        let created = created.map(|time| Node::leaf("creation_time", time));
        let subtype = i64::from(self.generation == Generation::Two);
        Node::new("properties").with(created).with([
            text("global_id", &upper(state.id)),
            text("name", state.name),
            text("notes", ""),
            int("subtype", subtype),
            text("type_id", state.type_id),
            int("version", self.version),
        ])
    }

    fn global_settings(&self, form: Form) -> Node {
        let mut list = Node::new("list").with([int("size", self.checkpoints.len() as i64)]);
        if self.guesses.vm_lists_checkpoints {
            let ids = self.checkpoints.iter().zip(1..);
            list.children.extend(ids.map(|(checkpoint, n)| text(&format!("item{n}"), &upper(checkpoint.id))));
        }
        let mut snapshots = Node::new("snapshots").with([list]);
        if form == Form::Store {
            snapshots.children.push(int("user_type", 3));
        }
        Node::new("global_settings").with([Node::leaf("disk_merge_pending", Value::Bool(false)), snapshots])
    }

    /// In the XML form the manifest leaves out the emulated controllers, and writes instances in upper case.
    fn manifest(&self, state: &State<'_>, form: Form) -> Node {
        let mut devices = vec![(MOUSE, MOUSE, "Synthetic Mouse")];
        if self.generation == Generation::One && form == Form::Store {
            devices.push((IDE, IDE, "Emulated IDE Controller"));
            devices.push((FLOPPY, FLOPPY, "Emulated Diskette Controller"));
        }
        let scsi =
            (0..self.controllers(state)).map(|n| (SCSI, self.scsi_instance(n), "Synthetic SCSI Controller"));
        devices.extend(scsi);
        let size = int("size", devices.len() as i64);
        let lines = devices.into_iter().zip(1..).map(|((kind, instance, name), number)| {
            let instance = if form == Form::Xml { upper(instance) } else { instance.to_string() };
            Node::new(format!("vdev{number:03}")).with([
                text("device", &kind.to_string()),
                int("flags", 1),
                text("instance", &instance),
                text("name", name),
            ])
        });
        let version = int("version", if form == Form::Xml { 260 } else { 512 });
        Node::new("manifest").with([size]).with(lines).with([version])
    }

    /// All four slots are always there.
    fn ide(&self, state: &State<'_>) -> Node {
        let controllers = [0, 1].map(|controller| {
            let drives = [0, 1].map(|location| {
                let slot = Slot::Ide(controller, location);
                self.drive_in(state, slot, location).unwrap_or_else(|| drive(location, "", "NONE"))
            });
            Node::new(format!("controller{controller}")).with(drives)
        });
        device(IDE).with(controllers)
    }

    /// Only used slots are there, and without any the controller is not either.
    fn scsi(&self, state: &State<'_>, controller: u32) -> Node {
        let instance = self.scsi_instance(controller);
        let channel = text("ChannelInstanceGuid", &format!("{{{instance}}}"));
        let drives: Vec<_> =
            (0..64).filter_map(|l| self.drive_in(state, Slot::Scsi(controller, l), l)).collect();
        let inner = (!drives.is_empty()).then(|| Node::new("controller0").with(drives));
        device(instance).with([channel]).with(inner)
    }

    fn drive_in(&self, state: &State<'_>, slot: Slot, location: u32) -> Option<Node> {
        let disk = state.disks.iter().find(|disk| disk.slot == slot);
        let disk = disk.map(|disk| drive(location, &disk.path, "VHD"));
        disk.or_else(|| self.dvds.contains(&slot).then(|| drive(location, "", "ISO")))
    }

    fn controllers(&self, state: &State<'_>) -> u32 {
        let slots = state.disks.iter().map(|disk| disk.slot).chain(self.dvds.iter().copied());
        let needed = slots.filter_map(|slot| match slot {
            Slot::Scsi(controller, _) => Some(controller + 1),
            Slot::Ide(..) => None,
        });
        needed.max().unwrap_or(0).max(self.scsi_controllers as u32)
    }
}

fn device(instance: Uuid) -> Node {
    Node::new(format!("_{instance}_")).with([int("VDEVVersion", 512)])
}

fn drive(location: u32, path: &str, kind: &str) -> Node {
    Node::new(format!("drive{location}")).with([text("pathname", path), text("type", kind)])
}

fn text(name: &str, value: &str) -> Node {
    Node::leaf(name, Value::String(value.to_owned()))
}

fn int(name: &str, value: i64) -> Node {
    Node::leaf(name, Value::Int(value))
}

fn upper(id: Uuid) -> String {
    id.to_string().to_uppercase()
}

/// By code point, as real files have it; stable for repeated names.
fn sort(node: &mut Node) {
    node.children.sort_by(|a, b| a.name.cmp(&b.name));
    node.children.iter_mut().for_each(sort);
}
