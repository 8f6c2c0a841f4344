//! What a person sees: the terminal, tables, human figures, and events told in plain words.
//!
//! Nothing here decides anything. Results go to standard output; progress and trouble go to standard error.

pub mod human;
pub mod live;
pub mod presenter;
pub mod screen;
pub mod table;

pub use live::Live;
pub use screen::Screen;
pub use table::Table;
