//! Any file may hold any bytes: nothing panics, and what is wrong is found or does no harm.

use std::sync::{Arc, LazyLock};

use covenant::ledger::{Ledger, Reader, verify_entry, verify_log};
use proptest::prelude::*;
use testbed::effort::cases;

use crate::memory::{Files, MemoryStore};
use crate::stage::{ORIGIN, facts, ids, intent, key, open, verify_files};

static WHOLE: LazyLock<(Files, Vec<String>)> = LazyLock::new(|| {
    let store = MemoryStore::new(Files::new());
    let (mut ledger, _) = open(&store);
    ledger.append(&facts(0..250)).unwrap();
    ledger.append(&[intent(250)]).unwrap();
    ledger.append(&facts(251..300)).unwrap();
    drop(ledger);
    (store.files(), ids(&store))
});

#[derive(Clone, Debug)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Extend(Vec<u8>),
    Replace(Vec<u8>),
    Swap(prop::sample::Index),
    Remove,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        8 => (any::<prop::sample::Index>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => any::<prop::sample::Index>().prop_map(Damage::Cut),
        1 => prop::collection::vec(any::<u8>(), 1..80).prop_map(Damage::Extend),
        1 => prop::collection::vec(any::<u8>(), 0..400).prop_map(Damage::Replace),
        1 => any::<prop::sample::Index>().prop_map(Damage::Swap),
        1 => Just(Damage::Remove),
    ]
}

fn apply(files: &mut Files, path: &str, damage: &Damage) {
    let other = match damage {
        Damage::Swap(at) => at.get(&files.values().cloned().collect::<Vec<_>>()).clone(),
        _ => Vec::new(),
    };
    let Some(bytes) = files.get_mut(path) else {
        return;
    };
    match damage {
        Damage::Flip(at, bit) if !bytes.is_empty() => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Damage::Cut(at) if !bytes.is_empty() => bytes.truncate(at.index(bytes.len())),
        Damage::Extend(more) => bytes.extend(more),
        Damage::Replace(with) => *bytes = with.clone(),
        Damage::Swap(_) => *bytes = other,
        Damage::Remove => {
            files.remove(path);
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(300)) })]

    #[test]
    fn damage_to_any_files_is_found_or_harmless_and_never_a_panic(
        damages in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..4)
    ) {
        let (whole, names) = &*WHOLE;
        let paths: Vec<String> = whole.keys().cloned().collect();
        let mut files = whole.clone();
        for (at, damage) in &damages {
            apply(&mut files, at.get::<String>(&paths), damage);
        }
        let store = MemoryStore::new(files.clone());
        let verified = verify_log(store.as_ref(), key().verifying(), None, &mut |_| {});
        if let Ok(verified) = &verified {
            // Found nothing: then every entry is the one that was signed.
            prop_assert_eq!(verified.head.size, 300);
            prop_assert_eq!(&ids(&store), names);
            prop_assert_eq!(verified.open_intents.len(), 1);
        }
        if let Ok(reader) = Reader::open(store.clone(), key().verifying()) {
            for record in reader.entries(0..1000) {
                let Ok(record) = record else { break };
                let index = usize::try_from(record.index).unwrap();
                prop_assert_eq!(&record.entry.unwrap().id, &names[index]);
                if let Ok(proof) = reader.prove(record.index) {
                    verify_entry(&record.bytes, &proof, key().verifying()).unwrap();
                }
                // Every entry would take long, and a bundle is read as a whole.
                if index > 2 { break }
            }
        }
        let before = store.files();
        match Ledger::open(store.clone(), key(), ORIGIN) {
            Err(_) => {
                if before.contains_key("checkpoint") {
                    // A public key that was gone is written again; nothing else is.
                    let mut after = store.files();
                    after.remove("keys/cluster-1.vkey");
                    let mut before = before;
                    before.remove("keys/cluster-1.vkey");
                    prop_assert_eq!(before, after);
                }
            }
            Ok((mut ledger, recovery)) => {
                prop_assert_eq!(recovery.adopted, 300..300);
                prop_assert!(ledger.unsettled().contains_key("intent-250"));
                ledger.append(&facts(300..301)).unwrap();
                drop(ledger);
                if verified.is_ok() {
                    verify_files(store.files()).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_proof_of_any_bytes_is_refused_without_a_panic(
        at in any::<prop::sample::Index>(), with in prop::collection::vec(any::<u8>(), 0..40)
    ) {
        let (files, _) = &*WHOLE;
        let store: Arc<MemoryStore> = MemoryStore::new(files.clone());
        let reader = Reader::open(store, key().verifying()).unwrap();
        let entry = reader.entry(7).unwrap().unwrap().bytes;
        let proof = reader.prove(7).unwrap();
        let at = at.index(proof.len());
        let mut bytes = proof.clone().into_bytes();
        bytes.splice(at..(at + with.len()).min(proof.len()), with);
        let text = String::from_utf8_lossy(&bytes);
        let verified = verify_entry(&entry, &text, key().verifying());
        if verified.is_ok() {
            prop_assert_eq!(verified.unwrap().index, 7);
        }
        verify_entry(&bytes, &text, key().verifying()).unwrap_err();
    }
}
