//! The limits that a user can raise: what goes over one is refused with the way to raise it, and read once it is raised.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use chain_resolve::vm::Form;
use limits::{Limit, Unit};
use vhdx_format::forge::{DirtyLog, Image, Item, Kind, Locator, Object, disk_of, make_dirty};

use crate::harness::{Bench, Content, VmFolder, guid, small_base, zeros_of};

const MIB: u64 = 1 << 20;

/// Refused with that code and that hint, and read with the limit raised.
#[track_caller]
fn is_a_matter_of(bench: &Bench, limit: Limit, value: u64, code: i32, args: &[&str]) {
    let hint = format!("--limit {limit}=VALUE");
    bench.run(args).fails(code).says(&["more than", &hint]);
    let raised = format!("{limit}={value}");
    bench.run(&[args, &["--limit", &raised]].concat()).succeeds();
    let too_little = format!("{limit}={}", limit.usual());
    bench.run(&[args, &["--limit", &too_little]].concat()).fails(code);
}

#[test]
fn a_chain_is_as_deep_as_the_limit() {
    // Not on the bench, which would digest every image before and after every run.
    let folder = tempfile::tempdir().unwrap();
    let name = |number: u64| folder.path().join(format!("{number}.vhdx"));
    let save = |image: &Image, number| image.build().save(&File::create(name(number)).unwrap()).unwrap();
    let mut image = zeros_of(MIB);
    save(&image, 0);
    let most = Limit::ChainDepth.usual();
    for number in 1..=most {
        image = Image::child(&number.to_string(), &image, &format!("{}.vhdx", number - 1));
        save(&image, number);
    }
    let leaf = name(most);
    let args = ["map", "--json", leaf.to_str().unwrap()];
    is_a_matter_of(&Bench::new(), Limit::ChainDepth, 300, 5, &args);
    // Each image is an open file, of which the system allows more than it gives at first.
    let few = ["sh", "-c", r#"ulimit -Sn 64 && exec "$@""#, "sh"];
    Bench::new().call(&[&args[..], &["--limit", "chain-depth=300"]].concat()).within(&few).run().succeeds();
}

#[test]
fn a_locator_has_as_many_pairs_as_the_limit() {
    let bench = Bench::new();
    let base = small_base("base");
    bench.forge("vm/base.vhdx", &base);
    let pairs = Limit::LocatorPairs.usual();
    let more = (0..pairs).fold(Locator::windows(base.ids.data_write, "base.vhdx"), |locator, number| {
        locator.pair(&format!("key{number}"), "value")
    });
    bench.forge(
        "vm/child.vhdx",
        &Image { kind: Kind::Differencing(more), ..Image::child("child", &base, "") },
    );
    is_a_matter_of(&bench, Limit::LocatorPairs, 1000, 6, &["vm/child.vhdx", "--out", "out/m.raw"]);
}

#[test]
fn a_metadata_item_is_as_long_as_the_limit() {
    let bench = Bench::new();
    let mut image = small_base("base");
    image.items_mut().push(Item::new(guid(7), 0, &vec![7; 3 << 19]));
    image.metadata_len = 2 << 20;
    bench.forge("vm/base.vhdx", &image);
    is_a_matter_of(&bench, Limit::MetadataSize, 2 << 20, 6, &["hash", "vm/base.vhdx"]);
}

#[test]
fn a_log_is_as_long_as_the_limit() {
    let bench = Bench::new();
    let mut image = small_base("base");
    image.log_len = u32::try_from(Limit::LogSize.usual() + MIB).unwrap();
    let mut file = image.build();
    let sectors = vec![image.offset_of(Object::Block(0)).unwrap()];
    make_dirty(&mut file, &DirtyLog { sectors, ..DirtyLog::default() });
    bench.save("vm/base.vhdx", &file);
    is_a_matter_of(&bench, Limit::LogSize, 128 << 20, 6, &["info", "vm/base.vhdx"]);
    // As a person would type it, and read as the disk it is.
    bench.run(&["vm/base.vhdx", "--out", "out/m.raw", "--limit", "log-size=128M"]).succeeds();
    let check = bench.run(&["check", "vm"]).ends_with(6);
    assert!(check.text().contains("raise it: `--limit log-size=VALUE`"), "{}", check.text());
    bench.run(&["check", "vm", "--limit", "log-size=128M"]).succeeds();
    assert!(bench.content("out/m.raw") == Content::of(&disk_of(&[image])));
}

/// Each of them may be replayed, all of them together may not.
#[test]
fn the_logs_of_a_chain_are_together_as_long_as_the_limit() {
    let bench = Bench::new();
    let len = u32::try_from(Limit::LogSize.usual() / 2 + MIB).unwrap();
    let save = |name: &str, image: &Image, object| {
        let mut file = image.build();
        let sectors = vec![image.offset_of(object).unwrap()];
        make_dirty(&mut file, &DirtyLog { sectors, ..DirtyLog::default() });
        bench.save(name, &file);
    };
    let base = Image { log_len: len, ..small_base("base") };
    let child = Image { log_len: len, ..Image::child("child", &base, "base.vhdx") };
    save("vm/base.vhdx", &base, Object::Block(0));
    save("vm/child.vhdx", &child, Object::Bat);
    bench.run(&["map", "vm/base.vhdx"]).succeeds();
    is_a_matter_of(&bench, Limit::LogSize, 128 << 20, 5, &["map", "vm/child.vhdx"]);
}

#[test]
fn a_configuration_is_as_long_as_the_limit() {
    let bench = Bench::new();
    let mut folder = VmFolder::new(&bench, "vm", "web01", 1);
    folder.base("web01.vhdx");
    folder.current(&["web01.vhdx"]);
    folder.write();
    let store = format!("vm/Virtual Machines/{}.vmcx", guid(1).to_string().to_uppercase());
    let grow = |name: &str, len: u64| {
        File::options().append(true).open(bench.path(name)).unwrap().set_len(len).unwrap();
    };
    grow(&store, Limit::ConfigurationSize.usual() + 1);
    is_a_matter_of(&bench, Limit::ConfigurationSize, 70 << 20, 6, &["info", &store]);
    // The folder is read with the same limit.
    bench.run(&["list", "vm"]).says_nothing_of("web01.vhdx  scsi0:0");
    let raised =
        ["vm", "--checkpoint", "@current", "--out", "out/m.raw", "--limit", "configuration-size=70M"];
    bench.run(&raised).succeeds();
    bench.run(&raised[..5]).fails(6);

    let keys = folder.vm.configuration(Form::Xml);
    let xml = chain_resolve::forge::xml::file(&keys, chain_resolve::forge::xml::Encoding::Utf8);
    bench.write("vm/web01.xml", &[xml, vec![b' '; 33 << 20]].concat());
    is_a_matter_of(&bench, Limit::ConfigurationSize, 70 << 20, 6, &["info", "vm/web01.xml"]);
}

#[test]
fn a_manifest_is_as_long_as_the_limit() {
    let bench = Bench::with_stack(&[small_base("base")]);
    bench.run(&["vm/0.vhdx", "--out", "out/m.raw"]).succeeds();
    // Not on the bench, which would digest it before and after every run.
    let long = tempfile::NamedTempFile::new().unwrap();
    long.as_file().set_len(Limit::ManifestSize.usual() + 1).unwrap();
    let verify = ["verify", "out/m.raw", "--manifest", long.path().to_str().unwrap()];
    bench.run(&verify).fails(6).says(&["has at most", "--limit manifest-size=VALUE"]);
    // A file of zeros is no manifest, whatever its length.
    let raised = [&verify[..], &["--limit", "manifest-size=600M"]].concat();
    bench.run(&raised).fails(6).says(&["not a JSON document"]).says_nothing_of("--limit");
}

#[test]
fn what_is_no_limit_or_no_value_is_wrong_usage() {
    let bench = Bench::with_stack(&[small_base("base")]);
    let cases = [
        ("log-size", "expected NAME=VALUE"),
        ("logsize=1M", "no limit of that name, expected one of chain-depth, locator-pairs"),
        ("log-size=much", "expected a number"),
        ("log-size=1M", "log-size can be from 64 MiB to"),
        ("chain-depth=2000", "chain-depth can be from 256 to 1024"),
    ];
    for (limit, text) in cases {
        for command in [&["info"][..], &["list"], &["check"], &["verify"], &["hash"], &["--out", "out/m.raw"]]
        {
            bench.run(&[command, &["vm/0.vhdx", "--limit", limit]].concat()).fails(2).says(&[text]);
        }
    }
}

fn shown(limit: Limit, value: u64) -> String {
    match limit.unit() {
        Unit::Pieces => value.to_string(),
        Unit::Bytes if value >> 30 > 0 && value.is_multiple_of(1 << 30) => format!("{} GiB", value >> 30),
        Unit::Bytes => format!("{} MiB", value >> 20),
    }
}

/// The rows `| name | usual | most | reason |` of the README.
#[test]
fn the_readme_lists_every_limit_with_its_values() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in readme.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let ["", name, usual, most, _, ""] = cells[..] else { continue };
        rows.insert(name.trim_matches('`').to_owned(), (usual.to_owned(), most.to_owned()));
    }
    for limit in Limit::ALL {
        let expected = (shown(limit, limit.usual()), shown(limit, limit.most()));
        assert_eq!(rows.get(limit.name()), Some(&expected), "{limit}");
    }
    let help = Bench::new().run(&["list", "--help"]).succeeds();
    for limit in Limit::ALL {
        assert!(help.text().contains(limit.name()), "{limit}");
    }
}
