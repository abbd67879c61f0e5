//! Stage 8: verification.
