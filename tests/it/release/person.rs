//! A person at a terminal sees what would happen to the tags, and is asked before anything is sent; nobody else is.

use std::io::Write;

use super::{OLD, World};
use crate::support::terminal;

#[tokio::test(flavor = "multi_thread")]
async fn a_release_asks_a_person_and_sends_nothing_without_a_yes() {
    let world = World::new("bundle", "").await;
    world.registry.image("app", "1.0.5");
    let old = world.tag("latest");
    for typed in ["n\n", "\n", "yess\n"] {
        let (mut person, program) = terminal();
        person.write_all(typed.as_bytes()).unwrap();
        let done = world.run(&["release"]).stdin(program).fails(2);
        for line in ["  tag 1.1.0 created\n", "  tag 1 moved: 1.1.0 is the highest release\n", "release this? [y/N] "] {
            assert!(done.stderr.contains(line), "{line:?}: {}", done.stderr);
        }
        assert!(done.stderr.contains("nothing was sent"), "{}", done.stderr);
        assert_eq!((world.registry.count("PUT", ""), world.registry.count("POST", "")), (0, 0));
        assert_eq!(world.tag("latest"), old);
    }
    let (mut person, program) = terminal();
    person.write_all(b"Y\n").unwrap();
    world.run(&["release"]).stdin(program).success();
    assert_ne!(world.tag("latest"), old);
    world.reset();
    let (_person, program) = terminal();
    let done = world.run(&["release", "--yes"]).stdin(program).success();
    assert!(!done.stderr.contains("release this?"), "{}", done.stderr);
    assert_ne!(world.tag("latest"), world.tag(OLD));
}
