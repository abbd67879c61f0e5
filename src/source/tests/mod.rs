//! Stage 5: what bases promise (checks CON-03 to CON-05, CON-10 to CON-12, CON-14).

mod bases;
mod indexes;
mod layers;
mod places;
mod strata;

use crate::error::Error;

/// The whole text of an error: message, causes, hints.
fn said(error: &Error) -> String {
    format!("{error:?} {:?}", error.hints())
}

/// Fails unless the result is an error that says all of this.
fn refused<T>(result: crate::error::Result<T>, words: &[&str]) {
    let Err(error) = result else { panic!("{words:?} was expected") };
    for word in words {
        assert!(said(&error).contains(word), "`{word}` is not in: {}", said(&error));
    }
}
