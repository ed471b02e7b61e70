//! Three hundred small VMs of every kind that a backup share has: healthy, broken, dirty, ambiguous, copied, oddly called.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use vhdx_format::BlockSize;
use vhdx_format::forge::random::Random;
use vhdx_format::forge::{Block, DirtyLog, Image, make_dirty};

use crate::harness::{Bench, VmFolder, geometry};

const MIB: u64 = 1 << 20;

/// Identity of the first VM; the others count on.
pub(super) const FIRST_ID: u128 = 0xE57A_7E00;

/// What a VM is like.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Kind {
    OneDisk,
    Checkpoint,
    TwoDisks,
    Dirty,
    /// No configuration, one newest state.
    Loose,
    /// Its name is a path, or steers a terminal.
    OddName,
    /// Its name is another's but for the case, and so is its disk's.
    SameName,
    /// It lies in two folders.
    Copied,
    /// Its folder's name is no text.
    OddFolder,
    MissingParent,
    ChangedParent,
    /// No stored path leads to the parent, and two files have its identity.
    AmbiguousParent,
    DamagedHeaders,
    Truncated,
    DamagedConfiguration,
    /// No configuration, two newest states.
    TwoLeaves,
    /// No configuration, and the file's name is no text.
    OddFile,
}

impl Kind {
    const ALL: [Self; 25] = [
        Self::OneDisk,
        Self::Checkpoint,
        Self::TwoDisks,
        Self::Dirty,
        Self::Loose,
        Self::OddName,
        Self::SameName,
        Self::SameName,
        Self::Copied,
        Self::OddFolder,
        Self::OneDisk,
        Self::Checkpoint,
        Self::OneDisk,
        Self::Checkpoint,
        Self::OneDisk,
        Self::Loose,
        Self::Dirty,
        Self::MissingParent,
        Self::ChangedParent,
        Self::AmbiguousParent,
        Self::DamagedHeaders,
        Self::Truncated,
        Self::DamagedConfiguration,
        Self::TwoLeaves,
        Self::OddFile,
    ];

    /// What a plan says of a VM of the kind: how many disks can be exported, and with which codes others can not.
    pub(super) fn lines(self) -> (usize, &'static [u64]) {
        match self {
            Self::OneDisk
            | Self::Checkpoint
            | Self::Dirty
            | Self::Loose
            | Self::OddName
            | Self::SameName
            | Self::OddFolder => (1, &[]),
            Self::TwoDisks | Self::Copied => (2, &[]),
            Self::MissingParent => (0, &[5]),
            // What lies in the parent's place is a disk of nobody's.
            Self::ChangedParent => (1, &[5]),
            // The two files that may be the parent are disks of nobody's.
            Self::AmbiguousParent => (2, &[4]),
            Self::DamagedHeaders | Self::Truncated => (0, &[6]),
            // The configuration, the VM that only its checkpoint tells of, and the disk that nobody names now.
            Self::DamagedConfiguration => (1, &[4, 6]),
            Self::TwoLeaves => (0, &[4, 4]),
            Self::OddFile => (0, &[2]),
        }
    }
}

/// The kinds of so many VMs, each in the folder `vm/NUMBER`.
pub(super) fn kinds(vms: usize) -> impl Iterator<Item = Kind> {
    (0..vms).map(|number| Kind::ALL[number % Kind::ALL.len()])
}

/// Lays so many VMs out in `vm/`.
pub(super) fn lay_out(bench: &Bench, vms: usize) {
    for (number, kind) in kinds(vms).enumerate() {
        lay_out_one(bench, number, kind);
    }
}

/// A disk of 1 MiB that holds a little; another one for each name.
pub(super) fn small(name: &str) -> Image {
    let mut image = Image::dynamic(name, geometry(MIB, 512));
    image.block_size = BlockSize::MIN;
    image.blocks.insert(0, Block::full(vec![(4096, data_of(name))]));
    image
}

/// A disk of so many MiB, all of them data.
pub(super) fn full_of_data(mib: u64) -> Image {
    let mut image = Image::dynamic("large", geometry(mib * MIB, 512));
    image.block_size = BlockSize::MIN;
    for number in 0..mib {
        image.blocks.insert(number, Block::full(vec![(0, vec![7; MIB as usize])]));
    }
    image
}

/// Another state of it.
pub(super) fn child(name: &str, parent: &Image, parent_name: &str) -> Image {
    let mut image = Image::child(name, parent, parent_name);
    image.block_size = BlockSize::MIN;
    image.blocks.insert(0, Block::partial((100..103).collect(), vec![(51200, data_of(name))]));
    image
}

