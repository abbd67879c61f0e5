//! Stage 6: how packages are laid out, on small ones made here.
