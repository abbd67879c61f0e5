//! Tests of bills of materials: programs made by hand, and what is read from them.
