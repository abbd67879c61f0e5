#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stillframe::fuzzing::enter("apk", bytes));
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, _seed: u32| {
    stillframe_fuzz::mutate_tar(data, size, max_size)
});
