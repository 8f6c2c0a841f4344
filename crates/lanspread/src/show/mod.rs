//! What people see in a terminal: lines, tables, figures, and events as sentences.
//!
//! Nothing here decides anything. Results go to standard output; progress and problems go to standard error.

pub mod human;
pub mod live;
pub mod presenter;
pub mod screen;
pub mod table;

pub use live::Live;
pub use screen::Screen;
pub use table::Table;
