//! Random lives of VMs: whatever was written, taken, applied, deleted and attached, every checkpoint gives its bytes.

use super::{Machine, flattened, put};
use crate::harness::Bench;
use chain_resolve::forge::history::History;
use chain_resolve::forge::vm::Slot;
use chain_resolve::vm::{Form, Generation};
use vhdx_format::forge::random::Random;

const LIVES: u64 = 24;

#[test]
fn every_checkpoint_of_every_life_gives_the_bytes_it_was_taken_of() {
    for seed in 0..LIVES {
        let mut random = Random::new(seed);
        let history = life(seed, &mut random);
        let form = random.one_of(&[Form::Store, Form::Xml]);
        let machine = Machine { bench: Bench::new(), history };
        let files = machine.history.files(form);
        let files = if random.once_in(2) { flattened(&files) } else { files };
        put(&machine.bench, "vm", &files);
        println!("life {seed}: {form:?}, {} files", files.len());
        machine.gives_every_state("vm");
    }
}

fn life(seed: u64, random: &mut Random) -> History {
    let mut history = History::new(&format!("vm {seed}"), Generation::Two);
    history.vm.guesses.checkpoint_names_vm = random.once_in(2);
    history.vm.guesses.vm_lists_checkpoints = random.once_in(2);
    let mut stems = vec!["disk0".to_owned()];
    history.attach("disk0", Slot::Scsi(0, 0));
    let mut ever = Vec::new();
    for step in 0..4 + random.below(8) {
        match random.below(6) {
            0 | 1 => ever.push(history.checkpoint(&format!("checkpoint {step}"))),
            2 if !ever.is_empty() => {
                let to = random.below(ever.len() as u64) as usize;
                history.apply(ever[to]);
            }
            3 if ever.len() > 2 => {
                let which = random.below(ever.len() as u64) as usize;
                history.delete(ever[which]);
            }
            4 if stems.len() < 3 => {
                let stem = format!("disk{}", stems.len());
                history.attach(&stem, Slot::Scsi(0, stems.len() as u32));
                stems.push(stem);
            }
            _ => stems.iter().for_each(|stem| history.write(stem)),
        }
    }
    history
}
