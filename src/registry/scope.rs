//! Stage 4: what a token is to allow. Scope texts in, merged scopes out. Pure.

use std::collections::BTreeSet;

/// Most resources in one token request.
const MOST: usize = 16;

/// Resources with actions, in the order in which they were named (distribution, "Token Scope Documentation").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scopes(Vec<(String, BTreeSet<String>)>);

impl Scopes {
    /// The right to do `actions` (`pull`, `pull,push`, `delete`) in a repository.
    pub fn repository(path: &str, actions: &str) -> Scopes {
        let mut scopes = Scopes::default();
        scopes.add(&format!("repository:{path}:{actions}"));
        scopes
    }

    /// Scopes as a challenge writes them: separated by spaces.
    pub fn read(text: &str) -> Scopes {
        let mut scopes = Scopes::default();
        text.split_ascii_whitespace().for_each(|one| scopes.add(one));
        scopes
    }

    fn add(&mut self, one: &str) {
        let Some((resource, actions)) = one.rsplit_once(':') else { return };
        let actions = actions.split(',').filter(|action| !action.is_empty()).map(str::to_string);
        let full = self.0.len() >= MOST;
        match self.0.iter_mut().find(|(name, _)| name == resource) {
            Some((_, there)) => there.extend(actions),
            None if !full => self.0.push((resource.to_string(), actions.collect())),
            None => {}
        }
    }

    /// These scopes, then what the other ones add.
    pub fn and(mut self, other: &Scopes) -> Scopes {
        other.texts().iter().for_each(|one| self.add(one));
        self
    }

    /// Whether everything that `other` asks for is in here.
    pub fn cover(&self, other: &Scopes) -> bool {
        other.0.iter().all(|(resource, actions)| {
            self.0.iter().any(|(name, there)| name == resource && actions.iter().all(|action| there.contains(action)))
        })
    }

    /// One text for each resource.
    pub fn texts(&self) -> Vec<String> {
        let one = |(resource, actions): &(String, BTreeSet<String>)| {
            format!("{resource}:{}", actions.iter().map(String::as_str).collect::<Vec<_>>().join(","))
        };
        self.0.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_merged_and_the_missing_one_comes_first() {
        let asked = Scopes::read("repository:b:pull,push repository:host:5000/c:pull");
        let ours = Scopes::repository("a", "pull").and(&Scopes::repository("b", "pull"));
        let both = asked.clone().and(&ours);
        assert_eq!(both.texts(), ["repository:b:pull,push", "repository:host:5000/c:pull", "repository:a:pull"]);
        assert!(both.cover(&asked) && both.cover(&ours) && !ours.cover(&asked));
        assert_eq!(Scopes::read("nonsense : :: ").texts().len(), 2);
        assert_eq!(Scopes::read(&"r:x:pull ".repeat(1000)).texts(), ["r:x:pull"]);
    }
}
