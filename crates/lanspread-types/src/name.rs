//! Names that strangers choose and people read: which characters they may have, and when two of them look alike.
//!
//! A name is never an identity. What is refused here could hide text, turn it around or paint over what stands beside it.

use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_security::confusable_detection::skeleton;

/// The first character of a text that no name may have: controls, format characters (direction marks, joiners, zero-width
/// spaces, tags), line and paragraph separators, and what is not assigned or private.
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

/// Letters and symbols by their category that show nothing: the Hangul fillers and the empty Braille pattern.
fn is_blank(c: char) -> bool {
    matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}')
}

/// How a name looks, for comparison: by Unicode's skeletons of confusable characters (UTS 39), as it stands and in small
/// letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    plain: String,
    small: String,
}

impl Look {
    pub fn of(name: &str) -> Self {
        let spaced: Vec<&str> = name.split_whitespace().collect();
        let name = spaced.join(" ");
        Self { plain: skeleton(&name).collect(), small: skeleton(&name.to_lowercase()).collect() }
    }

    /// Whether people could take one for the other.
    pub fn is_like(&self, other: &Self) -> bool {
        self.plain == other.plain || self.small == other.small
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_hide_or_turn_text_are_found() {
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
    fn lookalikes_are_told() {
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
