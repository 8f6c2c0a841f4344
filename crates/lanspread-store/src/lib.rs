
pub mod pack;
