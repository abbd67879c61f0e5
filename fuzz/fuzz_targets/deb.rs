#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stillframe::fuzzing::enter("deb", bytes));
