//! `info` on configurations: what they say, every key of any store, and nothing that steers a terminal.

use std::path::PathBuf;

use chain_resolve::vm::tree::{Node, Value};
use serde_json::json;

use crate::harness::{Web01, skipped, store};

/// The folder of real configurations, or `None`, said aloud, where there is none.
fn samples() -> Option<PathBuf> {
    let folder = std::env::var_os("VHDX_EXPORT_SAMPLES").filter(|folder| !folder.is_empty());
    if folder.is_none() {
        let missing = "real configurations: VHDX_EXPORT_SAMPLES does not name their folder";
        assert!(std::env::var("VHDX_EXPORT_REQUIRE_SAMPLES").as_deref() != Ok("1"), "required: {missing}");
        skipped(missing);
    }
    folder.map(|folder| PathBuf::from(folder).join("config"))
}

#[test]
fn a_configuration_says_who_the_vm_is_and_which_disks_it_has() {
    let mut web01 = Web01::new();
    web01.vm.guesses.vm_lists_checkpoints = true;
    web01.put();
    let name = web01.configuration();
    let text = web01.bench.run(&["info", &name]).succeeds();
    for part in [
        "name           web01\n",
        "ID             00000000-0000-0000-0000-000000000001\n",
        "version        9.0\n",
        "generation     2\n",
        "created        2024-01-02T00:00:00Z\n",
        "disk           scsi0:0  C:\\VMs\\web01\\Virtual Hard Disks\\web01_A.avhdx\n",
        "checkpoint     00000000-0000-0000-0000-000000000002 (/configuration/global_settings/snapshots/",
    ] {
        assert!(text.text().contains(part), "{part}: {}", text.text());
    }
    let json = web01.bench.run(&["info", "--json", &name]).succeeds().json();
    assert_eq!((&json["form"], &json["filename"]), (&json!("store"), &json!(name)));
    let found = &json["configuration"];
    assert_eq!(
        (&found["name"], &found["version"], &found["generation"]),
        (&json!("web01"), &json!("9.0"), &json!(2))
    );
    assert_eq!(found["disks"][0]["slot"], "scsi0:0");
    assert_eq!(found["disks"][0]["controller_id"], web01.vm.scsi_instance(0).to_string());
    assert_eq!(found["disk_merge_pending"], false);
    assert_eq!((&json["warnings"], json.get("keys")), (&json!([]), None));
}

#[test]
fn a_checkpoint_named_with_the_file_still_means_its_disk() {
    let web01 = Web01::new();
    let info = web01.bench.run(&["info", "--json", &web01.configuration(), "--checkpoint", "@current"]);
    assert_eq!(info.succeeds().json()["kind"], "differencing");
    for args in [&["info", "--keys", "vm"][..], &["info", "--keys", Web01::CURRENT]] {
        web01.bench.run(args).fails(2).says(&["--keys", "hint: name a .vmcx, .vmrs or .xml"]);
    }
}

#[test]
fn every_key_of_any_store_is_dumped_with_its_type() {
    let web01 = Web01::new();
    let bytes: Vec<u8> = [0xA7; 40].to_vec();
    let keys = Node::new("other").with([
        Node::leaf("int", Value::Int(-5)),
        Node::leaf("uint", Value::UInt(u64::MAX)),
        Node::leaf("double", Value::Double(0.5)),
        Node::leaf("text", Value::String("a\u{1b}[2J\nb".to_owned())),
        Node::leaf("text", Value::String("again".to_owned())),
        Node::leaf("bytes", Value::Bytes(bytes)),
        Node::leaf("flag", Value::Bool(true)),
        Node::new("empty"),
    ]);
    web01.bench.write("vm/data.vmcx", &store(&[keys]));
    let text = web01.bench.run(&["info", "--keys", "vm/data.vmcx"]).succeeds();
    for part in [
        "none: this is another kind of store",
        "\n/other/\n",
        "\n/other/int = int -5\n",
        "\n/other/uint = uint 18446744073709551615\n",
        "\n/other/double = double 0.5\n",
        "\n/other/text = string \"a\\u{1b}[2J\\nb\"\n",
        "\n/other/text = string \"again\"\n",
        "a7a7a7… (40 bytes)\n",
        "\n/other/flag = bool true\n",
        "\n/other/empty/\n",
    ] {
        assert!(text.text().contains(part), "{part}: {}", text.text());
    }
    let json = web01.bench.run(&["info", "--keys", "--json", "vm/data.vmcx"]).succeeds().json();
    assert_eq!(json["configuration"], json!(null));
    let values: Vec<_> = json["keys"].as_array().unwrap().iter().map(|key| key["value"].clone()).collect();
    let hex = "a7".repeat(40);
    let texts = ["a\u{1b}[2J\nb", "again"];
    let expected = json!([null, -5, u64::MAX, 0.5, texts[0], texts[1], hex, true, null]);
    assert_eq!(json!(values), expected);
    assert_eq!(json["keys"][1], json!({"path": "/other/int", "type": "int", "value": -5, "verified": true}));
}

