//! Names that strangers choose and people read: which characters they may have, and when two names look alike.
//!
//! The characters that are refused could hide text, reverse its direction, or cover the text beside the name. A name
//! is never an identity, even when no other name looks like it.

use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_security::confusable_detection::skeleton;

/// Returns the first character that no name may have: a control or format character (direction marks, joiners,
/// zero-width spaces, tags), a line or paragraph separator, a private or unassigned character, or a blank letter.
pub fn first_invisible(text: &str) -> Option<char> {
    use GeneralCategory as Category;
    let refused = |c: &char| {
        matches!(
            get_general_category(*c),
            Category::Control
                | Category::Format
                | Category::LineSeparator
                | Category::ParagraphSeparator
                | Category::PrivateUse
                | Category::Surrogate
                | Category::Unassigned
        ) || is_blank(*c)
    };
    text.chars().find(refused)
}

/// Returns true for characters that show nothing although Unicode counts them as letters or symbols: the Hangul
/// fillers and the empty Braille pattern.
fn is_blank(c: char) -> bool {
    matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}')
}

/// Appearance of a name, for comparison: its Unicode skeletons of confusable characters (UTS 39), as written and in
/// lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    plain: String,
    small: String,
}

impl Look {
    /// Returns the appearance of a name. Repeated white space counts as one space.
    pub fn of(name: &str) -> Self {
        let spaced: Vec<&str> = name.split_whitespace().collect();
        let name = spaced.join(" ");
        Self { plain: skeleton(&name).collect(), small: skeleton(&name.to_lowercase()).collect() }
    }

    /// Returns true if people could take one name for the other.
    pub fn is_like(&self, other: &Self) -> bool {
        self.plain == other.plain || self.small == other.small
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_hide_text_are_found() {
        for bad in [
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{200b}b",
            "a\u{200d}b",
            "a\u{feff}b",
            "a\u{ad}b",
            "a\u{e0041}b",
            "a\u{e000}b",
            "a\u{378}b",
            "a\u{2028}b",
            "a\nb",
            "\u{1b}[31m",
            "\u{3164}",
            "\u{2800}",
        ] {
            assert!(first_invisible(bad).is_some(), "{bad:?}");
        }
        for good in ["Jörg's PC 🎮", "Ада", "עדה", "エイダ", "a-b_c.d (2)", "Zoë"] {
            assert_eq!(first_invisible(good), None, "{good:?}");
        }
    }

    #[test]
    fn lookalikes_are_found() {
        let alike = |a: &str, b: &str| Look::of(a).is_like(&Look::of(b));
        for (a, b) in
            [("Ada", "Аdа"), ("paypal", "paypaI"), ("ADA", "ada"), ("Ada  L", "ada l"), ("Zoë", "Zoe\u{308}")]
        {
            assert!(alike(a, b), "{a} {b}");
        }
        for (a, b) in [("Ada", "Bob"), ("guest 1", "guest 2"), ("alpha", "alpha2")] {
            assert!(!alike(a, b), "{a} {b}");
        }
    }
}
