//! A seed for a key that is made at run time.

/// 32 bytes that differ from run to run.
pub fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    seed
}
