//! Stage 8: scans of contents and databases that stand in the test.
