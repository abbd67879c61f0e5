//! Between stages 0 and 1: what the content of a file says of it. Bytes in, facts out. Pure.

pub mod programs;
