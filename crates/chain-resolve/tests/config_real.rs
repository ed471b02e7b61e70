//! The readers against configurations that Windows wrote, where these are at hand.
//!
//! The files belong to others and are no part of the project: `VHDX_EXPORT_SAMPLES` names the folder with `config/` in
//! it. Without it each test says that it was skipped; with `VHDX_EXPORT_REQUIRE_SAMPLES=1` it fails instead.

use std::io::Write;
use std::path::PathBuf;

use chain_resolve::vm::hvs;
use chain_resolve::vm::{
    Configuration, ConfigurationError, ControllerKind, Form, Generation, Version, has_saved_memory, read_keys,
};
use uuid::{Uuid, uuid};

const IDE: Uuid = uuid!("83f8638b-8dca-4152-9eda-2ca8b33039b4");

fn sample(name: &str) -> Option<Vec<u8>> {
    let Some(samples) = std::env::var_os("VHDX_EXPORT_SAMPLES") else {
        assert!(
            std::env::var_os("VHDX_EXPORT_REQUIRE_SAMPLES").is_none_or(|flag| flag != "1"),
            "VHDX_EXPORT_SAMPLES is not set"
        );
        // Not `eprintln!`, which the test harness keeps to itself.
        let _ = writeln!(std::io::stderr(), "skipped: {name}: VHDX_EXPORT_SAMPLES is not set");
        return None;
    };
    let path = PathBuf::from(samples).join("config").join(name);
    Some(std::fs::read(path).expect("the folder has the sample"))
}

const GEN2: &str = "993F7B33-6057-4D1E-A1FE-A1A1D77BE974.vmcx";
const XML: &str = "B90AC31B-C6F8-479F-9B91-07B894A6A3F6.xml";
const GEN1: &str = "gen1-other-location.vmcx";
const RUNTIME: &str = "gen1-other-location.VMRS";

fn manifest_len(configuration: &Configuration) -> usize {
    let manifest = configuration.tree.at("configuration/manifest").expect("a manifest");
    manifest.children.iter().filter(|child| child.name.starts_with("vdev")).count()
}

#[test]
fn the_real_generation_2_vm_reads_as_it_was_made() {
    let Some(bytes) = sample(GEN2) else { return };
    let vm = Configuration::parse(&bytes).unwrap();
    assert_eq!(vm.warnings, []);
    assert_eq!(vm.form, Form::Store);
    assert_eq!(vm.name.as_deref(), Some("Default Generation 2"));
    let id = uuid!("993F7B33-6057-4D1E-A1FE-A1A1D77BE974");
    assert_eq!((vm.id, vm.logical_id), (Some(id), Some(id)));
    assert_eq!(vm.type_id.as_deref(), Some("Virtual Machines"));
    assert_eq!(vm.version, Some(Version(2304)));
    assert_eq!(vm.version.unwrap().to_string(), "9.0");
    assert_eq!(vm.generation, Some(Generation::Two));
    assert_eq!(vm.created.unwrap().to_string().get(..4), Some("2023"));
    assert_eq!(manifest_len(&vm), 27);
    let [disk] = vm.disks.as_slice() else { panic!("{:?}", vm.disks) };
    assert_eq!((disk.kind, disk.controller, disk.location), (ControllerKind::Scsi, 0, 0));
    assert!(!disk.detached);
    assert!(disk.path.ends_with("Default Generation 2.vhdx"), "{}", disk.path);
    assert!(vm.listed_checkpoints.is_empty() && !vm.disk_merge_pending && !vm.has_saved_memory);
}