fn data_of(name: &str) -> Vec<u8> {
    let seed = name.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    Random::new(seed).bytes(1500)
}

fn lay_out_one(bench: &Bench, number: usize, kind: Kind) {
    let folder = format!("vm/{number:03}");
    let name = match kind {
        Kind::OddName => {
            ["../../escape", "two\nlines\u{1b}[2J", "con", "\"a\" b,c;d", "-rf"][number / 25 % 5].to_owned()
        }
        // Two in a row of all kinds.
        Kind::SameName => {
            [format!("Twin{}", number / 25), format!("tWIN{}", number / 25)][number % 2].clone()
        }
        _ => format!("vm{number:03}"),
    };
    let mut vm = VmFolder::new(bench, &folder, &name, FIRST_ID + number as u128);
    let stem = if kind == Kind::SameName { "disk".to_owned() } else { format!("d{number:03}") };
    let (base_name, leaf_name) = (format!("{stem}.vhdx"), format!("{stem}_leaf.avhdx"));
    let base = small(&format!("{number} base"));
    let leaf = child(&format!("{number} leaf"), &base, &base_name);
    let other = small(&format!("{number} other"));
    let put_base = |vm: &VmFolder<'_>| vm.save(&base_name, &base);
    match kind {
        Kind::OneDisk | Kind::Loose | Kind::OddName | Kind::SameName | Kind::OddFolder | Kind::OddFile => {
            put_base(&vm);
            vm.current(&[&base_name]);
        }
        Kind::TwoDisks => {
            put_base(&vm);
            vm.save("data.vhdx", &other);
            vm.current(&[&base_name, "data.vhdx"]);
        }
        Kind::Checkpoint | Kind::Copied | Kind::DamagedConfiguration => {
            put_base(&vm);
            vm.save(&leaf_name, &leaf);
            vm.checkpoint("Before update", 1000 + number as u128, &[&base_name]);
            vm.current(&[&leaf_name]);
        }
        Kind::Dirty => {
            let mut file = base.build();
            let sectors = base.metadata_sectors(&file);
            make_dirty(&mut file, &DirtyLog { sectors, ..DirtyLog::default() });
            bench.save(&vm.disk(&base_name), &file);
            vm.current(&[&base_name]);
        }
        Kind::MissingParent => {
            vm.save(&leaf_name, &leaf);
            vm.current(&[&leaf_name]);
        }
        Kind::ChangedParent => {
            vm.save(&base_name, &other);
            vm.save(&leaf_name, &leaf);
            vm.current(&[&leaf_name]);
        }
        Kind::AmbiguousParent => {
            let leaf = child(&format!("{number} leaf"), &base, "elsewhere.vhdx");
            vm.save(&leaf_name, &leaf);
            vm.save(&base_name, &base);
            vm.save(&format!("{stem}_copy.vhdx"), &base);
            vm.current(&[&leaf_name]);
        }
        Kind::DamagedHeaders => {
            let mut file = base.build();
            for at in [64 << 10, 128 << 10] {
                file.write(at, &[0x55; 4096]);
            }
            bench.save(&vm.disk(&base_name), &file);
            vm.current(&[&base_name]);
        }
        Kind::Truncated => {
            put_base(&vm);
            let path = bench.path(&vm.disk(&base_name));
            let len = fs::metadata(&path).unwrap().len();
            fs::File::options().write(true).open(path).unwrap().set_len(len - MIB - MIB / 2).unwrap();
            vm.current(&[&base_name]);
        }
        Kind::TwoLeaves => {
            put_base(&vm);
            vm.save(&leaf_name, &leaf);
            vm.save(&format!("{stem}_other.avhdx"), &child(&format!("{number} second"), &base, &base_name));
        }
    }
    if !matches!(kind, Kind::Loose | Kind::TwoLeaves | Kind::OddFile) {
        vm.write();
    }
    let rename = |from: &str, to: &[u8]| {
        let from = bench.path(from);
        fs::rename(&from, from.with_file_name(OsStr::from_bytes(to))).unwrap();
    };
    match kind {
        Kind::Copied => drop(bench.shell("", &format!("cp -a --sparse=always {folder} {folder}_copy"))),
        Kind::OddFolder => rename(&folder, &[format!("{number:03}").as_bytes(), b"\xff"].concat()),
        Kind::OddFile => rename(&vm.disk(&base_name), &[b"d\xff", stem.as_bytes(), b".vhdx"].concat()),
        Kind::DamagedConfiguration => bench.write(&vm.configuration(), b"no configuration at all"),
        _ => {}
    }
}
