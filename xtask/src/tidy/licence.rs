//! Whether an SPDX licence expression can be met with a list of accepted licences.
//!
//! Knows `OR`, `AND`, `WITH`, parentheses and the old `/` for `OR`: all that packages in a lock file use.

use std::iter::Peekable;

/// Whether some choice among the `OR`s of `expression` needs accepted licences only.
/// An expression that cannot be read is not accepted. `X WITH Y` is accepted only if listed as a whole.
pub(super) fn is_accepted(expression: &str, accepted: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let answer = any_of(&mut words, accepted);
    answer == Some(true) && words.next().is_none()
}

fn any_of<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>, accepted: &[String]) -> Option<bool> {
    let mut answer = all_of(words, accepted)?;
    while words.next_if_eq(&"OR").is_some() {
        answer |= all_of(words, accepted)?;
    }
    Some(answer)
}

fn all_of<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>, accepted: &[String]) -> Option<bool> {
    let mut answer = term(words, accepted)?;
    while words.next_if_eq(&"AND").is_some() {
        answer &= term(words, accepted)?;
    }
    Some(answer)
}

fn term<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>, accepted: &[String]) -> Option<bool> {
    let word = words.next()?;
    if word == "(" {
        let answer = any_of(words, accepted)?;
        return words.next_if_eq(&")").map(|_| answer);
    }
    let name = match words.next_if_eq(&"WITH") {
        Some(with) => format!("{word} {with} {}", words.next()?),
        None => word.to_owned(),
    };
    Some(accepted.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_answer(expression: &str, expected: bool) {
        let accepted =
            ["MIT", "Apache-2.0", "Unicode-3.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
        assert_eq!(is_accepted(expression, &accepted), expected, "{expression}");
    }

    #[test]
    fn one_accepted_choice_is_enough() {
        assert_answer("MIT", true);
        assert_answer("GPL-3.0-only OR MIT", true);
        assert_answer("MIT/GPL-3.0-only", true);
        assert_answer("GPL-3.0-only", false);
        assert_answer("GPL-3.0-only OR MPL-2.0", false);
    }

    #[test]
    fn every_part_of_an_and_is_needed() {
        assert_answer("MIT AND Unicode-3.0", true);
        assert_answer("MIT AND GPL-3.0-only", false);
        assert_answer("(MIT OR GPL-3.0-only) AND Unicode-3.0", true);
        assert_answer("(MIT OR Apache-2.0) AND GPL-3.0-only", false);
    }

    #[test]
    fn and_binds_tighter_than_or() {
        assert_answer("MIT OR Apache-2.0 AND GPL-3.0-only", true);
        assert_answer("GPL-3.0-only AND MIT OR MPL-2.0", false);
    }

    #[test]
    fn an_exception_is_accepted_only_with_its_licence() {
        assert_answer("Apache-2.0 WITH LLVM-exception", true);
        assert_answer("MIT WITH LLVM-exception", false);
    }

    #[test]
    fn what_cannot_be_read_is_not_accepted() {
        for expression in ["", "MIT OR", "(MIT", "MIT)", "MIT MIT", "AND MIT", "MIT WITH"] {
            assert_answer(expression, false);
        }
    }
}