#[test]
fn the_real_generation_1_vm_reads_as_it_was_made() {
    let Some(bytes) = sample(GEN1) else { return };
    let vm = Configuration::parse(&bytes).unwrap();
    assert_eq!(vm.warnings, []);
    assert_eq!(vm.name.as_deref(), Some("Other Location"));
    assert_eq!(vm.id, vm.logical_id);
    assert!(vm.id.is_some());
    assert_eq!(vm.version, Some(Version(2304)));
    assert_eq!(vm.generation, Some(Generation::One));
    assert_eq!(vm.created.unwrap().to_string(), "2021-08-22T21:41:00Z");
    assert_eq!(manifest_len(&vm), 37);
    let [disk] = vm.disks.as_slice() else { panic!("{:?}", vm.disks) };
    assert_eq!((disk.kind, disk.controller, disk.location), (ControllerKind::Ide, 0, 0));
    assert_eq!((disk.instance, disk.detached), (IDE, false));
    assert!(disk.path.contains(".vhdx"), "{}", disk.path);
}

#[test]
fn the_real_xml_vm_reads_as_it_was_made() {
    let Some(bytes) = sample(XML) else { return };
    let vm = Configuration::parse(&bytes).unwrap();
    assert_eq!(vm.warnings, []);
    assert_eq!(vm.form, Form::Xml);
    assert_eq!(vm.name.as_deref(), Some("Default Generation 1"));
    let id = uuid!("B90AC31B-C6F8-479F-9B91-07B894A6A3F6");
    assert_eq!((vm.id, vm.logical_id), (Some(id), Some(id)));
    assert_eq!(vm.version.unwrap().to_string(), "5.0");
    assert_eq!(vm.generation, Some(Generation::One));
    assert_eq!(vm.created, None, "the key is missing in these files");
    assert_eq!(manifest_len(&vm), 13);
    let [disk] = vm.disks.as_slice() else { panic!("{:?}", vm.disks) };
    assert_eq!((disk.kind, disk.controller, disk.location), (ControllerKind::Ide, 0, 0));
    assert_eq!(disk.path, r"C:\Disks\Default Generation 1.vhdx");
    assert!(!disk.detached, "IDE is not in the manifest of old files, and belongs to the VM all the same");
}

#[test]
fn the_real_runtime_state_has_no_memory_and_is_no_configuration() {
    let Some(bytes) = sample(RUNTIME) else { return };
    let store = hvs::read(&bytes).unwrap();
    assert!(store.warnings.is_empty(), "{:?}", store.warnings);
    assert_eq!(store.tree.root.int_at("configuration/properties/version"), Some(2304));
    assert!(!has_saved_memory(&store.tree));
    let metrics = store.tree.at("configuration/global_settings/metrics").unwrap();
    let kinds = metrics.walk().filter(|(path, _)| path.ends_with("/devicetype"));
    assert!(kinds.count() > 1, "siblings of one name are all there");
    let error = Configuration::parse(&bytes).unwrap_err();
    assert!(matches!(error, ConfigurationError::NotAConfiguration(Form::Store)), "{error}");
}

#[test]
fn every_real_store_is_clean_down_to_the_last_checksum_and_every_flip_in_a_key_is_seen() {
    for name in [GEN2, GEN1, RUNTIME] {
        let Some(bytes) = sample(name) else { continue };
        let store = hvs::read(&bytes).unwrap();
        assert!(store.warnings.is_empty() && store.replayed == 0, "{name}: {:?}", store.warnings);
        assert!(store.tree.orphans.is_empty());
        let keys = store.tree.walk().count();
        assert!(store.tree.walk().all(|(_, key)| key.verified));
        assert!(keys > 20, "{name}: {keys}");
        // The first key of the first table: one byte of its name.
        let mut flipped = bytes.clone();
        flipped[0x3000 + 10 + 21] ^= 1;
        assert!(!hvs::read(&flipped).unwrap().warnings.is_empty(), "{name}");
    }
}

#[test]
fn real_files_cut_anywhere_or_flipped_anywhere_still_give_an_answer() {
    for name in [GEN2, GEN1, RUNTIME, XML] {
        let Some(bytes) = sample(name) else { continue };
        for len in (0..bytes.len()).step_by(509) {
            let _ = read_keys(&bytes[..len]).map(Configuration::from_keys);
        }
        for at in (0..bytes.len()).step_by(307) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x81;
            let _ = read_keys(&bytes).map(Configuration::from_keys);
        }
    }
}