#[test]
fn what_is_no_store_or_not_there_is_an_error() {
    let web01 = Web01::new();
    web01.bench.write("vm/x.vmcx", b"no store");
    web01.bench.write("vm/empty.vmrs", b"");
    web01.bench.run(&["info", "vm/x.vmcx"]).fails(6).says(&["cannot use `vm/x.vmcx`"]);
    web01.bench.run(&["info", "--keys", "vm/empty.vmrs"]).fails(6).says(&["vm/empty.vmrs"]);
    web01.bench.run(&["info", "vm/absent.vmcx"]).fails(4).says(&["vm/absent.vmcx"]);
}

#[test]
fn real_configurations_say_what_they_are() {
    let Some(samples) = samples() else { return };
    let web01 = Web01::new();
    let expected = [
        ("993F7B33-6057-4D1E-A1FE-A1A1D77BE974.vmcx", "store", "Default Generation 2", "9.0", 2, "scsi0:0"),
        ("B90AC31B-C6F8-479F-9B91-07B894A6A3F6.xml", "xml", "Default Generation 1", "5.0", 1, "ide0:0"),
        ("gen1-other-location.vmcx", "store", "Other Location", "9.0", 1, "ide0:0"),
    ];
    for (file, form, name, version, generation, slot) in expected {
        let path = samples.join(file);
        let info = web01.bench.run(&["info", "--json", path.to_str().unwrap()]).succeeds().json();
        let found = &info["configuration"];
        assert_eq!((&info["form"], &found["name"]), (&json!(form), &json!(name)));
        assert_eq!((&found["version"], &found["generation"]), (&json!(version), &json!(generation)));
        assert_eq!(found["disks"].as_array().unwrap().len(), 1, "{file}");
        assert_eq!(found["disks"][0]["slot"], slot);
        assert_eq!((&found["id"], &info["warnings"]), (&found["logical_id"], &json!([])));
        if let Ok(id) = file.split('.').next().unwrap().parse::<uuid::Uuid>() {
            assert_eq!(found["id"], id.to_string());
        }
        let disk = found["disks"][0]["path"].as_str().unwrap();
        assert!(disk.contains(":\\") && disk.contains(".vhdx"), "{disk}");
        let text = web01.bench.run(&["info", path.to_str().unwrap()]).succeeds();
        assert!(text.text().contains(&format!("{slot:<8} {disk}\n")), "{}", text.text());
    }
}

#[test]
fn every_key_of_real_stores_is_dumped() {
    let Some(samples) = samples() else { return };
    let web01 = Web01::new();
    for file in std::fs::read_dir(samples).unwrap() {
        let path = file.unwrap().path();
        let keys = chain_resolve::vm::read_keys(&std::fs::read(&path).unwrap()).unwrap();
        let paths: Vec<String> = keys.tree.walk().map(|(path, _)| path).collect();
        let json = web01.bench.run(&["info", "--keys", "--json", path.to_str().unwrap()]).succeeds().json();
        let dumped: Vec<_> =
            json["keys"].as_array().unwrap().iter().map(|key| key["path"].as_str().unwrap()).collect();
        assert_eq!(dumped, paths, "{}", path.display());
        assert_eq!(json["key_count"], paths.len());
        let text = web01.bench.run(&["info", "--keys", path.to_str().unwrap()]).succeeds();
        let lines = text.text().lines().filter(|line| line.starts_with('/')).count();
        assert_eq!(lines, paths.len(), "{}", path.display());
        assert!(!text.text().contains(|c: char| c.is_control() && c != '\n'));
    }
}
